//! What differs between two snapshots; memory does not grow with them.

use chantal_contract::{
    Digest, Line,
    manifest::{self, Entry, ManifestError},
};

use super::{Manifests, Store, StoreError};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the first snapshot has it.
    Removed(Line),
    /// Only the second snapshot has it.
    Added(Line),
    /// Both have it, with other content.
    Changed {
        /// The first's.
        old: Line,
        /// The second's.
        new: Line,
    },
}

/// How much differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffSummary {
    /// Lines that only the second has.
    pub added: u64,
    /// Lines that only the first has.
    pub removed: u64,
    /// Lines that both have with other content.
    pub changed: u64,
    /// Bytes of the files that are new or changed.
    pub bytes_in: u64,
    /// Bytes of the files that are gone or changed.
    pub bytes_out: u64,
    /// Whether the headers differ: format, mode, or options.
    pub header: bool,
}

enum Fault {
    Manifest(ManifestError),
    Visit(StoreError),
}
impl From<ManifestError> for Fault {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

impl Store {
    /// Visits the differences between two snapshots in the order of their lines, and sums them up.
    ///
    /// Both manifests are proved at the end: what was visited before an error is not proved.
    pub fn diff(
        &self,
        old: &Digest,
        new: &Digest,
        visit: &mut dyn FnMut(Change) -> Result<(), StoreError>,
    ) -> Result<DiffSummary, StoreError> {
        diff(self.manifests(), old, new, visit)
    }
}

fn diff(
    manifests: &Manifests,
    old: &Digest,
    new: &Digest,
    visit: &mut dyn FnMut(Change) -> Result<(), StoreError>,
) -> Result<DiffSummary, StoreError> {
    let (mut a, mut b) = (manifests.open(old)?, manifests.open(new)?);
    let mut sum = DiffSummary { header: a.header() != b.header(), ..DiffSummary::default() };
    manifest::diff::<_, _, Fault>(&mut a, &mut b, &mut |change| {
        let change = match change {
            manifest::Change::Removed(text) => Change::Removed(parse(old, text)?),
            manifest::Change::Added(text) => Change::Added(parse(new, text)?),
            manifest::Change::Changed { old: was, new: is } => {
                Change::Changed { old: parse(old, was)?, new: parse(new, is)? }
            }
        };
        sum.add(&change);
        visit(change).map_err(Fault::Visit)
    })
    .map_err(|fault| match fault {
        Fault::Manifest(source) => StoreError::manifest(*new, source),
        Fault::Visit(error) => error,
    })?;
    for (reader, name) in [(&a, old), (&b, new)] {
        if reader.digest() != *name {
            return Err(manifests.misnamed(name));
        }
    }
    Ok(sum)
}

fn parse(manifest: &Digest, text: &str) -> Result<Line, Fault> {
    Line::parse(text)
        .map_err(|why| Fault::Visit(StoreError::manifest(*manifest, ManifestError::Form { line: 0, why })))
}

impl DiffSummary {
    fn add(&mut self, change: &Change) {
        match change {
            Change::Removed(line) => {
                self.removed += 1;
                self.bytes_out += bytes(line);
            }
            Change::Added(line) => {
                self.added += 1;
                self.bytes_in += bytes(line);
            }
            Change::Changed { old, new } => {
                self.changed += 1;
                self.bytes_out += bytes(old);
                self.bytes_in += bytes(new);
            }
        }
    }

    /// Tells whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added + self.removed + self.changed == 0 && !self.header
    }
}

fn bytes(line: &Line) -> u64 {
    match line {
        Line::File { entry: Entry::Present { measured, .. }, .. } => measured.size,
        _ => 0,
    }
}
