//! What asks for a decision in the step from one state to another, told of the states themselves and without any bound on how much it is.

use chantal_bundle::{
    BundleName,
    index::{ReviewLine, review::Signer},
};
use chantal_contract::{
    Digest, Entry, Format, Header, Line, Measured, Role,
    manifest::{self, Change, ManifestError},
};

use super::{
    group::{Group, Row},
    signers::{keys, of_signers, proven},
    unusual,
};
use crate::{
    formats,
    report::review::{StateReview, Unusual},
    store::{Store, StoreError},
    transfer::{
        TransferError,
        survey::{Advance, survey},
    },
};

/// What two findings have in common where one says of a state what the other says, whatever was there before.
pub(in crate::transfer) type Mark = [u8; 16];

fn mark(parts: &[&str]) -> Mark {
    let digest = Digest::of(parts.join("\t").as_bytes());
    let (head, _) = digest.as_bytes().split_at(16);
    head.try_into().unwrap_or_default()
}

/// Visits what asks for a decision where a state follows another, both of which the store has whole.
pub(in crate::transfer) fn graves(
    store: &Store,
    bundle: &BundleName,
    step: Advance<'_>,
    visit: &mut dyn FnMut(Unusual, Mark),
) -> Result<(), TransferError> {
    let header = store.manifests().open(&step.state.manifest)?.header().clone();
    let unlisted =
        |source| TransferError::Unlisted { repository: step.repository.clone(), source: Box::new(source) };
    let format = formats::from_header(&header).map_err(unlisted)?;
    let mut told =
        Told { bundle, step, format: format.as_ref(), group: Group::default(), signers: Vec::new(), visit };
    survey(store, step, &|_, _| None, &mut |line| told.line(line))?;
    told.end_group();
    told.signatures(&header);
    told.files(store)
}

struct Told<'a> {
    bundle: &'a BundleName,
    step: Advance<'a>,
    format: &'a dyn Format,
    group: Group,
    signers: Vec<Signer>,
    visit: &'a mut dyn FnMut(Unusual, Mark),
}

impl Told<'_> {
    fn line(&mut self, line: &ReviewLine) -> Result<(), TransferError> {
        match line {
            ReviewLine::Signer(signer) => self.signers.push(signer.clone()),
            ReviewLine::Package(side, package) => {
                if self.group.is_other(&package.group) {
                    self.end_group();
                }
                if !self.group.take(*side, package) {
                    let (bundle, repository) = (self.bundle.clone(), self.step.repository.to_string());
                    return Err(TransferError::LargeGroup { bundle, repository });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_group(&mut self) {
        let group = std::mem::take(&mut self.group);
        let of = group.name().map(chantal_contract::Group::encode).unwrap_or_default();
        group.changes(self.format, &mut |Row { change, old_sha256, .. }| {
            let Some(found) = unusual(self.step.repository.as_str(), &change, old_sha256) else { return };
            let what = change.change.name();
            let mark = match &found {
                // whatever it goes back from
                Unusual::Downgrade { new, .. } => mark(&[what, &of, new]),
                _ => mark(&[
                    what,
                    &of,
                    &change.architecture,
                    change.new.as_deref().unwrap_or_default(),
                    change.sha256.as_deref().unwrap_or_default(),
                ]),
            };
            (self.visit)(found, mark);
        });
    }

    fn signatures(&mut self, header: &Header) {
        let mut state = StateReview {
            repository: self.step.repository.to_string(),
            format: header.format.name().into(),
            mode: header.mode.name().into(),
            incremental: true,
            ..StateReview::default()
        };
        (state.keys, state.proven) = (keys(&self.signers), proven(&state, &self.signers));
        for found in of_signers(&state) {
            match &found {
                Unusual::KeyChanged { gone, new, .. } => {
                    for (what, key) in
                        gone.iter().map(|key| ("gone", key)).chain(new.iter().map(|key| ("new", key)))
                    {
                        (self.visit)(found.clone(), mark(&["key", what, key]));
                    }
                }
                _ if found.is_grave() => (self.visit)(found, mark(&["signature"])),
                _ => {}
            }
        }
    }

    fn files(&mut self, store: &Store) -> Result<(), TransferError> {
        let Some(base) = self.step.base.filter(|base| base.manifest != self.step.state.manifest) else {
            return Ok(());
        };
        let (mut old, mut new) =
            (store.manifests().open(&base.manifest)?, store.manifests().open(&self.step.state.manifest)?);
        manifest::diff::<_, _, ManifestError>(&mut old, &mut new, &mut |change| {
            if let Change::Changed { old, new } = change
                && let (Some((_, old)), Some((path, new))) = (payload(old), payload(new))
                && old.sha256 != new.sha256
            {
                let repository = self.step.repository.to_string();
                let mark = mark(&["file", &path]);
                (self.visit)(Unusual::FileReplaced { repository, path }, mark);
            }
            Ok(())
        })
        .map_err(|source| StoreError::Manifest { digest: self.step.state.manifest, source })?;
        Ok(())
    }
}

/// Returns path and content of a payload that a line lists.
fn payload(line: &str) -> Option<(String, Measured)> {
    match Line::parse(line) {
        Ok(Line::File { path, entry: Entry::Present { measured, role: Role::Payload } }) => {
            Some((path.as_str().to_owned(), measured))
        }
        _ => None,
    }
}
