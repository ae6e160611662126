//! What goes back at a site, whatever the bundle's own base is, and is shown or refused.

use std::sync::Mutex;

use super::{receipts::acquainted, *};
use crate::report::{Event as Report, Reporter};

impl Side {
    /// Records a filtered state of packages, by name and version, with the keys that signed it.
    fn debs(&self, packages: &[(&str, &str)], keys: &[&str], second: i64) -> StateRef {
        let batch = self.store.pool().batch().unwrap();
        let mut records = self.store.packs().writer().unwrap();
        let mut lines = Vec::new();
        for (package, version) in packages {
            let file = format!("{package}-{version}-py3-none-any.whl");
            let path = RepoPath::new(&format!("packages/{package}/{file}")).unwrap();
            let measured = batch.put(format!("{package} {version}").as_bytes()).unwrap();
            let entry = Entry::Present { measured, role: Role::Payload };
            lines.push(Line::File { path: path.clone(), entry });
            let record = records.add(format!("{package} {version}").as_bytes()).unwrap();
            lines.push(Line::Pkg { key: Key::new(*package, *version, file), record, files: vec![path] });
        }
        let mut evidence = Evidence::default();
        let page = RepoPath::new("page").unwrap();
        let blob = batch.put(format!("page {second}").as_bytes()).unwrap();
        evidence.add(EvidenceItem::Page { path: page.clone(), blob });
        for key in keys {
            let by = Fingerprint((*key).into());
            let blob = batch.put(format!("key {key}").as_bytes()).unwrap();
            evidence.add(EvidenceItem::Key { fingerprint: by.clone(), blob });
            evidence.add(EvidenceItem::Signed { path: page.clone(), by });
        }
        let list = (!keys.is_empty()).then(|| batch.put(&evidence.encode()).unwrap().sha256);
        batch.flush().unwrap();
        records.commit().unwrap();
        lines.sort_by_key(Line::encode);
        let header = plain_header();
        let mut manifest = self.store.manifests().writer(&header, None).unwrap();
        for line in &lines {
            manifest.line(line).unwrap();
        }
        let manifest = manifest.finish().unwrap();
        let state = StateRef { manifest, evidence: list, date: None, valid_until: None };
        self.journal("debs", &state, second);
        state
    }
}

/// Returns what the review of a bundle calls unusual.
fn unusual(written: &Written) -> Vec<String> {
    let text = fs::read(written.path.join("review.json")).unwrap();
    let review: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let what = |unusual: &serde_json::Value| unusual["what"].as_str().unwrap().to_owned();
    review["unusual"].as_array().unwrap().iter().map(what).collect()
}

#[track_caller]
fn not_shown(outcome: Result<ImportOutcome, TransferError>) -> (String, String) {
    let error = refused(outcome);
    assert!(matches!(error, TransferError::NotShown(_)), "{error}");
    (error.to_string(), error.hint().unwrap())
}

#[test]
fn what_becomes_current_is_compared_with_what_is_current_at_the_site() {
    let (collector, receiver) = acquainted();
    let old = collector.debs(&[("foo", "1.0")], &[], 1);
    collector.name("debs", "old", &old);
    imported(receiver.import(&collector.export(&["debs"], "none").path));
    let new = collector.debs(&[("foo", "2.0")], &[], 2);
    imported(receiver.import(&collector.export(&["debs"], "last").path));
    collector.hear(&receiver.receipt(200)).unwrap();
    // upstream goes back to a state that the site has under a name
    collector.journal("debs", &old, 3);
    let back = collector.export(&["debs"], "acknowledged");
    assert_eq!(back.manifest.states[0].base, Some(new.manifest));
    assert_eq!(back.manifest.counts.blobs, 0, "the site has all of it");
    assert!(unusual(&back).contains(&"downgrade".into()));
    imported(receiver.import(&back.path));
    assert_eq!(receiver.newest("debs"), Some(old.clone()));
    // a name for an older state travels without a delta, and what is newest is compared with what was
    collector.debs(&[("foo", "3.0")], &[], 4);
    collector.name("debs", "older", &old);
    collector.name("debs", "former", &new);
    let both = collector.export(&["debs"], "last");
    let bases: Vec<_> = both.manifest.states.iter().map(|s| (s.manifest, s.base)).collect();
    assert_eq!(bases[0], (old.manifest, Some(old.manifest)));
    assert_eq!(bases.last().unwrap().1, Some(old.manifest));
    imported(receiver.import(&both.path));
}

#[test]
fn what_a_late_receipt_hides_from_the_review_is_refused_and_the_next_bundle_shows_it() {
    let (collector, receiver) = acquainted();
    collector.debs(&[("foo", "1.0")], &[], 1);
    imported(receiver.import(&collector.export(&["debs"], "none").path));
    collector.hear(&receiver.receipt(200)).unwrap();
    let newest = collector.debs(&[("foo", "2.0")], &[], 2);
    imported(receiver.import(&collector.export(&["debs"], "acknowledged").path));
    // against what was acknowledged, nothing happens to foo
    collector.debs(&[("bar", "1.0"), ("foo", "1.0")], &[], 3);
    let silent = collector.export(&["debs"], "acknowledged");
    assert!(!unusual(&silent).contains(&"downgrade".into()));
    let (text, hint) = not_shown(receiver.import(&silent.path));
    assert!(text.contains("debs: foo goes back from 2.0 to 1.0"), "{text}");
    assert_eq!(receiver.newest("debs"), Some(newest.clone()));
    for words in ["chantal receipt create", "chantal receipt apply", "--since hq.plant-7-e01-000002"] {
        assert!(hint.contains(words), "{hint}");
    }
    // both ways of the hint lead on
    let named = collector.export(&["debs"], "hq.plant-7-e01-000002");
    assert_eq!(named.manifest.states[0].base, Some(newest.manifest));
    collector.hear(&receiver.receipt(300)).unwrap();
    let shown = collector.export(&["debs"], "acknowledged");
    assert!(unusual(&shown).contains(&"downgrade".into()));
    imported(receiver.import(&shown.path));
    assert_eq!(receiver.newest("debs"), collector.newest("debs"));
}

#[test]
fn a_cumulative_bundle_asks_nothing_where_nothing_is_hidden() {
    let (collector, receiver) = acquainted();
    let first = [("foo", "3.0"), ("bar", "1.0"), ("baz", "1")];
    collector.debs(&first, &["AA"], 1);
    imported(receiver.import(&collector.export(&["debs"], "none").path));
    collector.hear(&receiver.receipt(200)).unwrap();
    // foo goes back twice; bar goes on, baz goes, another key signs from the second on
    for (n, packages) in
        [&[("foo", "2.0"), ("bar", "2.0"), ("new", "1")][..], &[("foo", "1.0"), ("bar", "3.0"), ("new", "2")]]
            .into_iter()
            .enumerate()
    {
        collector.debs(packages, &["BB"], 2 + i64::try_from(n).unwrap());
        let bundle = collector.export(&["debs"], "acknowledged");
        assert!(unusual(&bundle).contains(&"downgrade".into()));
        imported(receiver.import(&bundle.path));
    }
    assert_eq!(receiver.newest("debs"), collector.newest("debs"));
}

#[test]
fn signatures_that_go_or_change_behind_the_review_are_refused() {
    for (keys, expected) in [
        ([&[][..], &["AA"], &[]], "were signed, and no signature"),
        ([&["AA"], &["BB"], &["AA"]], "signed by AA, before by BB"),
        ([&[], &["AA"], &["BB"]], "signed by BB, before by AA"),
    ] {
        let (collector, receiver) = acquainted();
        let mut last = None;
        for (n, (keys, version)) in keys.into_iter().zip(["1", "2", "3"]).enumerate() {
            collector.debs(&[("foo", version)], keys, i64::try_from(n).unwrap());
            let bundle = collector.export(&["debs"], "acknowledged");
            if n == 2 {
                last = Some(bundle);
                continue;
            }
            imported(receiver.import(&bundle.path));
            if n == 0 {
                collector.hear(&receiver.receipt(200)).unwrap();
            }
        }
        let (text, _) = not_shown(receiver.import(&last.unwrap().path));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_named_state_does_not_become_current_as_its_own_base() {
    let (collector, receiver) = sides();
    let good: &[(&str, &[u8])] = &[("vmlinuz", b"good")];
    let evil: &[(&str, &[u8])] = &[("vmlinuz", b"evil")];
    collector.state("bookworm", good, 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    // a state that only has a name is judged by nobody
    let named = collector.state("bookworm", evil, 2);
    collector.name("bookworm", "other", &named);
    collector.state("bookworm", &[good[0], ("readme", b"x")], 3);
    imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    let newest = receiver.newest("bookworm");
    // a twin with the same key, for which that state is what the site has
    let twin = collector.twin();
    let same = twin.state("bookworm", evil, 2);
    assert_eq!(same, named);
    for snapshot in ["one", "two", "three"] {
        twin.export(&["bookworm"], "last");
        twin.name("bookworm", snapshot, &same);
    }
    let forged = twin.export(&["bookworm"], "last");
    let state = &forged.manifest.states[0];
    assert_eq!((state.base, forged.manifest.sequence.get()), (Some(state.manifest), 4));
    let (text, _) = not_shown(receiver.import(&forged.path));
    assert!(text.contains("bookworm: vmlinuz has other bytes"), "{text}");
    assert_eq!(receiver.newest("bookworm"), newest);
    // nor does it as one that stands alone
    twin.state("bookworm", &[evil[0], ("more", b"y")], 5);
    let whole = twin.export(&["bookworm"], "none");
    not_shown(receiver.import(&whole.path));
}

/// Keeps what is warned of.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Reporter for Warnings {
    fn event(&self, event: Report<'_>) {
        if let Report::Warning { text, .. } = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

fn warned(receiver: &Side, path: &Path) -> Vec<String> {
    let warnings = Warnings::default();
    let outcome = import(&receiver.store, &[path.into()], RULELESS, at(200), &warnings).unwrap().remove(0);
    imported(outcome);
    warnings.0.into_inner().unwrap()
}

#[test]
fn a_new_epoch_begins_anew_and_says_what_goes_back() {
    let (collector, receiver) = acquainted();
    collector.debs(&[("foo", "2.0")], &[], 1);
    imported(receiver.import(&collector.export(&["debs"], "none").path));
    // set back: it knows nothing of what it sent, and a receipt does not help
    let set_back = collector.twin();
    set_back.believe_receipts_of(&receiver);
    receipt::apply(&set_back.store, &receiver.receipt(200), Backwards::Allowed, at(400)).unwrap();
    set_back.debs(&[("foo", "1.0")], &[], 1);
    let (_, hint) = not_shown(receiver.import(&set_back.export(&["debs"], "acknowledged").path));
    assert!(hint.contains("`chantal trust epoch`"), "{hint}");
    set_back.amend(&[&set_back.key], |change| assert!(change.raise_epoch().is_ok()));
    let anew = set_back.export(&["debs"], "acknowledged");
    let warnings = warned(&receiver, &anew.path);
    assert!(warnings.iter().any(|w| w.contains("foo goes back from 2.0 to 1.0")), "{warnings:?}");
    assert_eq!(receiver.newest("debs"), set_back.newest("debs"));
}

#[test]
fn a_site_that_lost_what_it_held_can_be_given_all_again() {
    let (collector, receiver) = sides();
    let held = collector.debs(&[("foo", "2.0")], &["AA"], 1);
    imported(receiver.import(&collector.export(&["debs"], "none").path));
    collector.debs(&[("foo", "1.0")], &["AA", "BB"], 2);
    let whole = collector.export(&["debs"], "none");
    not_shown(receiver.import(&whole.path));
    fs::remove_file(receiver.store.pool().path(&held.evidence.unwrap())).unwrap();
    let warnings = warned(&receiver, &whole.path);
    assert!(
        warnings.iter().any(|w| w.contains("what it changes of `debs` here is not known")),
        "{warnings:?}"
    );
}
