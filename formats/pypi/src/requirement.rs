//! One requirement: a project, extras, version specifiers, a marker (PEP 508), and pip's `--hash` pins.

use std::str::FromStr;

use chantal_contract::{Algorithm, Checksum, limits::REQUIREMENT_BYTES};

use crate::{
    marker::{Marker, MarkerError},
    name::Name,
    version::{SpecifierError, Specifiers},
};

/// A requirement, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The project.
    pub name: Name,
    /// The extras that are asked for, sorted.
    pub extras: Vec<Name>,
    /// What versions serve.
    pub specifiers: Specifiers,
    /// Where it is wanted at all.
    pub marker: Option<Marker>,
    /// The digests that a file may have; empty for any.
    pub hashes: Vec<Checksum>,
}

/// Why some text is no requirement that an index can answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    /// It is longer than is read.
    #[error("it is longer than {REQUIREMENT_BYTES} bytes")]
    Long,
    /// It does not begin with a project's name.
    #[error("expected a project's name at `{0}`")]
    Name(String),
    /// Its extras are not names joined by commas.
    #[error("expected extras in brackets at `{0}`")]
    Extras(String),
    /// It names a file, not a version.
    #[error("`{0}` is taken from a URL, which no index answers")]
    Url(Name),
    /// A specifier is none.
    #[error(transparent)]
    Specifier(#[from] SpecifierError),
    /// The marker is none.
    #[error("marker: {0}")]
    Marker(#[from] MarkerError),
    /// A `--hash` is none of `sha256:`, `sha384:`, `sha512:` with its digits.
    #[error("expected `--hash=sha256:` and 64 hexadecimal digits (or sha384, sha512), found `{0}`")]
    Hash(String),
    /// An option that a requirement cannot have here.
    #[error("option `{0}` has no meaning for a mirror")]
    Option(String),
}

impl Requirement {
    /// Reads a requirement as a wheel's metadata holds it; the old form `name (>=1)` is accepted.
    pub fn parse(text: &str) -> Result<Self, RequirementError> {
        if text.len() > REQUIREMENT_BYTES {
            return Err(RequirementError::Long);
        }
        let shown = |rest: &str| rest.chars().take(40).collect::<String>();
        let text = text.trim();
        let end =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
        let (head, rest) = text.split_at(end);
        let name = Name::new(head).ok_or_else(|| RequirementError::Name(shown(text)))?;
        let (extras, rest) = match rest.trim_start().strip_prefix('[') {
            Some(inner) => {
                let (list, tail) =
                    inner.split_once(']').ok_or_else(|| RequirementError::Extras(shown(inner)))?;
                (Self::extras(list)?, tail)
            }
            None => (Vec::new(), rest),
        };
        if rest.trim_start().starts_with('@') {
            return Err(RequirementError::Url(name));
        }
        let (versions, marker) = match rest.split_once(';') {
            Some((versions, marker)) => (versions, Some(Marker::from_str(marker)?)),
            None => (rest, None),
        };
        let versions = versions.trim();
        let bare = versions.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(versions);
        Ok(Self { name, extras, specifiers: Specifiers::from_str(bare)?, marker, hashes: Vec::new() })
    }

    /// Reads a requirement as a line of a requirements file holds it, `--hash` pins included.
    pub fn parse_line(text: &str) -> Result<Self, RequirementError> {
        let at = text.match_indices("--").map(|(at, _)| at).find(|at| {
            text.get(..*at).is_some_and(|head| head.is_empty() || head.ends_with(char::is_whitespace))
        });
        let (requirement, options) = text.split_at(at.unwrap_or(text.len()));
        let mut parsed = Self::parse(requirement)?;
        let mut words = options.split_whitespace();
        while let Some(word) = words.next() {
            let value = match word.strip_prefix("--hash") {
                Some("") => words.next().unwrap_or_default(),
                Some(tail) => tail.strip_prefix('=').unwrap_or(tail),
                None => return Err(RequirementError::Option(word.chars().take(40).collect())),
            };
            parsed.hashes.push(pin(value)?);
        }
        parsed.hashes.sort();
        parsed.hashes.dedup();
        Ok(parsed)
    }

    fn extras(list: &str) -> Result<Vec<Name>, RequirementError> {
        let mut extras = list
            .split(',')
            .map(str::trim)
            .filter(|e| !e.is_empty())
            .map(|e| Name::new(e).ok_or_else(|| RequirementError::Extras(e.chars().take(40).collect())))
            .collect::<Result<Vec<_>, _>>()?;
        extras.sort();
        extras.dedup();
        Ok(extras)
    }
}

fn pin(value: &str) -> Result<Checksum, RequirementError> {
    let fault = || RequirementError::Hash(value.chars().take(80).collect());
    let (algorithm, digits) = value.split_once(':').ok_or_else(fault)?;
    let algorithm = Algorithm::named(algorithm).filter(|a| a.is_proof()).ok_or_else(fault)?;
    Checksum::from_hex(algorithm, digits).map_err(|_| fault())
}

#[cfg(test)]
mod tests;
