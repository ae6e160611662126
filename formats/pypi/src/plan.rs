//! Options, parsed: what a walk is to take.

use std::{collections::BTreeMap, str::FromStr};

use chantal_contract::{Checksum, FormatError, limits::ENVIRONMENTS};

use crate::{
    environment::Target,
    filename::Distribution,
    name::Name,
    options::{PypiOptions, Sdists},
    requirement::Requirement,
    select::{Environments, Policy},
    version::Specifiers,
};

/// What a walk is to take.
pub(crate) struct Plan {
    /// Requirements of the configuration.
    pub requirements: Vec<Requirement>,
    /// The digests that they pin, by project.
    pins: BTreeMap<Name, Vec<Checksum>>,
    /// What narrows them, by project.
    constraints: BTreeMap<Name, Vec<Requirement>>,
    /// Environments; none: everything serves.
    pub targets: Vec<Target>,
    /// Policies of selection.
    pub policy: Policy,
    /// Whether dependencies are followed.
    pub dependencies: bool,
}

impl Plan {
    /// Parses options; those that cannot be honoured are refused by name.
    pub(crate) fn new(options: &PypiOptions) -> Result<Self, FormatError> {
        let refuse =
            |option: &str, why: String| FormatError::Option { option: format!("pypi.{option}"), why };
        if let Some(file) = options.requirements.first() {
            let why = format!(
                "`{}` was not read; requirements files are read with the configuration",
                file.display()
            );
            return Err(refuse("requirements", why));
        }
        if options.dependencies && options.environments.is_empty() {
            let why =
                "the closure over dependencies needs `environments`, whose markers decide what is needed";
            return Err(refuse("dependencies", why.into()));
        }
        if options.environments.len() > ENVIRONMENTS {
            return Err(refuse("environments", format!("there are more than {ENVIRONMENTS}")));
        }
        let targets = options
            .environments
            .iter()
            .map(|environment| Target::new(environment).map_err(|e| refuse("environments", e.to_string())))
            .collect::<Result<_, _>>()?;
        let parsed = |option: &str, lines: &[String]| {
            lines
                .iter()
                .map(|line| {
                    Requirement::parse_line(line).map_err(|e| refuse(option, format!("`{line}`: {e}")))
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let mut constraints: BTreeMap<Name, Vec<Requirement>> = BTreeMap::new();
        for constraint in parsed("constraints", &options.constraints)? {
            if !constraint.extras.is_empty() {
                return Err(refuse("constraints", format!("`{}` has extras", constraint.name)));
            }
            constraints.entry(constraint.name.clone()).or_default().push(constraint);
        }
        let requirements = parsed("projects", &options.projects)?;
        let mut pins: BTreeMap<Name, Vec<Checksum>> = BTreeMap::new();
        for requirement in requirements.iter().filter(|r| !r.hashes.is_empty()) {
            pins.entry(requirement.name.clone()).or_default().extend(requirement.hashes.iter().cloned());
        }
        let keep = options.keep.map(|keep| usize::try_from(keep.get()).unwrap_or(usize::MAX));
        Ok(Self {
            requirements,
            pins,
            constraints,
            targets,
            policy: Policy { prereleases: options.prereleases, sdists: options.effective_sdists(), keep },
            dependencies: options.dependencies,
        })
    }

    /// Returns the environments in which a requirement is meant; without environments it always is.
    pub(crate) fn meeting(&self, requirement: &Requirement, extras: &[Name]) -> Environments {
        self.among(|target| requirement.marker.as_ref().is_none_or(|marker| target.meets(marker, extras)))
    }

    /// Returns the environments that can use a file; what `requires-python` cannot be read asks for nothing, as with pip.
    pub(crate) fn usable(&self, distribution: &Distribution, requires_python: Option<&str>) -> Environments {
        if distribution.is_sdist() && self.policy.sdists == Sdists::Never {
            return 0;
        }
        let python = requires_python.and_then(|text| Specifiers::from_str(text).ok());
        self.among(|target| {
            python.as_ref().is_none_or(|python| target.satisfies(python)) && distribution.serves(target)
        })
    }

    fn among(&self, holds: impl Fn(&Target) -> bool) -> Environments {
        if self.targets.is_empty() {
            return 1;
        }
        let bits = self.targets.iter().zip(0..Environments::BITS);
        bits.filter(|(target, _)| holds(target)).fold(0, |set, (_, bit)| set | 1 << bit)
    }

    /// Returns the digests that the configuration pins for a project; they hold for whoever else wants it, too.
    pub(crate) fn pins(&self, name: &Name) -> &[Checksum] {
        self.pins.get(name).map_or(&[], Vec::as_slice)
    }

    /// Narrows specifiers by the constraints that hold in one environment, and returns what those pin.
    ///
    /// Without environments a constraint with a marker holds nowhere.
    pub(crate) fn constrain(
        &self,
        name: &Name,
        specifiers: &Specifiers,
        environment: Environments,
    ) -> (Specifiers, Vec<Checksum>) {
        let mut narrowed = specifiers.clone();
        let mut pins = Vec::new();
        for constraint in self.constraints.get(name).into_iter().flatten() {
            let unknown = self.targets.is_empty() && constraint.marker.is_some();
            if !unknown && self.meeting(constraint, &[]) & environment != 0 {
                narrowed = narrowed.and(&constraint.specifiers);
                pins.extend(constraint.hashes.iter().cloned());
            }
        }
        (narrowed, pins)
    }
}
