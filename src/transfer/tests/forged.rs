//! Bundles that a trusted key signed and that lie all the same.

use chantal_bundle::{
    index::{
        ReviewLine,
        review::{ListedPackage, Side as Of, Signer, SignerKind},
    },
    manifest::ReviewFiles,
};

use super::forge::{EVIDENCE, Forgery, NOTHING, file};
use super::*;

mod manifests;
mod volumes;

fn told(lines: &[ReviewLine]) -> Vec<ReviewLine> {
    std::iter::once(NOTHING).chain(lines.iter().cloned()).collect()
}

fn package() -> ListedPackage {
    let group = chantal_contract::Group { name: "hello".into(), stream: None };
    ListedPackage { group, key: Key::new("hello", "1", "amd64"), sha256: Some(Digest::of(b"held")), size: 4 }
}

fn signer() -> ReviewLine {
    ReviewLine::Signer(Signer { kind: SignerKind::Signed, key: Fingerprint("AB12".into()), side: Of::New })
}

fn advisory() -> ReviewLine {
    let (kind, severity, title) = (String::new(), String::new(), String::new());
    ReviewLine::Advisory(chantal_contract::Advisory {
        id: "A-1".into(),
        kind,
        severity,
        title,
        references: Vec::new(),
    })
}

#[test]
fn a_page_of_another_version_is_believed_by_its_digest() {
    let (collector, receiver) = sides();
    let batch = receiver.store.pool().batch().unwrap();
    batch.put(b"held").unwrap();
    batch.flush().unwrap();
    let later = |r: &mut ReviewFiles| (r.page, r.html.sha256) = (r.page + 1, Digest::of(b"a later page"));
    let forgery = Forgery { review: later, ..Forgery::new(&[file("a", b"held")]) };
    let dir = forgery.write(&collector);
    // and everybody is told that nothing else is known of it
    let notes = inspect(&receiver.store, std::slice::from_ref(&dir)).unwrap().remove(0).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("nothing proves that it shows")), "{notes:?}");
    let looked = look(&receiver.store, &dir).unwrap();
    assert!(looked.strange_page.is_some_and(|note| note.contains("--html")));
    imported(receiver.import(&dir));
}

/// A bundle with its review beside it, as somebody has it who is to approve it.
fn with_review(forgery: &Forgery, collector: &Side) -> PathBuf {
    let dir = forgery.write(collector);
    let manifest = Manifest::parse(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    let index = fs::read(dir.join("index.zst")).unwrap();
    let made = review::make(&manifest, index.as_slice(), manifest.index.open_size).unwrap();
    let made = review::Reviewed::new(&made).unwrap();
    fs::write(dir.join("review.json"), made.json).unwrap();
    fs::write(dir.join("REVIEW.html"), made.html).unwrap();
    dir
}

#[test]
fn numbers_that_people_decide_by_are_held_against_the_index() {
    let (collector, receiver) = sides();
    let good = Forgery::new(&[]);
    let looked = look(&receiver.store, &with_review(&good, &collector)).unwrap();
    assert_eq!(looked.review.bytes, 0);
    let lies: [fn(&mut Manifest); 3] =
        [|m| m.counts.bytes = 1 << 40, |m| m.counts.records = 1, |m| m.counts.records = u64::MAX];
    for lie in lies {
        let dir = with_review(&Forgery::lying(&[], lie), &collector);
        let is_the_counts = |error: TransferError| {
            assert!(matches!(error, TransferError::Contradiction { what: "the counts", .. }), "{error}");
        };
        is_the_counts(look(&receiver.store, &dir).unwrap_err());
        is_the_counts(
            verify(&receiver.store, std::slice::from_ref(&dir), &Silent).unwrap().remove(0).unwrap_err(),
        );
        is_the_counts(refused(receiver.import(&dir)));
    }
}

#[test]
fn every_lie_is_found_before_anything_becomes_current() {
    let (collector, receiver) = sides();
    // The receiver holds one blob, so that an honest forgery would apply.
    let batch = receiver.store.pool().batch().unwrap();
    batch.put(b"held").unwrap();
    batch.flush().unwrap();
    let good = Forgery::new(&[file("a", b"held")]);
    let lying = |spoil: fn(&mut Manifest)| Forgery::lying(&good.lines, spoil);
    let lies = [
        ("a path that leaves its tree", Forgery::new(&[file("../../etc/passwd", b"held")])),
        ("an absolute path", Forgery::new(&[file("/etc/passwd", b"held")])),
        ("a line that is none", Forgery::new(&["file\ta".into()])),
        ("a path twice", Forgery::new(&[file("a", b"held"), file("a", b"held").replace("payload", "w")])),
        ("a blob that is nowhere", Forgery::new(&[file("a", b"nowhere")])),
        ("another size", Forgery::new(&[file("a", b"held").replace("\t4\t", "\t5\t")])),
        ("another digest", Forgery { promised: Some(Digest::of(b"other")), ..Forgery::new(&good.lines) }),
        ("another format", lying(|m| m.states[0].format = Kind::Rpm)),
        ("records that are not there", lying(|m| m.counts.records = 1)),
        ("evidence that is not there", lying(|m| m.states[0].evidence = Some(Digest::of(b"evidence")))),
        ("more bytes than come", lying(|m| m.counts.bytes = 1)),
        ("more files than there are", lying(|m| m.states[0].files = u64::MAX)),
        ("fewer bytes of files than there are", lying(|m| m.states[0].bytes = 0)),
        ("another mode", lying(|m| m.states[0].mode = Mode::Hosted)),
        (
            "another review.json",
            Forgery { review: |r| r.json.sha256 = Digest::of(b"x"), ..Forgery::new(&good.lines) },
        ),
        (
            "another page",
            Forgery { review: |r| r.html.sha256 = Digest::of(b"x"), ..Forgery::new(&good.lines) },
        ),
        ("a page of another size", Forgery { review: |r| r.html.size += 1, ..Forgery::new(&good.lines) }),
        (
            "more packages than there are",
            Forgery { told: vec![ReviewLine::Begin { base: 0, packages: 1 }], ..Forgery::new(&good.lines) },
        ),
        (
            "a package that is not there",
            Forgery { told: told(&[ReviewLine::Package(Of::New, package())]), ..Forgery::new(&good.lines) },
        ),
        ("a key that signed nothing", Forgery { told: told(&[signer()]), ..Forgery::new(&good.lines) }),
        ("an advisory that nobody gave", Forgery { told: told(&[advisory()]), ..Forgery::new(&good.lines) }),
        ("a file that is not told of", Forgery { strays: Vec::new(), ..Forgery::new(&good.lines) }),
        ("another site", lying(|m| m.site = site("plant-8"))),
        ("another stream", lying(|m| m.collector = site("ship-3"))),
        ("another chain", lying(|m| m.trust[0].sha256 = Digest::of(b"other"))),
    ];
    let entries = receiver.entries();
    for (what, lie) in lies {
        println!("{what}");
        let error = refused(receiver.import(&lie.write(&collector)));
        assert!(receiver.newest("bookworm").is_none(), "{what}: {error}");
        assert_eq!(matches!(error, TransferError::WrongStream { .. }), what == "another stream", "{error}");
        assert_eq!(matches!(error, TransferError::OtherChain { .. }), what == "another chain", "{error}");
    }
    assert_eq!(receiver.entries(), entries);
    imported(receiver.import(&good.write(&collector)));
    assert_eq!(receiver.read("bookworm", "a"), b"held");
}

#[test]
fn a_delta_of_what_the_site_has_is_held_against_it_like_any_other() {
    let (collector, receiver) = sides();
    let batch = receiver.store.pool().batch().unwrap();
    batch.put(b"held").unwrap();
    batch.flush().unwrap();
    let key = "packages\tverified";
    let list = Digest::of(format!("{EVIDENCE}\n{key}\n").as_bytes());
    let with = |lines: &[String], listed: Vec<String>| Forgery {
        evidence: Some((list, listed)),
        ..Forgery::new(lines)
    };
    let lines = [file("a", b"held")];
    imported(receiver.import(&with(&lines, vec![key.into()]).write(&collector)));
    let state = receiver.newest("bookworm").unwrap();
    let again = |forgery: Forgery| Forgery {
        promised: Some(state.manifest),
        manifest: Box::new(|manifest| manifest.sequence = chantal_bundle::Sequence::new(2).unwrap()),
        ..forgery
    };
    let entries = receiver.entries();
    let lies = [
        // the review would not tell of the file
        ("fewer lines", with(&[], vec![key.into()])),
        ("other lines", with(&[file("b", b"held")], vec![key.into()])),
        ("fewer lines of evidence", with(&lines, Vec::new())),
        ("other lines of evidence", with(&lines, vec!["page\tx\ty\t1".into()])),
    ];
    for (what, lie) in lies {
        let error = refused(receiver.import(&again(lie).write(&collector)));
        assert!(matches!(error, TransferError::Patch { .. }), "{what}: {error}");
    }
    assert_eq!(receiver.entries(), entries);
    imported(receiver.import(&again(with(&lines, vec![key.into()])).write(&collector)));
}
