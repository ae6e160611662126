use std::{fs, path::Path};

use chantal_contract::Digest;
use jiff::Timestamp;

use super::*;
use crate::store::{Address, Name, SnapshotName, StateRef, Store};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn site() -> SiteName {
    SiteName::new("hq").unwrap()
}

fn new() -> (tempfile::TempDir, Store) {
    let dir = crate::store::tests::scratch();
    let store = Store::create(dir.path(), &site(), at(0)).unwrap();
    (dir, store)
}

fn state(text: &str) -> StateRef {
    StateRef { manifest: Digest::of(text.as_bytes()), evidence: None, date: Some(at(7)), valid_until: None }
}

fn synced(text: &str) -> Event {
    Event::State { repository: Name::new("bookworm").unwrap(), state: state(text), complete: true }
}

fn newest(store: &Store) -> Option<Digest> {
    store.catalog().newest(&Name::new("bookworm").unwrap()).unwrap().map(|r| r.state.manifest)
}

fn journal(dir: &Path) -> std::path::PathBuf {
    dir.join("journal.jsonl")
}

#[test]
fn an_append_is_found_by_all_that_look() {
    let (dir, store) = new();
    let other = Store::open(dir.path()).unwrap();
    assert_eq!(store.journal().append(synced("1"), at(1)).unwrap(), 2);
    assert_eq!(newest(&other), Some(state("1").manifest));
    assert_eq!(other.journal().append(synced("2"), at(2)).unwrap(), 3);
    assert_eq!(newest(&store), Some(state("2").manifest));
    let name = SnapshotName::new("v1").unwrap();
    let repository = Name::new("bookworm").unwrap();
    let event = Event::Named { repository, name, state: state("1") };
    store.journal().append(event.clone(), at(3)).unwrap();
    let found = other.catalog().resolve(&Address::parse("bookworm@v1").unwrap()).unwrap();
    assert_eq!((found.number, found.state), (4, state("1")));
    let entries: Vec<Entry> = store.journal().read().map(|e| e.unwrap()).collect();
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[3], Entry { number: 4, at: at(3), event });
    assert_eq!(store.journal().verify().unwrap().entries, 4);
}

#[test]
fn many_append_at_once_and_each_entry_follows_the_last() {
    let (dir, store) = new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            // each opens the store anew: the kernel's locks keep them apart as they would two processes
            let store = Store::open(dir.path()).unwrap();
            scope.spawn(move || {
                for n in 0..20 {
                    store.journal().append(synced(&format!("{thread} {n}")), at(n)).unwrap();
                }
            });
        }
    });
    assert_eq!(store.journal().verify().unwrap().entries, 81);
    let history = store.catalog().history(&Name::new("bookworm").unwrap()).unwrap();
    assert_eq!(history.iter().map(|r| r.number).rev().collect::<Vec<_>>(), (2..=81).collect::<Vec<_>>());
    assert!(store.verify_decisions().unwrap().is_good());
}

#[test]
fn what_is_not_there_is_named_beside_what_is() {
    let (_dir, store) = new();
    store.journal().append(synced("1"), at(1)).unwrap();
    let error = store.catalog().resolve(&Address::parse("bookwrm").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "there is no repository `bookwrm`");
    assert_eq!(error.hint().unwrap(), "there is `bookworm`");
    let error = store.catalog().resolve(&Address::parse("bookworm@x").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "there is no snapshot `bookworm@x`");
}

#[test]
fn a_store_is_made_once() {
    let (dir, _store) = new();
    assert!(matches!(Store::create(dir.path(), &site(), at(0)), Err(StoreError::Exists { .. })));
    let empty = crate::store::tests::scratch();
    assert!(matches!(Store::open(empty.path()), Err(StoreError::NoStore { .. })));
}

#[test]
fn a_torn_tail_never_was_a_commit() {
    let (dir, store) = new();
    store.journal().append(synced("1"), at(1)).unwrap();
    let whole = fs::read(journal(dir.path())).unwrap();
    store.journal().append(synced("2"), at(2)).unwrap();
    let longer = fs::read(journal(dir.path())).unwrap();
    drop(store);
    for cut in (whole.len() + 1..longer.len()).rev().step_by(stride(17)) {
        for catalog in ["behind", "missing"] {
            fs::write(journal(dir.path()), &longer[..cut]).unwrap();
            fs::remove_file(dir.path().join("catalog.sqlite")).unwrap();
            if catalog == "behind" {
                fs::write(journal(dir.path()), &whole).unwrap();
                drop(Store::open(dir.path()).unwrap());
                fs::write(journal(dir.path()), &longer[..cut]).unwrap();
            }
            let store = Store::open(dir.path()).unwrap();
            assert_eq!(newest(&store), Some(state("1").manifest), "{cut} {catalog}");
            assert_eq!(store.catalog().settlement().torn, (cut - whole.len()) as u64);
            assert_eq!(fs::read(journal(dir.path())).unwrap(), whole);
        }
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.journal().append(synced("2"), at(2)).unwrap(), 3);
    assert_eq!(fs::read(journal(dir.path())).unwrap(), longer);
}

#[test]
fn any_flipped_bit_is_found() {
    let (dir, store) = new();
    store.journal().append(synced("1"), at(1)).unwrap();
    store.journal().append(synced("2"), at(2)).unwrap();
    let good = fs::read(journal(dir.path())).unwrap();
    for (byte, bit) in (0..good.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut bad = good.clone();
        bad[byte] ^= 1 << bit;
        fs::write(journal(dir.path()), &bad).unwrap();
        let found = store.journal().verify();
        // an end without its LF, or with a zero in it, is what a crash leaves: the catalog gives the line back
        let torn = byte + 1 == good.len() || bad[byte] == 0;
        match found {
            Err(StoreError::Damaged { place, .. }) => assert!(place.starts_with("line "), "{place}"),
            Ok(report) => assert!(torn && report.entries == 2, "byte {byte}: {report:?}"),
            Err(other) => panic!("byte {byte}: {other}"),
        }
    }
}

#[test]
fn what_was_committed_comes_back_from_the_catalog() {
    let (dir, store) = new();
    for n in 1..=5 {
        store.journal().append(synced(&n.to_string()), at(n)).unwrap();
    }
    let good = fs::read(journal(dir.path())).unwrap();
    drop(store);
    let second = good.iter().position(|b| *b == b'\n').unwrap() + 1;
    for keep in [second, good.len() - 1, good.len() - 9, 0] {
        fs::write(journal(dir.path()), &good[..keep]).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(store.catalog().settlement().regrown >= 1, "{keep}");
        assert_eq!(newest(&store), Some(state("5").manifest));
        assert_eq!(fs::read(journal(dir.path())).unwrap(), good);
    }
}

/// Returns how far apart the places are that are looked at; `CHANTAL_EVERY_POINT=1` looks at all.
fn stride(some: usize) -> usize {
    if std::env::var_os("CHANTAL_EVERY_POINT").is_some() { 1 } else { some }
}

#[test]
fn a_journal_that_is_cut_at_any_byte_is_grown_again_or_ends_with_a_whole_line() {
    let (dir, store) = new();
    for n in 1..=4 {
        store.journal().append(synced(&n.to_string()), at(n)).unwrap();
    }
    let good = fs::read(journal(dir.path())).unwrap();
    let line_ends: Vec<usize> = (1..=good.len()).filter(|end| good[end - 1] == b'\n').collect();
    assert_eq!(line_ends.len(), 5);
    drop(store);
    let catalog = fs::read(dir.path().join("catalog.sqlite")).unwrap();
    let near = line_ends.iter().flat_map(|end| [end - 1, *end, end + 1]).filter(|cut| *cut < good.len());
    for cut in (0..good.len()).step_by(stride(23)).chain(near) {
        fs::write(dir.path().join("catalog.sqlite"), &catalog).unwrap();
        fs::write(journal(dir.path()), &good[..cut]).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(newest(&store), Some(state("4").manifest), "cut at {cut}");
        assert!(fs::read(journal(dir.path())).unwrap() == good, "cut at {cut}");
        drop(store);
        // without a catalog, what was whole stands, and what was not never was
        fs::remove_file(dir.path().join("catalog.sqlite")).unwrap();
        fs::write(journal(dir.path()), &good[..cut]).unwrap();
        let whole = line_ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(0);
        match Store::open(dir.path()) {
            Ok(store) => {
                assert!(whole > 0, "a store without its first line, cut at {cut}");
                let entries = store.journal().verify().unwrap().entries;
                assert_eq!(
                    usize::try_from(entries).unwrap(),
                    good[..whole].split(|b| *b == b'\n').count() - 1,
                    "cut at {cut}"
                );
                assert_eq!(fs::read(journal(dir.path())).unwrap().len(), whole, "cut at {cut}");
            }
            Err(error) => assert_eq!(whole, 0, "cut at {cut}: {error}"),
        }
    }
}

#[test]
fn a_journal_whose_lines_were_taken_out_swapped_doubled_or_put_in_is_found_out() {
    let (dir, store) = new();
    for n in 1..=4 {
        store.journal().append(synced(&n.to_string()), at(n)).unwrap();
    }
    let good = fs::read_to_string(journal(dir.path())).unwrap();
    drop(store);
    let (other_dir, other) = new();
    for n in 1..=4 {
        other.journal().append(synced("other"), at(n)).unwrap();
    }
    drop(other);
    let others = fs::read_to_string(journal(other_dir.path())).unwrap();
    let (lines, foreign): (Vec<&str>, Vec<&str>) = (good.lines().collect(), others.lines().collect());
    let catalog = fs::read(dir.path().join("catalog.sqlite")).unwrap();
    let mut edited: Vec<(String, String)> = Vec::new();
    for n in 0..lines.len() {
        let mut add = |what: &str, from: usize, instead: &[&'_ str]| {
            let end = n + from;
            if end <= lines.len() {
                let other = [&lines[..n], instead, &lines[end..]].concat().join("\n") + "\n";
                edited.push((format!("line {n} {what}"), other));
            }
        };
        add("doubled", 0, &[lines[n]]);
        add("behind an empty one", 0, &[""]);
        if let Some(next) = lines.get(n + 1) {
            add("taken out", 1, &[]);
            add("swapped with the next", 2, &[next, lines[n]]);
        }
        if n > 0 {
            add("of another store", 1, &[foreign[n]]);
            add("of another store put in", 0, &[foreign[n]]);
        }
    }
    for (what, text) in edited {
        for kept in [true, false] {
            fs::write(dir.path().join("catalog.sqlite"), &catalog).unwrap();
            if !kept {
                fs::remove_file(dir.path().join("catalog.sqlite")).unwrap();
            }
            fs::write(journal(dir.path()), &text).unwrap();
            let found = Store::open(dir.path()).and_then(|store| store.journal().verify());
            let known = matches!(
                &found,
                Err(StoreError::Damaged { .. } | StoreError::Newer { .. } | StoreError::Diverged { .. })
            );
            assert!(known, "{what}, catalog kept: {kept}: {found:?}");
        }
    }
}

#[test]
fn a_catalog_that_is_lost_damaged_old_or_foreign_is_replayed() {
    let (dir, store) = new();
    store.journal().append(synced("1"), at(1)).unwrap();
    let catalog = dir.path().join("catalog.sqlite");
    drop(store);
    let old = fs::read(&catalog).unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.journal().append(synced("2"), at(2)).unwrap();
    drop(store);
    let (other_dir, other) = new();
    for n in 0..9 {
        other.journal().append(synced("other"), at(100 + n)).unwrap();
    }
    drop(other);
    let foreign = fs::read(other_dir.path().join("catalog.sqlite")).unwrap();
    let mut rotten = old.clone();
    for byte in rotten.iter_mut().skip(200).step_by(97) {
        *byte ^= 0xff;
    }
    for (what, bytes) in [
        ("lost", None),
        ("old", Some(old)),
        ("foreign", Some(foreign)),
        ("text", Some(b"not a database at all, but long enough to be looked at".repeat(100))),
        ("rotten", Some(rotten)),
        ("empty", Some(Vec::new())),
    ] {
        fs::remove_file(&catalog).unwrap();
        if let Some(bytes) = bytes {
            fs::write(&catalog, bytes).unwrap();
        }
        let store = Store::open(dir.path()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(newest(&store), Some(state("2").manifest), "{what}");
        assert_eq!(store.site(), &site());
        assert_eq!(store.journal().verify().unwrap().entries, 3, "{what}");
    }
}

#[test]
fn a_catalog_that_rots_while_it_is_used_still_answers_right() {
    for table in ["state", "entry", "named"] {
        let (dir, store) = new();
        for n in 1..=50 {
            store.journal().append(synced(&n.to_string()), at(n)).unwrap();
        }
        store.vacuum().unwrap();
        drop(store);
        let path = dir.path().join("catalog.sqlite");
        let root: usize = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("SELECT rootpage FROM sqlite_master WHERE name = ?", [table], |row| row.get(0))
            .unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[(root - 1) * 4096..root * 4096].fill(0xa5);
        fs::write(&path, bytes).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(newest(&store), Some(state("50").manifest), "{table}");
        let all = store.catalog().resolve(&Address::parse("bookworm@none").unwrap()).unwrap_err();
        assert!(matches!(all, StoreError::NotFound { .. }), "{table}: {all}");
        assert!(store.catalog().settlement().put_aside, "{table}");
        assert!(store.verify_decisions().unwrap().is_good(), "{table}");
    }
}

#[test]
fn a_catalog_whose_copy_of_the_journal_has_a_gap_gives_nothing_back() {
    let (dir, store) = new();
    for n in 1..=4 {
        store.journal().append(synced(&n.to_string()), at(n)).unwrap();
    }
    let good = fs::read(journal(dir.path())).unwrap();
    drop(store);
    let ends: Vec<usize> = (0..good.len()).filter(|at| good[*at] == b'\n').map(|at| at + 1).collect();
    let catalog = rusqlite::Connection::open(dir.path().join("catalog.sqlite")).unwrap();
    assert_eq!(catalog.execute("DELETE FROM entry WHERE number = 4", []).unwrap(), 1);
    drop(catalog);
    fs::write(journal(dir.path()), &good[..ends[1]]).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("its copy of the journal is broken"), "{error}");
    assert_eq!(fs::read(journal(dir.path())).unwrap(), &good[..ends[1]], "nothing was written behind a gap");
}

#[test]
fn what_a_newer_version_wrote_is_refused_as_such() {
    let (dir, store) = new();
    let tail = store.journal().verify().unwrap();
    let known = Line::new(2, at(1), tail.head, synced("1")).unwrap();
    // what a later version would write: another event, with a check that fits
    let body = known.text().replace("\"what\":\"state\"", "\"what\":\"moved\"");
    let body = &body[..body.rfind(",\"check\"").unwrap()];
    let check = &Digest::of(body.as_bytes()).hex()[..16];
    let mut text = fs::read_to_string(journal(dir.path())).unwrap();
    text = format!("{text}{body},\"check\":\"{check}\"}}\n");
    fs::write(journal(dir.path()), text).unwrap();
    drop(store);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Newer { found, .. } if found.contains("moved")), "{error}");
}

#[test]
fn a_line_that_is_whole_and_does_not_follow_is_found() {
    let (dir, store) = new();
    let tail = store.journal().verify().unwrap();
    let first = fs::read_to_string(journal(dir.path())).unwrap();
    drop(store);
    for (number, prev, why) in [
        (2, Digest::of(b"elsewhere"), "does not follow the line before it"),
        (3, tail.head, "it is numbered 3"),
    ] {
        let line = Line::new(number, at(1), prev, synced("1")).unwrap();
        fs::write(journal(dir.path()), format!("{first}{}\n", line.text())).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_store_of_a_newer_layout_is_left_alone() {
    let dir = crate::store::tests::scratch();
    drop(Store::create(dir.path(), &site(), at(0)).unwrap());
    fs::remove_file(dir.path().join("catalog.sqlite")).unwrap();
    let newer = Event::Init { site: site(), format: FORMAT + 1 };
    let line = Line::new(1, at(0), Tail::NONE.hash, newer).unwrap();
    fs::write(journal(dir.path()), format!("{}\n", line.text())).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Newer { found, .. } if found == "format 2"), "{error}");
}
