//! Bundles of one state, made by somebody who holds keys and keeps no rule.

use std::num::NonZeroU32;

use chantal_bundle::{
    Epoch, Namespace, Sequence, VolumeNumber,
    delta::Edit,
    index::{
        Member, ReviewLine, VolumeEntry, Writer,
        review::{FileKind, ListedFile, Side as Of},
    },
    manifest::{self, CELL, CarriedState, Counts, Delivery, IndexFile, ReviewFiles, TrustLink, VolumeFile},
    seal,
    trust::Link,
};
use chantal_contract::Measured;

use super::review::Reviewed;
use super::*;
use crate::trust::sshsig;

/// The first line of an evidence list.
pub(super) const EVIDENCE: &str = "chantal-evidence\t1";
/// What an index tells of no packages.
pub(super) const NOTHING: ReviewLine = ReviewLine::Begin { base: 0, packages: 0 };

/// A volume's bytes, whatever they are, and what the index says that they hold.
pub(super) struct ForgedVolume {
    pub bytes: Vec<u8>,
    pub members: Vec<Member>,
}

/// A bundle of one state; what nobody spoils is as it should be.
pub(super) struct Forgery {
    /// The state's lines.
    pub lines: Vec<String>,
    /// What the manifest says that they hash to; the truth when left out.
    pub promised: Option<Digest>,
    /// The digest of the state's evidence list, and the lines that the index has of it after its first.
    pub evidence: Option<(Digest, Vec<String>)>,
    /// What the index tells of packages.
    pub told: Vec<ReviewLine>,
    /// What it tells of files that belong to no package, which is what all of them are.
    pub strays: Vec<ReviewLine>,
    pub volumes: Vec<ForgedVolume>,
    /// Spoils the manifest, before its review is made.
    pub manifest: Box<dyn Fn(&mut Manifest)>,
    /// Spoils what the manifest says of the review.
    pub review: fn(&mut ReviewFiles),
    /// Spoils the file of the index; the manifest lists what comes out.
    pub index: Box<dyn Fn(Vec<u8>) -> Vec<u8>>,
    /// Spoils the manifest's text, before it is signed.
    pub text: Box<dyn Fn(String) -> Vec<u8>>,
}

impl Forgery {
    pub fn new(lines: &[String]) -> Self {
        Self {
            lines: lines.to_vec(),
            promised: None,
            evidence: None,
            told: vec![NOTHING],
            strays: lines.iter().filter_map(|line| stray(line)).collect(),
            volumes: Vec::new(),
            manifest: Box::new(|_| {}),
            review: |_| {},
            index: Box::new(|bytes| bytes),
            text: Box::new(String::into_bytes),
        }
    }

    /// A bundle whose manifest lies.
    pub fn lying(lines: &[String], spoil: impl Fn(&mut Manifest) + 'static) -> Self {
        Self { manifest: Box::new(spoil), ..Self::new(lines) }
    }

    /// Writes the bundle, signed by the collector.
    pub fn write(&self, collector: &Side) -> PathBuf {
        let document = TrustDocument::first(site("hq"), collector.key.public()).encode().unwrap();
        let signature = sshsig::sign(&collector.key, Namespace::Trust, &document).unwrap();
        let chain = [Link { document, signatures: vec![signature.into_bytes()] }];
        let dir = collector.dir.path().join("forged");
        let _ = fs::remove_dir_all(&dir);
        self.write_to(&dir, &chain, &[&collector.key])
    }

    /// Writes the bundle under a trust chain, signed by some keys.
    pub fn write_to(&self, dir: &Path, chain: &[Link], keys: &[&SiteKey]) -> PathBuf {
        let (good, open_size, mut manifest) = self.make(chain);
        (self.manifest)(&mut manifest);
        // of what no review can be made, a forger sends none
        let made = review::make(&manifest, good.as_slice(), open_size).and_then(|made| Reviewed::new(&made));
        manifest.review = made.as_ref().map_or(export::NO_REVIEW, Reviewed::files);
        (self.review)(&mut manifest.review);
        let index = (self.index)(good);
        manifest.index.size = index.len() as u64;
        manifest.index.sha256 = Digest::of(&index);
        let text = (self.text)(String::from_utf8(manifest.encode().unwrap()).unwrap());
        for sub in ["", seal::TRUST, seal::SIGNATURES] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let put = |name: String, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
        put("index.zst".into(), &index);
        put("manifest.json".into(), &text);
        for (number, volume) in (1..).zip(&self.volumes) {
            put(VolumeNumber::new(number).unwrap().file_name(), &volume.bytes);
        }
        for key in keys {
            let signature = sshsig::sign(key, Namespace::Bundle, &text).unwrap();
            put(seal::collector_signature(&key.fingerprint()), signature.as_bytes());
        }
        for (version, link) in (1..).zip(chain) {
            put(seal::trust_document(version), &link.document);
            for signature in &link.signatures {
                let by = sshsig::verify(Namespace::Trust, &link.document, signature).unwrap();
                put(seal::trust_signature(version, &by.fingerprint()), signature);
            }
        }
        dir.into()
    }

    /// Makes index and manifest as they should be.
    fn make(&self, chain: &[Link]) -> (Vec<u8>, u64, Manifest) {
        let first = plain_header().first_line().unwrap();
        let whole: String =
            std::iter::once(&first).chain(&self.lines).fold(String::new(), |t, l| t + l + "\n");
        let digest = self.promised.unwrap_or_else(|| Digest::of(whole.as_bytes()));
        let mut index = Writer::new(Vec::new(), NonZeroU32::new(CELL).unwrap()).unwrap();
        index.state(&name("bookworm"), digest, None).unwrap();
        index.first(&first).unwrap();
        for line in &self.lines {
            index.edit(Edit::Added(line)).unwrap();
        }
        if let Some((list, lines)) = &self.evidence {
            index.evidence(*list, None).unwrap();
            index.first(EVIDENCE).unwrap();
            for line in lines {
                index.edit(Edit::Added(line)).unwrap();
            }
        }
        let (advisories, told): (Vec<_>, Vec<_>) =
            self.told.iter().partition(|line| matches!(line, ReviewLine::Advisory(_)));
        let told = told.into_iter().chain(&self.strays).chain(advisories);
        told.for_each(|line| index.review(line).unwrap());
        let mut counts = Counts::default();
        for (number, volume) in (1..).zip(&self.volumes) {
            let cells: Vec<Digest> = volume.bytes.chunks(CELL as usize).map(Digest::of).collect();
            let measured = measured(&volume.bytes);
            let number = VolumeNumber::new(number).unwrap();
            index.volume(VolumeEntry { number, measured }, &cells).unwrap();
            for member in &volume.members {
                index.member(member).unwrap();
                counts.blobs += 1;
                counts.bytes += member.blob.size;
            }
        }
        let (bytes, open_size, _) = index.finish().unwrap();
        let volumes = self.volumes.iter().map(|volume| VolumeFile {
            size: (volume.bytes.len() as u64).try_into().unwrap(),
            sha256: Digest::of(&volume.bytes),
        });
        let sizes = self.lines.iter().filter_map(|line| line.split('\t').nth(3)?.parse::<u64>().ok());
        let links = (1..).zip(chain);
        let manifest = Manifest {
            version: manifest::VERSION,
            requires: Vec::new(),
            collector: site("hq"),
            site: site("plant-7"),
            epoch: Epoch::FIRST,
            sequence: Sequence::FIRST,
            created: at(0),
            delivery: Delivery::Full,
            expected_next_by: None,
            trust: links.map(|(version, l)| TrustLink { version, sha256: Digest::of(&l.document) }).collect(),
            bases: Vec::new(),
            presumed: Vec::new(),
            states: vec![CarriedState {
                repository: name("bookworm"),
                manifest: digest,
                base: None,
                evidence: self.evidence.as_ref().map(|(list, _)| *list),
                names: Vec::new(),
                format: Kind::Pypi,
                mode: Mode::Filtered,
                date: None,
                valid_until: None,
                files: sizes.clone().count() as u64,
                bytes: sizes.sum(),
            }],
            index: IndexFile { size: bytes.len() as u64, sha256: Digest::of(&bytes), open_size },
            review: export::NO_REVIEW,
            cell: CELL,
            volumes: volumes.collect(),
            parity: None,
            origins: Vec::new(),
            counts,
        };
        (bytes, open_size, manifest)
    }
}

pub(super) fn measured(content: &[u8]) -> Measured {
    Measured { sha256: Digest::of(content), size: content.len() as u64 }
}

/// A line of a state about a file with this content.
pub(super) fn file(path: &str, content: &[u8]) -> String {
    let measured = measured(content);
    format!("file\t{path}\t{}\t{}\tpayload", measured.sha256, measured.size)
}

fn stray(line: &str) -> Option<ReviewLine> {
    let Ok(Line::File { path, entry: Entry::Present { measured, .. } }) = Line::parse(line) else {
        return None;
    };
    Some(ReviewLine::File(Of::New, ListedFile { path, kind: FileKind::Stray, measured }))
}
