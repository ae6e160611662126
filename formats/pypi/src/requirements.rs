//! Requirements files as pip has them, flattened into requirements and constraints.

use std::{
    io,
    path::{Path, PathBuf},
};

use chantal_contract::limits::{REQUIREMENTS_DEPTH, REQUIREMENTS_LINES};

use crate::requirement::{Requirement, RequirementError};

/// What requirements files ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Requirements, each as one line: specifiers, marker, `--hash` pins.
    pub requirements: Vec<String>,
    /// Constraints of the same form.
    pub constraints: Vec<String>,
}

/// Why a requirements file cannot be honoured.
#[derive(Debug, thiserror::Error)]
#[error("`{}`, line {line}: {fault}", file.display())]
pub struct RequirementsError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1, on which the entry begins; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a line of a requirements file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// Files name each other in a circle.
    #[error("names `{}`, which is being read already", .0.display())]
    Cycle(PathBuf),
    /// Files name each other too deeply.
    #[error("files name each other deeper than {REQUIREMENTS_DEPTH}")]
    Depth,
    /// There are too many lines.
    #[error("more than {REQUIREMENTS_LINES} lines")]
    Lines,
    /// A requirements file at a URL.
    #[error("`{0}` is at a URL; requirements files are read from disc")]
    RemoteFile(String),
    /// An editable requirement.
    #[error("`{0}` is editable: a source tree, not a package of an index")]
    Editable(String),
    /// A file or directory.
    #[error("`{0}` is a local path, not a package of an index")]
    Path(String),
    /// A URL.
    #[error("`{0}` is a URL, not a package of an index")]
    Url(String),
    /// An option that the configuration answers.
    #[error("option `{0}` is set in Chantal's configuration, not in a requirements file")]
    Configured(String),
    /// An option that means nothing here.
    #[error("unknown option `{0}`")]
    Unknown(String),
    /// An environment variable.
    #[error("`{0}` names an environment variable, which are not expanded here")]
    Variable(String),
    /// `--require-hashes` stands in the files, and this has none.
    #[error("`{0}` has no `--hash`, and `--require-hashes` asks for one")]
    Unpinned(String),
    /// A constraint with extras.
    #[error("constraint `{0}` has extras, which constraints cannot have")]
    ConstraintExtras(String),
    /// It is no requirement.
    #[error("{0}")]
    Requirement(#[from] RequirementError),
}

impl RequirementsError {
    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        Some(match &self.fault {
            Fault::Cycle(_) | Fault::Depth => "remove one of the `-r` or `-c` lines".into(),
            Fault::RemoteFile(_) => "save the file beside the configuration and name it by its path".into(),
            Fault::Editable(_)
            | Fault::Path(_)
            | Fault::Url(_)
            | Fault::Requirement(RequirementError::Url(_)) => {
                "name the project and its version (`name==1.0`), or carry this file by other means".into()
            }
            Fault::Configured(option) => match option.as_str() {
                "--pre" => "set `prereleases: allow`".into(),
                "--no-binary" | "--only-binary" | "--prefer-binary" => {
                    "set `sdists: always`, `when-no-wheel` or `never`".into()
                }
                _ => "the index is the repository's `url`; a second index is a second repository".into(),
            },
            Fault::Variable(_) => "write the value itself".into(),
            Fault::Unpinned(_) => "pin it, or remove `--require-hashes`".into(),
            Fault::Requirement(RequirementError::Option(_)) | Fault::Unknown(_) => "remove the option".into(),
            _ => return None,
        })
    }
}

/// Reads a requirements file and those that it names by `-r` and `-c`.
///
/// `read` returns a file's text. Comments, continued lines, specifiers, extras, markers and `--hash` are understood;
/// everything that no index can answer is refused, with its file and line.
pub fn read(
    path: &Path,
    read: &mut dyn FnMut(&Path) -> io::Result<String>,
) -> Result<Requirements, RequirementsError> {
    let mut reader = Reader { read, found: Found::default(), open: Vec::new(), lines: 0, hashes: false };
    reader.file(path, Purpose::Want, None)?;
    if reader.hashes
        && let Some(entry) = reader.found.unpinned
    {
        return Err(entry.error(Fault::Unpinned(entry.text.clone())));
    }
    Ok(reader.found.all)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Want,
    Constrain,
}

/// A logical line and where it begins.
#[derive(Clone)]
struct Entry {
    file: PathBuf,
    line: usize,
    text: String,
}

impl Entry {
    fn error(&self, fault: Fault) -> RequirementsError {
        RequirementsError { file: self.file.clone(), line: self.line, fault }
    }
}

#[derive(Default)]
struct Found {
    all: Requirements,
    unpinned: Option<Entry>,
}

struct Reader<'a> {
    read: &'a mut dyn FnMut(&Path) -> io::Result<String>,
    found: Found,
    open: Vec<PathBuf>,
    lines: usize,
    hashes: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, purpose: Purpose, from: Option<&Entry>) -> Result<(), RequirementsError> {
        let here = Entry { file: path.into(), line: 0, text: String::new() };
        let blame = from.unwrap_or(&here);
        if self.open.iter().any(|open| open == path) {
            return Err(blame.error(Fault::Cycle(path.into())));
        }
        if self.open.len() >= REQUIREMENTS_DEPTH {
            return Err(blame.error(Fault::Depth));
        }
        let text = (self.read)(path).map_err(|source| here.error(Fault::Read(source)))?;
        self.lines += text.lines().count();
        if self.lines > REQUIREMENTS_LINES {
            return Err(here.error(Fault::Lines));
        }
        self.open.push(path.into());
        for entry in entries(path, &text) {
            self.entry(&entry, purpose)?;
        }
        self.open.pop();
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, purpose: Purpose) -> Result<(), RequirementsError> {
        let text = entry.text.as_str();
        if let Some(at) = text.find("${") {
            return Err(entry.error(Fault::Variable(text.get(at..).unwrap_or(text).into())));
        }
        if text.starts_with('-') {
            return self.option(entry, purpose);
        }
        if let Some(fault) = local(text) {
            return Err(entry.error(fault));
        }
        let requirement = Requirement::parse_line(text).map_err(|e| entry.error(e.into()))?;
        if purpose == Purpose::Constrain && !requirement.extras.is_empty() {
            return Err(entry.error(Fault::ConstraintExtras(text.into())));
        }
        if requirement.hashes.is_empty() && purpose == Purpose::Want && self.found.unpinned.is_none() {
            self.found.unpinned = Some(entry.clone());
        }
        let list = match purpose {
            Purpose::Want => &mut self.found.all.requirements,
            Purpose::Constrain => &mut self.found.all.constraints,
        };
        list.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(())
    }

    fn option(&mut self, entry: &Entry, purpose: Purpose) -> Result<(), RequirementsError> {
        let (name, value) = split_option(&entry.text);
        let nested = match name {
            "-r" | "--requirement" => Purpose::Want,
            "-c" | "--constraint" => Purpose::Constrain,
            "--require-hashes" => {
                self.hashes = true;
                return Ok(());
            }
            "-e" | "--editable" => return Err(entry.error(Fault::Editable(value.into()))),
            "-i" | "--index-url" | "--extra-index-url" | "--pypi-url" | "--no-index" | "-f"
            | "--find-links" | "--trusted-host" | "--pre" | "--no-binary" | "--only-binary"
            | "--prefer-binary" => return Err(entry.error(Fault::Configured(name.into()))),
            _ => return Err(entry.error(Fault::Unknown(name.into()))),
        };
        if value.contains("://") {
            return Err(entry.error(Fault::RemoteFile(value.into())));
        }
        let inner = if purpose == Purpose::Constrain { Purpose::Constrain } else { nested };
        let path = entry.file.parent().unwrap_or(Path::new("")).join(value);
        self.file(&plain(&path), inner, Some(entry))
    }
}

/// Splits `-rfile`, `-r file`, `--requirement=file` and `--requirement file`.
fn split_option(text: &str) -> (&str, &str) {
    if text.starts_with("--") {
        let (name, value) = text.split_once(|c: char| c == '=' || c.is_whitespace()).unwrap_or((text, ""));
        (name, value.trim())
    } else {
        let (name, value) = text.split_at_checked(2).unwrap_or((text, ""));
        (name, value.trim().trim_start_matches('=').trim_start())
    }
}

/// Tells what a line is that names a file or an address instead of a project.
fn local(text: &str) -> Option<Fault> {
    let word = text.split_whitespace().next().unwrap_or_default();
    let bare = word.split(['[', ';']).next().unwrap_or_default();
    if word.contains("://") {
        return Some(Fault::Url(word.into()));
    }
    let archive =
        [".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz"].iter().any(|e| bare.ends_with(e));
    let path = word.starts_with('.') || word.starts_with('/') || bare.contains(['/', '\\']);
    let versioned = bare.contains(['=', '<', '>', '~', '!', '@']);
    (path || archive && !versioned).then(|| Fault::Path(word.into()))
}

/// Resolves `.` and `..` by text, so that a circle of files is seen whatever it calls itself.
fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Joins continued lines and strips comments, as pip does: a comment ends a continuation.
fn entries(file: &Path, text: &str) -> Vec<Entry> {
    let mut all = Vec::new();
    let mut open: Option<Entry> = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let comment = line.trim_start().starts_with('#');
        let (part, continued) = match line.strip_suffix('\\') {
            Some(part) if !comment => (part, true),
            _ => (line, false),
        };
        let entry =
            open.get_or_insert_with(|| Entry { file: file.into(), line: number + 1, text: String::new() });
        if !comment {
            entry.text.push_str(part);
            entry.text.push(' ');
        }
        if !continued {
            all.extend(open.take());
        }
    }
    all.extend(open);
    for entry in &mut all {
        let cut = entry.text.match_indices('#').map(|(at, _)| at).find(|at| {
            entry.text.get(..*at).is_some_and(|head| head.is_empty() || head.ends_with(char::is_whitespace))
        });
        if let Some(at) = cut {
            entry.text.truncate(at);
        }
        entry.text = entry.text.trim().to_owned();
    }
    all.retain(|entry| !entry.text.is_empty());
    all
}

#[cfg(test)]
mod tests;
