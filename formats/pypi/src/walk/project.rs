//! What a walk knows of one project.

use std::collections::{BTreeMap, HashMap};

use chantal_contract::{Checksum, Document, Expect, FormatError, Step};
use serde_json::{Value, json};

use super::Out;
use crate::{
    listing,
    name::Name,
    requirement::Requirement,
    select::{Candidate, Environments},
    version::Specifiers,
};

#[derive(Default)]
pub(super) struct Project {
    pub(super) state: PageState,
    pub(super) waiting: Vec<Wanted>,
    /// Environments for which a requirement, told by specifiers and extras, was followed already.
    pub(super) followed: HashMap<(String, Vec<Name>), Environments>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) files: BTreeMap<usize, Chosen>,
    pub(super) status: Option<Value>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum PageState {
    #[default]
    Unasked,
    Asked,
    Read,
    Missing,
}

/// A chosen file.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) dependencies: Dependencies,
    /// Who waits for its dependencies: extras and environments.
    pub(super) waiting: Vec<(Vec<Name>, Environments)>,
    pub(super) derived: Option<Expect>,
}

#[derive(Default)]
pub(super) enum Dependencies {
    #[default]
    Unasked,
    Asked,
    Read(Vec<Requirement>),
}

/// A requirement and where it is wanted.
pub(super) struct Wanted {
    pub(super) specifiers: Specifiers,
    pub(super) extras: Vec<Name>,
    pub(super) pins: Vec<Checksum>,
    pub(super) environments: Environments,
    /// Who asks; none for the configuration.
    pub(super) by: Option<String>,
}

impl Chosen {
    /// Returns how many dependencies are known.
    pub(super) fn known(&self) -> usize {
        match &self.dependencies {
            Dependencies::Read(requirements) => requirements.len(),
            Dependencies::Unasked | Dependencies::Asked => 0,
        }
    }
}

impl Wanted {
    /// Returns what tells it from other requirements of its project; pins only of the configuration's, since those of a
    /// dependency are the same for all.
    pub(super) fn told(&self) -> (String, Vec<Name>) {
        let mut text = self.specifiers.to_string();
        if self.by.is_none() {
            text.extend(self.pins.iter().map(|pin| format!(" {pin}")));
        }
        (text, self.extras.clone())
    }
}

impl Project {
    /// Emits what was chosen, sorted by version and file name.
    pub(super) fn tell(&mut self, name: &Name, out: &mut Out<'_>) -> Result<(), FormatError> {
        if let Some(status) = self.status.take()
            && !self.files.is_empty()
        {
            let document = Document { kind: "project".into(), key: name.to_string() };
            let record = json!({ "project-status": status }).to_string();
            out(Step::Document(document, record.as_bytes()))?;
        }
        for (index, chosen) in &self.files {
            if let Some(candidate) = self.candidates.get(*index) {
                let package = listing::package(name, candidate, chosen.derived.as_ref())?;
                let record = Value::Object(candidate.entry.record.clone()).to_string();
                out(Step::Package(package, record.as_bytes()))?;
            }
        }
        Ok(())
    }
}
