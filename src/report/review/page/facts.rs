//! What the page says of a state as a whole.

use crate::report::{
    human::{count, grouped, size},
    review::{Key, Proven, Since, StateReview},
};

/// Something that the page says of a state as a whole.
pub(super) struct Fact {
    pub label: &'static str,
    pub text: String,
    pub warn: bool,
    pub keys: Vec<String>,
}

/// Says what a state is, in a sentence or two.
pub(super) fn about(state: &StateReview) -> String {
    let kind = match state.format.as_str() {
        "apt" => "APT",
        "rpm" => "RPM",
        "pypi" => "Python",
        "helm" => "Helm",
        "apk" => "Alpine",
        other => other,
    };
    let mode = match state.mode.as_str() {
        "mirror" => "mirrored byte for byte",
        "filtered" => "chosen packages, indexes written anew",
        _ => "packages of the collector's own",
    };
    let before = if state.incremental {
        format!(", {} before", grouped(state.packages_before))
    } else {
        String::new()
    };
    format!("{kind} repository, {mode}. {}{before}.", count(state.packages, "package"))
}

/// Lists who signed what upstream, of when it is, and what travels; what travels is not known of a comparison.
pub(super) fn facts(state: &StateReview, compared: bool) -> Vec<Fact> {
    let keys = |wanted: &dyn Fn(&Key) -> bool| -> Vec<String> {
        state.keys.iter().filter(|key| wanted(key)).map(|key| key.fingerprint.clone()).collect()
    };
    let mut facts = Vec::new();
    let mut fact = |label, text: String, warn, keys| facts.push(Fact { label, text, warn, keys });
    match state.proven {
        Proven::Signed => {
            fact(
                "Signature",
                "The collector says that it verified upstream's signature of the metadata, by".into(),
                false,
                keys(&|k| k.metadata.is_now()),
            );
        }
        Proven::Packages => {
            let text = "The metadata are not signed; the collector says that every package carries a good signature of one of".into();
            fact("Signature", text, false, keys(&|k| k.packages.is_now()));
        }
        Proven::Unsigned => {
            let text = "No signature of upstream over the metadata was verified.".into();
            fact("Signature", text, true, Vec::new());
        }
        Proven::Digests => {
            let text = "Nothing to verify but digests over TLS: the format signs nothing.".into();
            fact("Signature", text, false, Vec::new());
        }
        Proven::Own => fact("Signature", "The collector's own packages.".into(), false, Vec::new()),
    }
    let gone = keys(&|k| k.metadata == Since::Gone);
    if !gone.is_empty() {
        fact("Signed before", "and not any more by".into(), true, gone);
    }
    let of_packages = keys(&|k| k.packages.is_now());
    let before = keys(&|k| k.packages == Since::Gone);
    match (of_packages.is_empty(), before.is_empty()) {
        // said above already
        (false, _) if state.proven == Proven::Packages => {}
        (false, _) => {
            let text = "The collector says that every package carries a good signature of one of".into();
            fact("Packages signed", text, false, of_packages);
        }
        (true, false) => {
            let text =
                "No signature of the packages was verified this time; before, each carried one of".into();
            fact("Packages signed", text, true, before);
        }
        (true, true) if state.format == "rpm" => {
            fact("Packages signed", "No signature of the packages was verified.".into(), false, Vec::new());
        }
        (true, true) => {}
    }
    if let Some(date) = &state.date {
        let until =
            state.valid_until.as_ref().map_or_else(String::new, |until| format!(", valid until {until}"));
        fact("Upstream's date", format!("{date}{until}"), false, Vec::new());
    }
    // bundles tell of packages what can be compared, and not of files
    if !compared {
        let comes = format!("{}, {}", count(state.files_in, "file"), size(state.bytes_in));
        let goes = match state.files_out {
            0 => String::new(),
            1 => "; 1 file goes".into(),
            some => format!("; {} go", count(some, "file")),
        };
        fact("Files that come", format!("{comes}{goes}"), false, Vec::new());
        if state.files_stray > 0 {
            let come = if state.files_stray == 1 { "comes" } else { "come" };
            let text = format!("{} {come} that no index names", count(state.files_stray, "file"));
            fact("Of no package", text, true, Vec::new());
        }
    }
    facts
}
