//! The deb822 `.sources` file that makes apt use a published tree (sources.list(5)).

use std::fmt::Write as _;

use chantal_contract::{FormatError, Keeper, Place, RepoPath, SetUp, State, TreeError, limits::ANCHOR_BYTES};

use crate::{clearsign, options::AptOptions, release::Release, suite::Suite, targets};

/// A suite as it was published.
struct Published<'a> {
    suite: &'a Suite,
    release: Release,
    /// The components under the names that clients must ask for.
    components: Vec<String>,
    signed: bool,
}

/// Writes one stanza for all suites that clients ask for the same components of.
pub(crate) fn set_up(
    options: &AptOptions,
    suites: &[Suite],
    state: &dyn State,
    place: &Place,
) -> Result<Vec<SetUp>, FormatError> {
    let published =
        suites.iter().map(|suite| Published::read(suite, options, state)).collect::<Result<Vec<_>, _>>()?;
    let name = &place.name;
    let install_to = format!("/etc/apt/sources.list.d/{name}.sources");
    let mut text = format!("# {name}, as carried here by Chantal. Keep this file as {install_to}\n");
    let keyring = place.keys.as_ref().map(|keys| {
        let extension = match keys.file_name().rsplit_once('.') {
            Some((_, "gpg")) => "gpg",
            _ => "asc",
        };
        let keyring = format!("/etc/apt/keyrings/{name}.{extension}");
        let _ =
            writeln!(text, "# and upstream's keys, {}/{}, as {keyring}", uri(&place.base), keys.encoded());
        keyring
    });
    let mut groups: Vec<Vec<&Published<'_>>> = Vec::new();
    for suite in &published {
        match groups.iter_mut().find(|group| group.iter().all(|other| other.is_alike(suite))) {
            Some(group) => group.push(suite),
            None => groups.push(vec![suite]),
        }
    }
    for (at, group) in groups.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        stanza(&mut text, group, options, place, keyring.as_deref());
    }
    Ok(vec![SetUp { name: format!("{name}.sources"), keeper: Keeper::Client, install_to, text }])
}

impl<'a> Published<'a> {
    fn read(suite: &'a Suite, options: &AptOptions, state: &dyn State) -> Result<Self, FormatError> {
        let path = |tail: &str| {
            suite
                .path(tail)
                .map_err(|why| FormatError::Option { option: "apt.suites".into(), why: why.to_string() })
        };
        let (in_release, detached) = (path("InRelease")?, path("Release")?);
        let (text, file, signed) = if let Some(bytes) = read(state, &in_release)? {
            let framed = clearsign::unverified_text(&bytes);
            let signed = framed.is_some();
            (framed.unwrap_or(bytes), in_release, signed)
        } else {
            let signed = read(state, &path("Release.gpg")?)?.is_some();
            (state.read(&detached, ANCHOR_BYTES)?, detached, signed)
        };
        let release = Release::parse(&text, &file)?;
        let named =
            |component: &String| targets::directory(&release, component).unwrap_or(component).to_owned();
        let components = options.components.iter().map(named).collect();
        Ok(Self { suite, release, components, signed })
    }

    /// Tells whether one stanza serves both.
    fn is_alike(&self, other: &Self) -> bool {
        self.components == other.components
            && self.signed == other.signed
            && self.release.valid_until.is_some() == other.release.valid_until.is_some()
    }

    /// Tells whether clients would find something listed that lies below one of `places` in a component or beside them.
    fn lists(&self, place: &str) -> bool {
        let in_component =
            self.components.iter().any(|c| self.release.below(&format!("{c}/{place}")).next().is_some());
        in_component || self.release.below(place).next().is_some()
    }
}

fn read(state: &dyn State, path: &RepoPath) -> Result<Option<Vec<u8>>, TreeError> {
    match state.read(path, ANCHOR_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(TreeError::NoFile(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn stanza(
    text: &mut String,
    group: &[&Published<'_>],
    options: &AptOptions,
    place: &Place,
    keyring: Option<&str>,
) {
    let Some(first) = group.first() else { return };
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}: {value}");
    };
    let suites: Vec<&str> = group.iter().map(|published| published.suite.name.as_str()).collect();
    field("Types", if options.sources { "deb deb-src" } else { "deb" });
    field("URIs", &uri(&place.base));
    field("Suites", &suites.join(" "));
    if !first.components.is_empty() {
        field("Components", &first.components.join(" "));
    }
    field("Architectures", &options.architectures.join(" "));
    field(
        "Languages",
        &if options.languages.is_empty() { "none".into() } else { options.languages.join(" ") },
    );
    let left_out = left_out(group, options);
    if !left_out.is_empty() {
        field("Targets-Remove", &left_out.join(" "));
    }
    if let Some(keyring) = keyring {
        field("Signed-By", keyring);
    } else if !first.signed {
        text.push_str("# Upstream does not sign it; what protects it is the bundle that carried it here.\nTrusted: yes\n");
    }
    if let Some(until) = group.iter().filter_map(|published| published.release.valid_until).min() {
        let _ = writeln!(
            text,
            "# Upstream's Valid-Until is {until}: a mirror that travels by disc outlives it, so apt must not look at it.\n\
             Check-Valid-Until: no"
        );
    }
}

/// Names the targets that upstream lists, that clients may ask for, and that were left out of the mirror by choice.
fn left_out(group: &[&Published<'_>], options: &AptOptions) -> Vec<&'static str> {
    const CONTENTS: [&str; 4] =
        ["Contents-deb", "Contents-deb-legacy", "Contents-udeb", "Contents-udeb-legacy"];
    const DEP11: [&str; 6] = [
        "DEP-11",
        "DEP-11-icons-small",
        "DEP-11-icons",
        "DEP-11-icons-hidpi",
        "DEP-11-icons-large",
        "DEP-11-icons-large-hidpi",
    ];
    [
        (options.contents, "Contents-", &CONTENTS[..]),
        (options.dep11, "dep11/", &DEP11),
        (options.command_not_found, "cnf/", &["CNF"]),
    ]
    .into_iter()
    .filter(|(mirrored, listed, _)| !mirrored && group.iter().any(|published| published.lists(listed)))
    .flat_map(|(_, _, targets)| targets.iter().copied())
    .collect()
}

/// Writes an address so that it is one word.
fn uri(base: &str) -> String {
    let mut out = String::with_capacity(base.len());
    for c in base.chars() {
        if c.is_whitespace() || c.is_control() {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
