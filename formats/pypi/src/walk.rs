//! The walk: project pages, what is chosen of them, and the closure over dependencies.
//!
//! Nothing is resolved. A requirement brings the versions that match it (or its `keep` newest) in each environment, and
//! their metadata bring further requirements, until nothing new is asked for. With `keep: 1` a resolver still finds an
//! answer wherever requirements are ranges, because the newest version of the requirement with the lowest upper bound
//! serves the others, too.

use std::collections::{BTreeMap, VecDeque};

use chantal_contract::{
    Absent, Answer, At, Coverage, FormatError, Keep, Notice, RepoPath, Step, Walk, Want,
    limits::{ANCHOR_BYTES, CANDIDATE_BYTES, JUDGEMENTS, PROJECTS, REQUIREMENTS},
};
use url::Url;

use crate::{
    Plan,
    name::Name,
    select::{self, Asked, Environments},
    simple::{self, ACCEPT, Page},
};

type Out<'a> = dyn FnMut(Step<'_>) -> Result<(), FormatError> + 'a;

/// Where relative addresses lead when nobody knows where a page came from (a receiver that walks a snapshot again): the
/// digests decide, not the address.
const NOWHERE: &str = "https://upstream.invalid/simple/";

mod closure;
mod files;
mod project;

use files::Files;
use project::{PageState, Project, Wanted};

/// A walk over an index.
pub(crate) struct Walker<'a> {
    plan: &'a Plan,
    projects: BTreeMap<Name, Project>,
    asked: Vec<(Name, Question)>,
    /// What is wanted of projects whose pages are read, and not yet chosen.
    queue: VecDeque<(Name, Wanted)>,
    /// About how many bytes candidates and dependencies take.
    held: usize,
    requirements: usize,
    judgements: u64,
}

/// What a want was for; its tag is the index of this.
#[derive(Clone, Copy)]
enum Question {
    Page,
    Alternate,
    Metadata(usize),
    Archive(usize),
}

impl<'a> Walker<'a> {
    /// Begins a walk.
    pub(crate) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            projects: BTreeMap::new(),
            asked: Vec::new(),
            queue: VecDeque::new(),
            held: 0,
            requirements: 0,
            judgements: 0,
        }
    }

    fn ask(&mut self, project: &Name, question: Question, want: Want) -> Want {
        self.asked.push((project.clone(), question));
        want.tag(self.asked.len() as u64 - 1)
    }

    /// Counts what is held, about, in bytes.
    fn hold(&mut self, bytes: usize, file: &RepoPath) -> Result<(), FormatError> {
        self.held += bytes;
        if self.held > CANDIDATE_BYTES {
            let limit = CANDIDATE_BYTES as u64;
            return Err(FormatError::Limit { file: file.clone(), what: "memory for candidates", limit });
        }
        Ok(())
    }

    /// Counts candidates and dependencies that are about to be judged, so that hostile metadata cannot multiply them.
    fn judge(&mut self, count: usize, name: &Name) -> Result<(), FormatError> {
        self.judgements += count as u64;
        if self.judgements > JUDGEMENTS {
            let what = "number of files and dependencies to judge";
            return Err(FormatError::Limit { file: name.directory(), what, limit: JUDGEMENTS });
        }
        Ok(())
    }

    /// Takes a requirement up: asks for the page, waits for it, or chooses at once.
    fn want(&mut self, name: &Name, wanted: Wanted, out: &mut Out<'_>) -> Result<(), FormatError> {
        let known = self.projects.len();
        let project = self.projects.entry(name.clone()).or_default();
        let limit = |what, limit: usize| {
            Err(FormatError::Limit { file: name.directory(), what, limit: limit as u64 })
        };
        if known >= PROJECTS && project.state == PageState::Unasked {
            return limit("number of projects", PROJECTS);
        }
        self.requirements += 1;
        if self.requirements > REQUIREMENTS {
            return limit("number of requirements", REQUIREMENTS);
        }
        match project.state {
            PageState::Asked => project.waiting.push(wanted),
            PageState::Read => self.queue.push_back((name.clone(), wanted)),
            PageState::Missing => missing(name, &wanted, out)?,
            PageState::Unasked => {
                project.state = PageState::Asked;
                project.waiting.push(wanted);
                let want = page_want(name)?;
                let want = self.ask(name, Question::Page, want);
                out(Step::Want(want))?;
            }
        }
        Ok(())
    }

    fn feed_page(
        &mut self,
        name: &Name,
        question: Question,
        want: &Want,
        answer: Answer<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), FormatError> {
        let alternate = matches!(question, Question::Alternate);
        let Some(mut body) = answer.body else {
            if alternate {
                return self.open(name, out);
            }
            let project = self.projects.entry(name.clone()).or_default();
            project.state = PageState::Missing;
            return std::mem::take(&mut project.waiting).iter().try_for_each(|w| missing(name, w, out));
        };
        let base = match answer.base {
            Some(base) => base.clone(),
            None => nowhere(name)?,
        };
        let mut files = Files { plan: self.plan, name, found: Vec::new(), bytes: 0, unfit: BTreeMap::new() };
        let page = simple::read(&want.path, &mut body, &base, &mut |entry| {
            files.take(entry);
            Ok(())
        })?;
        let Files { found, bytes, unfit, .. } = files;
        self.hold(bytes, &want.path)?;
        for (why, (count, example)) in unfit {
            notice(out, &want.path, format!("{count} of the listed files {why}, such as `{example}`"))?;
        }
        let Page { status, alternate: other } = page;
        let project = self.projects.entry(name.clone()).or_default();
        project.candidates = files::distinct(&want.path, found, out)?;
        project.status = status.or(project.status.take());
        match other.filter(|url| !alternate && url.origin() == base.origin()) {
            Some(url) => {
                let want = Want { at: At::Absolute(url), path: name.page("index.json")?, ..page_want(name)? };
                let want = self.ask(name, Question::Alternate, want);
                out(Step::Want(want))
            }
            None => self.open(name, out),
        }
    }

    /// Turns to what waits for a page that is read now.
    fn open(&mut self, name: &Name, out: &mut Out<'_>) -> Result<(), FormatError> {
        let project = self.projects.entry(name.clone()).or_default();
        project.state = PageState::Read;
        select::sort(&mut project.candidates);
        self.queue.extend(std::mem::take(&mut project.waiting).into_iter().map(|w| (name.clone(), w)));
        self.settle(out)?;
        if !self.plan.dependencies {
            // No further requirement can come: what was not chosen is forgotten, and the rest told.
            if let Some(mut project) = self.projects.remove(name) {
                project.tell(name, out)?;
                self.projects.insert(name.clone(), Project { state: PageState::Read, ..Project::default() });
                self.held = 0;
            }
        }
        Ok(())
    }

    /// Works off the queue.
    fn settle(&mut self, out: &mut Out<'_>) -> Result<(), FormatError> {
        while let Some((name, wanted)) = self.queue.pop_front() {
            self.choose(&name, wanted, out)?;
        }
        Ok(())
    }

    /// Chooses files for a requirement in each environment that it was not followed in yet.
    fn choose(&mut self, name: &Name, mut wanted: Wanted, out: &mut Out<'_>) -> Result<(), FormatError> {
        let candidates = self.projects.get(name).map_or(0, |project| project.candidates.len());
        self.judge(candidates, name)?;
        let Some(project) = self.projects.get_mut(name) else { return Ok(()) };
        if wanted.by.is_some() {
            wanted.pins = self.plan.pins(name).to_vec();
        }
        let followed = project.followed.entry(wanted.told()).or_default();
        let fresh = wanted.environments & !*followed;
        *followed |= fresh;
        let mut needed: BTreeMap<usize, Environments> = BTreeMap::new();
        let mut without = 0;
        for environment in bits(fresh) {
            let (constrained, constraint_pins) = self.plan.constrain(name, &wanted.specifiers, environment);
            let asked = Asked { specifiers: &constrained, pins: [&wanted.pins, &constraint_pins] };
            let chosen = select::choose(&project.candidates, &asked, environment, self.plan.policy);
            if chosen.is_empty() {
                without |= environment;
            }
            for index in &chosen {
                project.files.entry(*index).or_default();
            }
            for index in select::telling(&project.candidates, &chosen) {
                *needed.entry(index).or_default() |= environment;
            }
        }
        if without != 0 {
            self.unanswered(name, &wanted, without, without == fresh, out)?;
        }
        if self.plan.dependencies {
            for (index, environments) in needed {
                self.follow(name, index, &wanted.extras, environments, out)?;
            }
        }
        Ok(())
    }

    /// Says that a requirement has no file; an error where the configuration asks and no environment has one.
    fn unanswered(
        &self,
        name: &Name,
        wanted: &Wanted,
        without: Environments,
        nowhere: bool,
        out: &mut Out<'_>,
    ) -> Result<(), FormatError> {
        let Some(project) = self.projects.get(name) else { return Ok(()) };
        let mut versions: Vec<String> = project.candidates.iter().map(|c| c.version.to_string()).collect();
        versions.dedup();
        let has = match versions.as_slice() {
            [] => "no file that an environment can use".to_owned(),
            [only] => format!("version {only}"),
            [newest, .., oldest] => format!("{} versions, {oldest} to {newest}", versions.len()),
        };
        let pinned = if wanted.pins.is_empty() { "" } else { " with the pinned digests" };
        let what = format!("`{name}{}`{pinned}", wanted.specifiers);
        if nowhere && wanted.by.is_none() {
            return Err(FormatError::NotOffered { file: name.page("index")?, what, has });
        }
        let by = wanted.by.as_ref().map_or_else(String::new, |by| format!(", wanted by {by},"));
        let environments = if self.plan.targets.is_empty() {
            String::new()
        } else {
            let named = self.plan.targets.iter().zip(0..).filter(|(_, bit)| without >> bit & 1 == 1);
            format!(" for {}", named.map(|(t, _)| t.shown()).collect::<Vec<_>>().join(", "))
        };
        notice(out, &name.page("index")?, format!("{what}{by} has no file{environments}; there are {has}"))
    }
}

impl Walk for Walker<'_> {
    fn start(&mut self) -> Result<Vec<Want>, FormatError> {
        let mut wants = Vec::new();
        for requirement in &self.plan.requirements {
            let environments = self.plan.meeting(requirement, &[]);
            if environments != 0 {
                let wanted = Wanted {
                    specifiers: requirement.specifiers.clone(),
                    extras: requirement.extras.clone(),
                    pins: requirement.hashes.clone(),
                    environments,
                    by: None,
                };
                self.want(&requirement.name, wanted, &mut |step| {
                    if let Step::Want(want) = step {
                        wants.push(want);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(wants)
    }

    fn feed(
        &mut self,
        want: &Want,
        answer: Answer<'_>,
        out: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let asked = usize::try_from(want.tag).ok().and_then(|tag| self.asked.get(tag)).cloned();
        let Some((name, question)) = asked else { return Ok(()) };
        match question {
            Question::Page | Question::Alternate => self.feed_page(&name, question, want, answer, out),
            Question::Metadata(index) => self.feed_metadata(&name, index, want, answer, out),
            Question::Archive(index) => self.feed_archive(&name, index, want, answer, out),
        }
    }

    fn finish(
        mut self: Box<Self>,
        out: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<Coverage, FormatError> {
        self.projects.iter_mut().try_for_each(|(name, project)| project.tell(name, out))?;
        Ok(Coverage::default())
    }
}

fn page_want(name: &Name) -> Result<Want, FormatError> {
    Ok(Want {
        accept: Some(ACCEPT),
        absent: Absent::Allowed,
        keep: Keep::Evidence,
        at: At::Directory(name.directory()),
        ..Want::anchor(name.page("index")?, ANCHOR_BYTES)
    })
}

fn nowhere(name: &Name) -> Result<Url, FormatError> {
    let address = format!("{NOWHERE}{name}/");
    Url::parse(&address).map_err(|_| FormatError::malformed(&name.directory(), "address", "a URL", &address))
}

/// Says that a project has no page; an error where the configuration asks for it.
fn missing(name: &Name, wanted: &Wanted, out: &mut Out<'_>) -> Result<(), FormatError> {
    let file = name.page("index")?;
    match &wanted.by {
        None => Err(FormatError::NotOffered {
            file,
            what: format!("project `{name}`"),
            has: "no page for it".into(),
        }),
        Some(by) => notice(out, &file, format!("project `{name}`, wanted by {by}, is not there")),
    }
}

fn notice(out: &mut Out<'_>, path: &RepoPath, text: String) -> Result<(), FormatError> {
    out(Step::Notice(Notice { path: path.clone(), text }))
}

fn bits(set: Environments) -> impl Iterator<Item = Environments> {
    (0..Environments::BITS).map(|bit| 1 << bit).filter(move |bit| set & bit != 0)
}

#[cfg(test)]
mod tests;
