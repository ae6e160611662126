//! What a collector makes of a receipt: whose it is, and from where on the next bundle starts.

use std::{fmt, io, path::PathBuf};

use chantal_bundle::{
    BundleNameError, KeyFingerprint, Namespace, PublicKey, Receipt, TrustRole,
    receipt::{AcknowledgedState, ReceiptError, Sealed},
};
use chantal_contract::SiteName;
use jiff::Timestamp;

use crate::{
    store::{Acknowledged, Carried, Event, Lock, StateRef, Store, StoreError},
    transfer::{TransferError, held::acknowledged_by, own},
    trust::{KeyError, TrustError, document::signers, sshsig},
};

/// Why a receipt was not made or not believed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptFault {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The site's key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A bundle, or this site's own trust, cannot be read.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Names do not fit.
    #[error(transparent)]
    Name(#[from] BundleNameError),
    /// It is none.
    #[error(transparent)]
    Form(#[from] ReceiptError),
    /// A file cannot be read or written.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Nothing of that collector is believed here, so there is nothing to say about it.
    #[error("no key of collector `{collector}` is believed here")]
    Nobody {
        /// The collector.
        collector: SiteName,
    },
    /// No key signed it that may.
    #[error("it is not believed: {source}")]
    Untrusted {
        /// Why.
        source: TrustError,
    },
    /// The signature is good, and the key is none of the site's.
    #[error(
        "it is signed by {key}, which trust document version {version} of `{collector}` does not list as a receiver key of `{site}`"
    )]
    Stranger {
        /// The key.
        key: KeyFingerprint,
        /// Whose trust document.
        collector: SiteName,
        /// Which version of it.
        version: u32,
        /// The site that the receipt names.
        site: SiteName,
    },
    /// It is about another collector's bundles.
    #[error("it is for collector `{found}`, this is `{here}`")]
    OtherCollector {
        /// Whose bundles it is about.
        found: SiteName,
        /// Who we are.
        here: SiteName,
    },
    /// The key that signed it is another site's.
    #[error("it says that it is of site `{found}`, and key {key} signed it, which is of another site")]
    OtherSite {
        /// What it says.
        found: SiteName,
        /// The key.
        key: KeyFingerprint,
    },
    /// It was applied before, and another one since.
    #[error("this receipt of `{site}` was applied on {at}, and a later one since")]
    Again {
        /// The site.
        site: SiteName,
        /// When.
        at: Timestamp,
    },
    /// It tells of what this store never did.
    #[error(
        "it says {found}, and {}",
        if *forked { "the site accepted a trust document that is none of this store's" } else { "its newest import was never exported here" }
    )]
    Strange {
        /// The site.
        site: SiteName,
        /// What it says.
        found: Place,
        /// Whether it is the trust document that is strange.
        forked: bool,
    },
    /// The site said more already.
    #[error("it is older than what `{site}` acknowledged already: it says {found}, that was {known}")]
    Older {
        /// The site.
        site: SiteName,
        /// What it says.
        found: Place,
        /// What is known.
        known: Place,
    },
}

impl ReceiptFault {
    /// Tells whether a proof failed, as opposed to a machine: exit code 3.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Form(_)
            | Self::Untrusted { .. }
            | Self::Stranger { .. }
            | Self::OtherCollector { .. }
            | Self::OtherSite { .. }
            | Self::Again { .. }
            | Self::Strange { .. }
            | Self::Older { .. } => true,
            Self::Transfer(error) => error.is_refusal(),
            _ => false,
        }
    }

    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.hint(),
            Self::Key(source) => source.hint(),
            Self::Transfer(source) => source.hint(),
            Self::Nobody { .. } => Some("`chantal trust show` lists the collectors that are believed".into()),
            Self::Form(_) | Self::Untrusted { source: TrustError::Signature(_) } => Some(
                "copy it again, it may be damaged; `chantal receipt create --out FILE` on the site writes it anew".into(),
            ),
            Self::Untrusted { source: TrustError::Revoked { .. } } => Some(
                "the site takes another key (`chantal trust rotate` there); `chantal trust add KEYFILE --role receiver --site SITE` here believes that one".into(),
            ),
            Self::Stranger { site, key, .. } => Some(format!(
                "if `chantal key list` at `{site}` prints {key}, too: `chantal key show` there prints its key, and here \
                 `chantal trust add KEYFILE --role receiver --site {site} --fingerprint {key}` believes its receipts"
            )),
            Self::OtherSite { found, .. } => Some(format!(
                "`chantal trust show` lists whose key it is; a receipt of `{found}` is made there, by `chantal receipt create`"
            )),
            Self::Older { .. } => Some(
                "the next bundle starts from what the site said last; if it was set back since, `--force` goes back with it".into(),
            ),
            Self::Again { .. } => Some(
                "carry the site's newest receipt; if it was set back since, `--force` goes back with it".into(),
            ),
            Self::Strange { .. } => Some(
                "if this store was set back, `--force` believes it, and bundles are numbered on from there. If not, a key was stolen: \
                 `chantal trust rotate --revoke` shuts out this site's, `chantal trust revoke` one of the receiver's"
                    .into(),
            ),
            Self::OtherCollector { found, .. } => Some(format!("carry it to `{found}`")),
            _ => None,
        }
    }
}

/// Epoch, sequence and trust version that a site has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The epoch of the newest import.
    pub epoch: u32,
    /// Its sequence; 0 before the first.
    pub sequence: u64,
    /// The accepted version of the trust document.
    pub trust: u32,
}

impl From<&Receipt> for Place {
    fn from(receipt: &Receipt) -> Self {
        let (epoch, sequence) = receipt.place();
        Self { epoch, sequence, trust: receipt.trust.version }
    }
}

impl Place {
    /// Tells whether a site that came to this has gone back from `known`.
    fn is_before(self, known: Self) -> bool {
        (self.epoch, self.sequence) < (known.epoch, known.sequence) || self.trust < known.trust
    }
}
impl From<&Acknowledged> for Place {
    fn from(known: &Acknowledged) -> Self {
        Self { epoch: known.epoch, sequence: known.sequence, trust: known.trust }
    }
}
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} sequence {} trust version {}", self.epoch, self.sequence, self.trust)
    }
}

/// What becomes of a receipt that is older than what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backwards {
    /// It is refused.
    Refused,
    /// The site was set back, and says so.
    Allowed,
}

/// A receipt whose signature is good, by a key of the site that it names.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What it says.
    pub receipt: Receipt,
    /// The key that signed it.
    pub key: PublicKey,
    /// The SHA-256 of its text.
    pub digest: chantal_contract::Digest,
}

/// Why a receipt is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// It says nothing that a site's next receipt would not.
    ByItself,
    /// It would have been refused, and somebody allowed it.
    ByForce,
}

/// What came of a receipt.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What it says.
    pub heard: Heard,
    /// It was applied before; nothing was done.
    pub already: bool,
    /// Why it is believed.
    pub believed: Believed,
    /// States that this store does not know; they count as not held.
    pub unknown: Vec<AcknowledgedState>,
    /// The site's newest import is none that this store exported.
    pub foreign: bool,
    /// The site has accepted another trust document under that version than this site has.
    pub forked: bool,
    /// The version of the trust document that is in force here.
    pub version: u32,
}

/// Reads a receipt that some key signed well, whether that key is believed or not.
pub fn look(file: &[u8]) -> Result<(Receipt, PublicKey), ReceiptFault> {
    let sealed = Sealed::split(file)?;
    let key = sshsig::verify(Namespace::Receipt, sealed.text, sealed.signature)
        .map_err(|source| ReceiptFault::Untrusted { source: source.into() })?;
    Ok((Receipt::parse(sealed.text)?, key))
}

/// Reads a receipt: its signature by a key of the site that it names, before a byte of it is parsed.
pub fn read(store: &Store, file: &[u8]) -> Result<Heard, ReceiptFault> {
    let sealed = Sealed::split(file)?;
    let document = own::own_document(store)?;
    let ours = |receipt: &Receipt| {
        if receipt.collector == document.collector {
            return Ok(());
        }
        let (found, here) = (receipt.collector.clone(), document.collector.clone());
        Err(ReceiptFault::OtherCollector { found, here })
    };
    let signatures = [sealed.signature.to_vec()];
    let by = match signers(&document, TrustRole::Receiver, Namespace::Receipt, sealed.text, &signatures) {
        Ok(by) => by,
        // a good signature of a key that nobody here knows: what it is about helps a person to see why
        Err(TrustError::NotEnough { .. }) => {
            let (receipt, key) = look(file)?;
            ours(&receipt)?;
            let (key, collector, version) = (key.fingerprint(), document.collector, document.version);
            return Err(ReceiptFault::Stranger { key, collector, version, site: receipt.site });
        }
        Err(source) => return Err(ReceiptFault::Untrusted { source }),
    };
    let receipt = Receipt::parse(sealed.text)?;
    ours(&receipt)?;
    let ours = |key: &&PublicKey| document.receiver_keys(&receipt.site).any(|k| k == *key);
    match (by.iter().find(ours).copied(), by.first()) {
        (Some(key), _) => Ok(Heard { receipt, key, digest: super::digest(sealed.text) }),
        (None, Some(other)) => Err(ReceiptFault::OtherSite { found: receipt.site, key: other.fingerprint() }),
        (None, None) => Err(ReceiptFault::Form(ReceiptError::Unsigned)),
    }
}

/// Reads a receipt of which a bundle is to be made: as [`read`], and it must be the site's last word.
pub fn read_last(store: &Store, file: &[u8]) -> Result<Heard, ReceiptFault> {
    let heard = read(store, file)?;
    let known = acknowledged_by(store, &heard.receipt.site)?;
    if known.as_ref().is_none_or(|known| known.receipt != heard.digest) {
        expect_newest(store, &heard, known.as_ref())?;
    }
    Ok(heard)
}

/// Refuses a receipt that says less than the last one, or no more and was applied before it: somebody carried an old one again.
fn expect_newest(store: &Store, heard: &Heard, known: Option<&Acknowledged>) -> Result<(), ReceiptFault> {
    let Some(known) = known else { return Ok(()) };
    let (site, found) = (heard.receipt.site.clone(), Place::from(&heard.receipt));
    if found.is_before(Place::from(known)) {
        return Err(ReceiptFault::Older { site, found, known: Place::from(known) });
    }
    if Place::from(known).is_before(found) {
        return Ok(());
    }
    for entry in store.journal().read() {
        let entry = entry?;
        if matches!(&entry.event, Event::Acknowledged { receipt, .. } if *receipt == heard.digest) {
            return Err(ReceiptFault::Again { site, at: entry.at });
        }
    }
    Ok(())
}

/// Says what applying a receipt would do, and refuses what that refuses.
pub fn check(store: &Store, file: &[u8], backwards: Backwards) -> Result<Applied, ReceiptFault> {
    consider(store, file, backwards).map(|(applied, _)| applied)
}

/// Believes a receipt: from now on the next bundle for that site starts from what it lists.
///
/// The same receipt again changes nothing. One that is older than what is known, or tells of what this store never did, is refused
/// unless that is allowed.
pub fn apply(
    store: &Store,
    file: &[u8],
    backwards: Backwards,
    at: Timestamp,
) -> Result<Applied, ReceiptFault> {
    let _shared = store.lock(Lock::Shared)?;
    let site = read(store, file)?.receipt.site;
    let _stream = store.lock(Lock::Site(&site))?;
    let (applied, states) = consider(store, file, backwards)?;
    if !applied.already {
        let (receipt, place) = (&applied.heard.receipt, Place::from(&applied.heard.receipt));
        let event = Event::Acknowledged {
            to: site.clone(),
            receipt: applied.heard.digest,
            epoch: place.epoch,
            sequence: place.sequence,
            bundle: receipt.bundle,
            states,
            trust: place.trust,
            key: applied.heard.key.fingerprint().to_string(),
            forced: applied.believed == Believed::ByForce,
        };
        store.journal().append(event, at)?;
    }
    Ok(applied)
}

/// Judges a receipt; returns beside that the states that count.
fn consider(
    store: &Store,
    file: &[u8],
    backwards: Backwards,
) -> Result<(Applied, Vec<Carried>), ReceiptFault> {
    let heard = read(store, file)?;
    let receipt = &heard.receipt;
    let known = acknowledged_by(store, &receipt.site)?;
    let already = known.as_ref().is_some_and(|k| k.receipt == heard.digest);
    let exports = store.catalog().exports(Some(&receipt.site))?;
    let foreign = receipt.bundle.is_some_and(|bundle| {
        let newest = (bundle, receipt.place());
        exports.iter().all(|e| (e.manifest, (e.epoch, e.sequence)) != newest)
    });
    let chain = store.catalog().trust_chain(store.site())?;
    let same = |(version, document): &(u32, _)| {
        *version == receipt.trust.version && *document == receipt.trust.sha256
    };
    let forked = !chain.iter().any(same);
    let mut judged = if already { Ok(()) } else { expect_newest(store, &heard, known.as_ref()) };
    if judged.is_ok() && !already && (foreign || forked) {
        let (site, found) = (receipt.site.clone(), Place::from(receipt));
        judged = Err(ReceiptFault::Strange { site, found, forked });
    }
    let believed = match (judged, backwards) {
        (Ok(()), _) => Believed::ByItself,
        (
            Err(ReceiptFault::Older { .. } | ReceiptFault::Again { .. } | ReceiptFault::Strange { .. }),
            Backwards::Allowed,
        ) => Believed::ByForce,
        (Err(fault), _) => return Err(fault),
    };
    let (mut states, mut unknown) = (Vec::new(), Vec::new());
    for state in &receipt.states {
        if !store.manifests().has(&state.manifest)? {
            unknown.push(state.clone());
            continue;
        }
        let evidence = match state.evidence {
            Some(list) if store.pool().has(&list)?.is_some() => Some(list),
            _ => None,
        };
        states.push(Carried {
            repository: state.repository.clone(),
            base: None,
            state: StateRef { manifest: state.manifest, evidence, date: None, valid_until: None },
            names: state.names.clone(),
        });
    }
    let version = chain.last().map_or(0, |(version, _)| *version);
    Ok((Applied { heard, already, believed, unknown, foreign, forked, version }, states))
}
