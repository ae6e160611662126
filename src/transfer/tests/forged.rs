//! Bundles that a trusted key signed and that lie all the same.

use std::num::NonZeroU32;

use chantal_bundle::{
    Epoch, Namespace, Sequence,
    delta::Edit,
    index::{
        ReviewLine, Writer,
        review::{ListedPackage, Side as Of, Signer, SignerKind},
    },
    manifest::{self, CELL, CarriedState, Counts, Delivery, IndexFile, ReviewFiles, TrustLink},
    seal,
};
use chantal_contract::Measured;

use super::review::Reviewed;
use super::*;
use crate::trust::sshsig;

const EVIDENCE: &str = "chantal-evidence\t1";
const NOTHING: ReviewLine = ReviewLine::Begin { base: 0, packages: 0 };

fn told(lines: &[ReviewLine]) -> Vec<ReviewLine> {
    std::iter::once(NOTHING).chain(lines.iter().cloned()).collect()
}

/// A bundle of one state, as a forger would have it.
struct Forgery {
    lines: Vec<String>,
    /// What the manifest says that the lines hash to; the truth when left out.
    promised: Option<Digest>,
    format: Kind,
    counts: Counts,
    evidence: Option<Digest>,
    /// Lines of the evidence list after its first, as the index has them.
    listed: Option<Vec<String>>,
    sequence: u64,
    site: &'static str,
    collector: &'static str,
    /// What the manifest says of the trust document; the truth when left out.
    chain: Option<Digest>,
    /// What the index tells of packages; the truth is that there are none.
    told: Vec<ReviewLine>,
    /// Spoils what the manifest says of the review.
    review: fn(&mut ReviewFiles),
    requires: Vec<String>,
}

impl Forgery {
    fn new(lines: &[String]) -> Self {
        Self {
            lines: lines.to_vec(),
            promised: None,
            format: Kind::Apt,
            counts: Counts::default(),
            evidence: None,
            listed: None,
            sequence: 1,
            site: "plant-7",
            collector: "hq",
            chain: None,
            told: vec![NOTHING],
            review: |_| {},
            requires: Vec::new(),
        }
    }

    /// Writes the bundle, signed by the collector.
    fn write(&self, collector: &Side) -> PathBuf {
        let header = apt_header();
        let first = header.first_line().unwrap();
        let whole: String =
            std::iter::once(&first).chain(&self.lines).fold(String::new(), |t, l| t + l + "\n");
        let digest = self.promised.unwrap_or_else(|| Digest::of(whole.as_bytes()));
        let mut index = Writer::new(Vec::new(), NonZeroU32::new(CELL).unwrap()).unwrap();
        index.state(&name("bookworm"), digest, None).unwrap();
        index.first(&first).unwrap();
        for line in &self.lines {
            index.edit(Edit::Added(line)).unwrap();
        }
        if let (Some(list), Some(lines)) = (self.evidence, &self.listed) {
            index.evidence(list, None).unwrap();
            index.first(EVIDENCE).unwrap();
            for line in lines {
                index.edit(Edit::Added(line)).unwrap();
            }
        }
        self.told.iter().for_each(|line| index.review(line).unwrap());
        let (bytes, open_size, _) = index.finish().unwrap();
        let document = TrustDocument::first(site("hq"), collector.key.public());
        let chain = document.encode().unwrap();
        let mut manifest = Manifest {
            version: manifest::VERSION,
            requires: Vec::new(),
            collector: site(self.collector),
            site: site(self.site),
            epoch: Epoch::FIRST,
            sequence: Sequence::new(self.sequence).unwrap(),
            created: at(0),
            delivery: Delivery::Full,
            expected_next_by: None,
            trust: vec![TrustLink { version: 1, sha256: self.chain.unwrap_or(Digest::of(&chain)) }],
            bases: Vec::new(),
            presumed: Vec::new(),
            states: vec![CarriedState {
                repository: name("bookworm"),
                manifest: digest,
                base: None,
                evidence: self.evidence,
                names: Vec::new(),
                format: self.format,
                mode: Mode::Hosted,
                date: None,
                valid_until: None,
                files: 0,
                bytes: 0,
            }],
            index: IndexFile { size: bytes.len() as u64, sha256: Digest::of(&bytes), open_size },
            review: export::NO_REVIEW,
            cell: CELL,
            volumes: Vec::new(),
            parity: None,
            origins: Vec::new(),
            counts: self.counts,
        };
        let reviewed = review::make(&manifest, bytes.as_slice(), open_size)
            .and_then(|made| Reviewed::new(&made))
            .unwrap();
        manifest.review = reviewed.files();
        (self.review)(&mut manifest.review);
        let mut text = String::from_utf8(manifest.encode().unwrap()).unwrap();
        if let [feature] = self.requires.as_slice() {
            let needs = format!("\"requires\": [\n    \"{feature}\"\n  ]");
            text = text.replace("\"requires\": []", &needs);
        }
        let dir = collector.dir.path().join("forged");
        for sub in ["", seal::TRUST, seal::SIGNATURES] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let sign = |namespace, bytes: &[u8]| sshsig::sign(&collector.key, namespace, bytes).unwrap();
        let put = |name: String, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
        let key = collector.key.fingerprint();
        put("index.zst".into(), &bytes);
        put("manifest.json".into(), text.as_bytes());
        put(seal::collector_signature(&key), sign(Namespace::Bundle, text.as_bytes()).as_bytes());
        put(seal::trust_document(1), &chain);
        put(seal::trust_signature(1, &key), sign(Namespace::Trust, &chain).as_bytes());
        dir
    }
}

fn file(path: &str, content: &[u8]) -> String {
    let measured = Measured { sha256: Digest::of(content), size: content.len() as u64 };
    format!("file\t{path}\t{}\t{}\tpayload", measured.sha256, measured.size)
}

fn package() -> ListedPackage {
    let group = chantal_contract::Group { name: "hello:amd64".into(), stream: None };
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
    imported(receiver.import(&forgery.write(&collector)));
}

#[test]
fn every_lie_is_found_before_anything_becomes_current() {
    let (collector, receiver) = sides();
    // The receiver holds one blob, so that an honest forgery would apply.
    let batch = receiver.store.pool().batch().unwrap();
    batch.put(b"held").unwrap();
    batch.flush().unwrap();
    let good = Forgery::new(&[file("a", b"held")]);
    let lies = [
        ("a path that leaves its tree", Forgery::new(&[file("../../etc/passwd", b"held")])),
        ("an absolute path", Forgery::new(&[file("/etc/passwd", b"held")])),
        ("a line that is none", Forgery::new(&["file\ta".into()])),
        ("a path twice", Forgery::new(&[file("a", b"held"), file("a", b"held").replace("payload", "w")])),
        ("a blob that is nowhere", Forgery::new(&[file("a", b"nowhere")])),
        ("another size", Forgery::new(&[file("a", b"held").replace("\t4\t", "\t5\t")])),
        ("another digest", Forgery { promised: Some(Digest::of(b"other")), ..Forgery::new(&good.lines) }),
        ("another format", Forgery { format: Kind::Rpm, ..Forgery::new(&good.lines) }),
        (
            "records that are not there",
            Forgery { counts: Counts { records: 1, ..Counts::default() }, ..Forgery::new(&good.lines) },
        ),
        (
            "evidence that is not there",
            Forgery { evidence: Some(Digest::of(b"evidence")), ..Forgery::new(&good.lines) },
        ),
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
        ("another site", Forgery { site: "plant-8", ..Forgery::new(&good.lines) }),
        ("another stream", Forgery { collector: "ship-3", ..Forgery::new(&good.lines) }),
        ("another chain", Forgery { chain: Some(Digest::of(b"other")), ..Forgery::new(&good.lines) }),
        ("a feature of the future", Forgery { requires: vec!["parity".into()], ..Forgery::new(&good.lines) }),
    ];
    let entries = receiver.entries();
    for (what, lie) in lies {
        println!("{what}");
        let error = refused(receiver.import(&lie.write(&collector)));
        assert!(receiver.newest("bookworm").is_none(), "{what}: {error}");
        if what.contains("feature") {
            assert!(error.to_string().contains("`parity`"), "{error}");
        }
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
    let key = "signed\tdists/stable/InRelease\tAB12";
    let list = Digest::of(format!("{EVIDENCE}\n{key}\n").as_bytes());
    let honest = Forgery {
        evidence: Some(list),
        listed: Some(vec![key.into()]),
        told: told(&[signer()]),
        ..Forgery::new(&[file("a", b"held")])
    };
    imported(receiver.import(&honest.write(&collector)));
    let state = receiver.newest("bookworm").unwrap();
    let again = |forgery: Forgery| Forgery {
        promised: Some(state.manifest),
        evidence: Some(list),
        told: told(&[signer()]),
        sequence: 2,
        ..forgery
    };
    let entries = receiver.entries();
    let lies = [
        // the review would not tell of the file
        ("fewer lines", Forgery { listed: honest.listed.clone(), ..Forgery::new(&[]) }),
        ("other lines", Forgery { listed: honest.listed.clone(), ..Forgery::new(&[file("b", b"held")]) }),
        ("fewer lines of evidence", Forgery { listed: Some(Vec::new()), ..Forgery::new(&honest.lines) }),
        (
            "other lines of evidence",
            Forgery { listed: Some(vec![key.replace("AB", "CD")]), ..Forgery::new(&honest.lines) },
        ),
    ];
    for (what, lie) in lies {
        let error = refused(receiver.import(&again(lie).write(&collector)));
        assert!(matches!(error, TransferError::Patch { .. }), "{what}: {error}");
    }
    assert_eq!(receiver.entries(), entries);
    let truth = Forgery { listed: honest.listed.clone(), ..Forgery::new(&honest.lines) };
    imported(receiver.import(&again(truth).write(&collector)));
}
