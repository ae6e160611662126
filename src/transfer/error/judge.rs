//! What a fault of a transfer is taken for, and what helps against it.

use std::{io, path::Path};

use chantal_bundle::{manifest, trust::ChainError, volume::UnpackError};
use chantal_contract::{Kind, SiteName};

use super::{TransferError, shown::List};
use crate::{store::StoreError, trust::TrustError};

impl TransferError {
    /// Tells whether a file or its medium was not there any more when it was to be read.
    pub(in crate::transfer) fn is_gone(&self) -> bool {
        use rustix::io::Errno;
        let gone = [Errno::NOENT, Errno::NODEV, Errno::NXIO, Errno::NOMEDIUM, Errno::STALE, Errno::NOTCONN];
        let (Self::Io { source, .. } | Self::Volume { source: UnpackError::Io(source), .. }) = self else {
            return false;
        };
        Errno::from_io_error(source).is_some_and(|errno| gone.contains(&errno))
    }

    /// Tells whether a proof failed, as opposed to a machine: exit code 3.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Untrusted { .. }
            | Self::Stranger { .. }
            | Self::Policy { .. }
            | Self::Unlisted { .. }
            | Self::OtherReview { .. }
            | Self::Unapproved { .. }
            | Self::NoApprover { .. }
            | Self::Link { .. }
            | Self::OtherPackages { .. }
            | Self::NotShown(_)
            | Self::LargeGroup { .. }
            | Self::NoTrust { .. }
            | Self::NoChain { .. }
            | Self::Manifest { .. }
            | Self::WrongStream { .. }
            | Self::OtherChain { .. }
            | Self::OtherProof { .. }
            | Self::Proof { .. }
            | Self::OwnProof(_)
            | Self::NoOrigin { .. }
            | Self::OldOrigin { .. }
            | Self::NothingToVerify { .. }
            | Self::Altered { .. }
            | Self::Index { .. }
            | Self::Cell { .. }
            | Self::Member { .. }
            | Self::WrongSite { .. }
            | Self::WrongEpoch { .. }
            | Self::Older { .. }
            | Self::Replayed { .. }
            | Self::MissingBases { .. }
            | Self::MissingBlobs { .. }
            | Self::MissingRecord { .. }
            | Self::Patch { .. }
            | Self::Contradiction { .. }
            | Self::OtherCollector { .. }
            | Self::TooLong { .. }
            | Self::NoFile { .. }
            | Self::Damaged { .. } => true,
            Self::NotBack { source, .. } => source.is_refusal(),
            Self::Volume { source, .. } => {
                !matches!(source, UnpackError::Io(e) if e.raw_os_error().is_some())
            }
            Self::Store(source) => matches!(source, StoreError::Mismatch { .. }),
            _ => false,
        }
    }

    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.hint(),
            Self::Export(source) => source.hint(),
            Self::Key(source) => source.hint(),
            Self::NotBack { source, .. } => source.hint(),
            Self::NoTrust { .. } | Self::Stranger { .. } => Some(
                "`chantal key show` on the collector prints its key; `chantal trust add KEYFILE` here trusts it".into(),
            ),
            Self::Policy { .. } => Some(
                "compare the repository's `keys` and `verify` here with what upstream publishes; nothing became current".into(),
            ),
            Self::NoChain { .. } => Some(
                "copy the bundle anew: `trust/`, `signatures/` and `manifest.json` belong on every medium".into(),
            ),
            Self::Unapproved { source, others, .. }
                if matches!(**source, TrustError::NotEnough { .. } | TrustError::Signature(_)) => Some(format!(
                "who has not approved it yet ({}) runs `chantal bundle approve DIR`; a signature that was written elsewhere with \
                 `--out FILE` is imported with the bundle: `chantal import DIR FILE`",
                List(others)
            )),
            Self::Untrusted { source: TrustError::Chain(ChainError::Older { .. }), .. } => Some(
                "it was made before the keys changed: what the collector exports now (`chantal export`) is believed; `chantal bundle inspect` \
                 still shows what this one is".into(),
            ),
            Self::OwnTrust { source: TrustError::Chain(ChainError::NotSigned { .. } | ChainError::NotOwned { .. }) } => Some(
                "each root key signs by `chantal trust sign DRAFT`; a draft that was changed after it was signed is signed by nobody: \
                 `--draft FILE` of the command that wrote it writes it anew".into(),
            ),
            Self::Unapproved { source, .. } => source.hint(),
            Self::OwnTrust { source } | Self::Untrusted { source, .. } => source.hint(),
            Self::NoApprover { .. } => Some(
                "on the collector `chantal trust add KEYFILE --role approver` gives a key the role; the next bundle carries that".into(),
            ),
            Self::Link { .. } => Some(
                "no export makes such a link: look at who handled the medium; `--out FILE` writes the signature where you say".into(),
            ),
            Self::ReadOnly { name, .. } => Some(format!(
                "`--out {}` writes it elsewhere; the import takes it beside the bundle: `chantal import DIR {}`",
                name.display(),
                name.display()
            )),
            Self::OtherReview { .. } | Self::OtherPackages { .. } => Some(
                "whoever made this bundle shows one thing and sends another: ask its collector, and trust neither until it is explained".into(),
            ),
            Self::NotShown(hidden) => Some(not_shown(&hidden.site, hidden.since.as_deref())),
            Self::NoOrigin { collector, .. } => Some(format!(
                "`chantal trust show` lists whose signatures count here: the key of `{collector}` is added by `chantal trust add`; \
                 whoever hands the repository on must have imported it from a bundle of `{collector}`"
            )),
            Self::NothingToVerify { format: Kind::Apt, .. } => Some(
                "take it out of the configuration: Debian packages carry no signatures; `metadata: require` proves them through the index".into(),
            ),
            Self::NothingToVerify { .. } => Some(
                "take it out of the configuration: the format signs nothing; `verify: { origin: SITE }` demands the word of the first collector".into(),
            ),
            Self::OldOrigin { collector, .. } => Some(format!(
                "whoever made this bundle sends what `{collector}` replaced since: ask them why; a bundle of the newest state is taken"
            )),
            Self::Altered { path, .. } if is_review(path) => Some(
                "copy it again, or remove it: an import makes the review anew from the index. If somebody has read this one, compare \
                 it with the good one first, as it may have been altered on the way".into(),
            ),
            Self::ManyBundles { path, .. } => Some(format!("name one of them: `{}/NAME`", path.display())),
            Self::OtherProof { .. } => Some("copy the directory `origin` of the bundle again".into()),
            Self::MissingBases { site, missing, .. } => {
                let known: Vec<&str> = missing.iter().filter_map(|m| m.bundle.as_deref()).collect();
                let export = export_command(site);
                Some(match known.first() {
                    Some(first) => format!("import {first} first, or on the collector run {export}"),
                    None => format!("on the collector run {export}"),
                })
            }
            Self::MissingBlobs { site, .. } => {
                Some(format!("on the collector run {}", export_command(site)))
            }
            Self::NoIndex { .. } => Some("insert the first medium, too".into()),
            Self::WrongEpoch { .. } => Some(
                "a bundle that the collector exports now is of its present epoch".into(),
            ),
            Self::Older { .. } => Some(
                "there is nothing to gain from it; to go back in time, publish a named snapshot. If the collector never made the newer one, its key was stolen: there, `chantal trust revoke` shuts it out".into(),
            ),
            Self::Replayed { .. } => Some(
                "the collector was set back: there, `chantal trust epoch` begins a new one. Or its key was stolen: there, `chantal trust revoke` shuts it out".into(),
            ),
            Self::Damaged { .. } => Some(
                "what was good is kept: copy the damaged volumes again, or bring all media of the bundle with their parity files \
                 together, and run the import once more; a receipt (`chantal receipt create`) asks for what is missing"
                    .into(),
            ),
            Self::Io { source, .. } => device(source),
            Self::NoSpace { .. } => Some("`chantal gc` frees what no snapshot needs".into()),
            Self::WrongSite { addressee, .. } => {
                Some(format!("carry it to site `{addressee}`, or export to this one"))
            }
            Self::OtherCollector { repository, by, .. } => Some(format!(
                "where `{repository}` is to come from `{by}` from now on, say so here: `repositories: [{{ name: {repository}, verify: {{ origin: {by} }} }}]`; \
                 otherwise one of the two wants another name on its collector"
            )),
            Self::OwnRepository { repository, .. } => Some(format!(
                "rename one of the two repositories `{repository}`: a site either syncs one or receives it"
            )),
            _ => None,
        }
    }
}

/// Tells whether a file is one of a bundle's review.
fn is_review(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == manifest::REVIEW_HTML || name == manifest::REVIEW_JSON)
}

/// What helps where a review was made against another state than the one that is current here.
fn not_shown(site: &SiteName, since: Option<&str>) -> String {
    let without = since.map_or_else(String::new, |since| {
        format!(" (without a way back, `chantal export --to {site} --since {since} --out DIR` there says the same)")
    });
    format!(
        "`chantal receipt create --out FILE` here, then `chantal receipt apply FILE` and `chantal export --to {site} --out DIR` on the \
         collector{without}: the next bundle starts from what is held here, and its review shows it. A collector that does not \
         know what is held here was set back, or a thief made it: `chantal trust epoch` there begins anew"
    )
}

/// What helps where a medium is gone, fails, or takes no writing.
fn device(source: &io::Error) -> Option<String> {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(source)?;
    if [Errno::IO, Errno::NODEV, Errno::NXIO, Errno::NOMEDIUM, Errno::STALE].contains(&errno) {
        Some("the medium fails or is gone: insert it again, or another copy, and run the same command".into())
    } else if errno == Errno::ROFS {
        Some("it is mounted read-only".into())
    } else {
        None
    }
}

fn export_command(site: &SiteName) -> String {
    format!("`chantal export --to {site} --since none --out DIR`")
}
