//! From a chosen file to what it depends on.

use chantal_contract::{Absent, Answer, Digest, Expect, FormatError, RepoPath, Step, Want};

use super::{
    Out, Question, Walker, notice,
    project::{Chosen, Dependencies, Wanted},
};
use crate::{
    archive, listing,
    metadata::Metadata,
    name::Name,
    requirement::{Requirement, RequirementError},
    select::Environments,
    simple::FileEntry,
};

impl Walker<'_> {
    /// Follows the dependencies of a chosen file, asking for its metadata first where they are not known.
    pub(super) fn follow(
        &mut self,
        name: &Name,
        index: usize,
        extras: &[Name],
        environments: Environments,
        out: &mut Out<'_>,
    ) -> Result<(), FormatError> {
        let Some(project) = self.projects.get_mut(name) else { return Ok(()) };
        let chosen = project.files.entry(index).or_default();
        let Some(candidate) = project.candidates.get(index) else { return Ok(()) };
        match &chosen.dependencies {
            Dependencies::Asked => chosen.waiting.push((extras.to_vec(), environments)),
            Dependencies::Read(_) => self.spread(name, index, extras, environments, out)?,
            Dependencies::Unasked => {
                chosen.dependencies = Dependencies::Asked;
                chosen.waiting.push((extras.to_vec(), environments));
                let metadata =
                    if candidate.sdist { None } else { listing::metadata(name, &candidate.entry)? };
                let (question, want) = match metadata {
                    Some(want) => (Question::Metadata(index), want),
                    None => (Question::Archive(index), archive_want(name, &candidate.entry)?),
                };
                let want = self.ask(name, question, want);
                out(Step::Want(want))?;
            }
        }
        Ok(())
    }

    pub(super) fn feed_metadata(
        &mut self,
        name: &Name,
        index: usize,
        want: &Want,
        answer: Answer<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), FormatError> {
        if let Some(mut body) = answer.body {
            let metadata = Metadata::read(&want.path, body.reader())?;
            self.known(name, index, Some(metadata), &want.path, out)
        } else {
            // Advertised and not there: the wheel itself tells.
            let entry = self.projects.get(name).and_then(|p| p.candidates.get(index)).map(|c| &c.entry);
            let Some(entry) = entry else { return Ok(()) };
            let wheel = archive_want(name, entry)?;
            let wheel = self.ask(name, Question::Archive(index), wheel);
            out(Step::Want(wheel))
        }
    }

    pub(super) fn feed_archive(
        &mut self,
        name: &Name,
        index: usize,
        want: &Want,
        answer: Answer<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), FormatError> {
        let Some(mut body) = answer.body else {
            notice(out, &want.path, "is listed and not there, so that its dependencies are unknown".into())?;
            return self.known(name, index, None, &want.path, out);
        };
        let Some(project) = self.projects.get_mut(name) else { return Ok(()) };
        if project.candidates.get(index).is_some_and(|c| c.sdist) {
            let metadata = archive::sdist_metadata(&want.path, body.reader())?
                .map(|bytes| Metadata::parse(&want.path, &bytes))
                .transpose()?
                .filter(Metadata::binds_dependencies);
            let text = if metadata.is_some() {
                "is a source archive: what building it needs is not part of the closure"
            } else {
                "is a source archive whose metadata does not bind its dependencies, so that they are unknown"
            };
            notice(out, &want.path, text.into())?;
            return self.known(name, index, metadata, &want.path, out);
        }
        let bytes = archive::wheel_metadata(&want.path, body.reader())?;
        let path = listing::path(name, &format!("{}{}", want.path.file_name(), listing::METADATA))?;
        out(Step::Derived { path: path.clone(), bytes: &bytes })?;
        let checksums = vec![Digest::of(&bytes).into()];
        let expect = Expect::exactly(bytes.len() as u64, checksums);
        project.files.entry(index).or_default().derived = Some(expect);
        let metadata = Metadata::parse(&path, &bytes)?;
        self.known(name, index, Some(metadata), &path, out)
    }

    /// Keeps what a file depends on and turns to those who waited for it.
    pub(super) fn known(
        &mut self,
        name: &Name,
        index: usize,
        metadata: Option<Metadata>,
        path: &RepoPath,
        out: &mut Out<'_>,
    ) -> Result<(), FormatError> {
        let mut requirements = Vec::new();
        for text in metadata.map_or_else(Vec::new, |m| m.requires_dist) {
            match Requirement::parse(&text) {
                Ok(requirement) => {
                    self.hold(64 + 2 * text.len(), path)?;
                    requirements.push(requirement);
                }
                Err(RequirementError::Url(dependency)) => {
                    let said = format!("depends on `{dependency}` from a URL, which no index answers");
                    notice(out, path, said)?;
                }
                Err(fault) => {
                    let shown: String = text.chars().take(120).flat_map(char::escape_debug).collect();
                    notice(out, path, format!("requirement `{shown}` is left out: {fault}"))?;
                }
            }
        }
        let Some(project) = self.projects.get_mut(name) else { return Ok(()) };
        let chosen = project.files.entry(index).or_default();
        chosen.dependencies = Dependencies::Read(requirements);
        for (extras, environments) in std::mem::take(&mut chosen.waiting) {
            self.spread(name, index, &extras, environments, out)?;
        }
        self.settle(out)
    }

    /// Wants what a file depends on, where its markers hold.
    pub(super) fn spread(
        &mut self,
        name: &Name,
        index: usize,
        extras: &[Name],
        environments: Environments,
        out: &mut Out<'_>,
    ) -> Result<(), FormatError> {
        let count = self.projects.get(name).and_then(|p| p.files.get(&index)).map_or(0, Chosen::known);
        self.judge(count, name)?;
        let Some(project) = self.projects.get(name) else { return Ok(()) };
        let Some(Chosen { dependencies: Dependencies::Read(requirements), .. }) = project.files.get(&index)
        else {
            return Ok(());
        };
        let by = project.candidates.get(index).map_or_else(String::new, |c| c.entry.filename.clone());
        let mut wants = Vec::new();
        for requirement in requirements {
            let meeting = self.plan.meeting(requirement, extras) & environments;
            let mut wanted = Wanted {
                specifiers: requirement.specifiers.clone(),
                extras: requirement.extras.clone(),
                pins: Vec::new(),
                environments: meeting,
                by: Some(by.clone()),
            };
            let dependency = self.projects.get(&requirement.name);
            wanted.environments &=
                !dependency.map_or(0, |p| p.followed.get(&wanted.told()).copied().unwrap_or(0));
            if wanted.environments != 0 {
                wants.push((requirement.name.clone(), wanted));
            }
        }
        wants.into_iter().try_for_each(|(name, wanted)| self.want(&name, wanted, out))
    }
}

/// Wants a whole package file, to read its metadata from.
fn archive_want(name: &Name, entry: &FileEntry) -> Result<Want, FormatError> {
    Ok(listing::payload(name, entry)?.absent(Absent::Allowed))
}
