//! What proves to a third party what a collector signed: a bundle's manifest, its signatures and its trust chain in one file
//! (specification §12).
//!
//! A site that hands states on puts the proofs of the bundles that brought them into its own bundles, so that the last site can
//! demand the first collector's signature.

use chantal_contract::{
    Digest,
    limits::{BUNDLE_MANIFEST_BYTES, PROOF_BYTES, SIGNATURES, SSHSIG_BYTES, TRUST_BYTES, TRUST_VERSION},
};
use serde::{Deserialize, Serialize};

use crate::{
    json::{self, JsonError},
    trust::Link,
};

/// The version of this format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// The directory of a bundle that holds proofs.
pub const DIRECTORY: &str = "origin";

/// A bundle's front, unread: everything that says who signed what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The exact bytes of `manifest.json`.
    pub manifest: Vec<u8>,
    /// Armoured SSHSIG signatures over it in namespace `chantal-bundle`, rising.
    pub signatures: Vec<Vec<u8>>,
    /// The same in namespace `chantal-approval`.
    pub approvals: Vec<Vec<u8>>,
    /// The trust chain, from version 1 on.
    pub trust: Vec<Link>,
}

/// Why some bytes are no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// They are not JSON of the one form.
    #[error("origin proof: {0}")]
    Json(#[from] JsonError),
    /// They are of a version that this program does not know.
    #[error("origin proof of format {0}, this program reads format {FORMAT}")]
    Format(u32),
    /// A rule of the specification is broken.
    #[error("origin proof: {0}")]
    Rule(&'static str),
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "chantal-origin")]
    format: u32,
    manifest: String,
    signatures: Vec<String>,
    approvals: Vec<String>,
    trust: Vec<LinkText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkText {
    document: String,
    signatures: Vec<String>,
}

impl Proof {
    /// Reads a proof's form; nothing in it is believed yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        let text: Text = json::decode(bytes, PROOF_BYTES)?;
        check(&text)?;
        let into_bytes = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect();
        let link =
            |l: LinkText| Link { document: l.document.into_bytes(), signatures: into_bytes(l.signatures) };
        Ok(Self {
            manifest: text.manifest.into_bytes(),
            signatures: into_bytes(text.signatures),
            approvals: into_bytes(text.approvals),
            trust: text.trust.into_iter().map(link).collect(),
        })
    }

    /// Writes the proof in its one form; signatures are put in order, and what is no text is left out, as it is no signature.
    pub fn encode(&self) -> Result<Vec<u8>, ProofError> {
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let signatures = |found: &[Vec<u8>]| {
            let mut texts: Vec<String> = found.iter().filter_map(|s| utf8(s)).collect();
            texts.sort();
            texts.dedup();
            texts
        };
        let no_text = || ProofError::Rule("a document is no UTF-8");
        let link = |l: &Link| {
            let document = utf8(&l.document).ok_or_else(no_text)?;
            Ok(LinkText { document, signatures: signatures(&l.signatures) })
        };
        let text = Text {
            format: FORMAT,
            manifest: utf8(&self.manifest).ok_or_else(no_text)?,
            signatures: signatures(&self.signatures),
            approvals: signatures(&self.approvals),
            trust: self.trust.iter().map(link).collect::<Result<_, ProofError>>()?,
        };
        check(&text)?;
        let bytes = json::encode(&text).map_err(JsonError::Parse)?;
        if bytes.len() > PROOF_BYTES {
            return Err(JsonError::TooLong { found: bytes.len(), limit: PROOF_BYTES }.into());
        }
        Ok(bytes)
    }
}

fn check(text: &Text) -> Result<(), ProofError> {
    if text.format != FORMAT {
        return Err(ProofError::Format(text.format));
    }
    let rule = |holds: bool, why| if holds { Ok(()) } else { Err(ProofError::Rule(why)) };
    let signatures = |found: &[String]| {
        rule(found.len() <= SIGNATURES, "it has too many signatures")?;
        rule(found.iter().all(|s| s.len() <= SSHSIG_BYTES), "a signature is too long")?;
        rule(found.is_sorted_by(|a, b| a < b), "signatures do not rise")
    };
    rule(text.manifest.len() <= BUNDLE_MANIFEST_BYTES, "the manifest is too long")?;
    rule((1..=TRUST_VERSION as usize).contains(&text.trust.len()), "the trust chain is empty or too long")?;
    rule(text.trust.iter().all(|l| l.document.len() <= TRUST_BYTES), "a trust document is too long")?;
    signatures(&text.signatures)?;
    signatures(&text.approvals)?;
    text.trust.iter().try_for_each(|l| signatures(&l.signatures))
}

/// Returns the path inside a bundle of a proof: `origin/<first 16 digits of its SHA-256>.json`.
pub fn path(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{DIRECTORY}/{}.json", hex.get(..16).unwrap_or(&hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof() -> Proof {
        let link = |document: &str| Link { document: document.into(), signatures: vec![b"sig\n".to_vec()] };
        Proof {
            manifest: b"{\n  \"chantal-bundle\": 1\n}\n".to_vec(),
            signatures: vec![b"two\n".to_vec(), b"one\n".to_vec(), b"two\n".to_vec(), vec![0xff]],
            approvals: vec![b"three\n".to_vec()],
            trust: vec![link("{}\n"), link("{ }\n")],
        }
    }

    #[test]
    fn one_form_and_back() {
        let bytes = proof().encode().unwrap();
        let read = Proof::parse(&bytes).unwrap();
        assert_eq!(
            read.signatures,
            [b"one\n".to_vec(), b"two\n".to_vec()],
            "in order, each once, texts only"
        );
        assert_eq!((read.manifest.clone(), read.trust.clone()), (proof().manifest, proof().trust));
        assert_eq!(read.encode().unwrap(), bytes);
        let spaced = String::from_utf8(bytes.clone()).unwrap().replacen(": 1", ":  1", 1);
        assert!(matches!(Proof::parse(spaced.as_bytes()), Err(ProofError::Json(JsonError::Form))));
        for cut in 0..bytes.len() {
            assert!(Proof::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let mut full = proof();
        full.signatures = (0..SIGNATURES).map(|n| format!("{n:02}").into_bytes()).collect();
        assert!(full.encode().is_ok());
        full.signatures.push(b"one more".to_vec());
        assert!(matches!(full.encode(), Err(ProofError::Rule("it has too many signatures"))));
        let mut long = proof();
        long.signatures = vec![vec![b'x'; SSHSIG_BYTES]];
        assert!(long.encode().is_ok());
        long.signatures = vec![vec![b'x'; SSHSIG_BYTES + 1]];
        assert!(long.encode().is_err());
        let chain = Proof { trust: Vec::new(), ..proof() };
        assert!(matches!(chain.encode(), Err(ProofError::Rule("the trust chain is empty or too long"))));
        let document = Proof {
            trust: vec![Link { document: vec![b' '; TRUST_BYTES + 1], signatures: Vec::new() }],
            ..proof()
        };
        assert!(document.encode().is_err());
        let mut manifest = Proof { manifest: vec![b'm'; BUNDLE_MANIFEST_BYTES], ..proof() };
        assert!(manifest.encode().is_ok());
        manifest.manifest.push(b'm');
        assert!(matches!(manifest.encode(), Err(ProofError::Rule("the manifest is too long"))));
        // a text inside a text may be twice as long
        manifest.manifest = vec![b'"'; BUNDLE_MANIFEST_BYTES];
        assert!(manifest.encode().is_ok());
        let quotes = Link { document: vec![b'"'; TRUST_BYTES], signatures: Vec::new() };
        manifest.trust = vec![quotes; 17];
        assert!(matches!(manifest.encode(), Err(ProofError::Json(JsonError::TooLong { .. }))));
        assert!(matches!(
            Proof::parse(&vec![b' '; PROOF_BYTES + 1]),
            Err(ProofError::Json(JsonError::TooLong { .. }))
        ));
        let text = String::from_utf8(proof().encode().unwrap()).unwrap();
        let swapped = text.replace("one", "x").replace("two", "one").replace("\"x", "\"two");
        assert!(
            matches!(Proof::parse(swapped.as_bytes()), Err(ProofError::Rule("signatures do not rise"))),
            "{swapped}"
        );
        let other = String::from_utf8(proof().encode().unwrap()).unwrap().replacen(
            "\"chantal-origin\": 1",
            "\"chantal-origin\": 2",
            1,
        );
        assert!(matches!(Proof::parse(other.as_bytes()), Err(ProofError::Format(2))));
    }

    #[test]
    fn its_name_is_of_its_digest() {
        let name = path(&Digest::of(b"x"));
        assert_eq!((name.len(), &name[..7]), (28, "origin/"));
    }
}
