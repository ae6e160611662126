//! Environment markers (PEP 508): parsed once, evaluated without building formulas, so that none can explode.

use chantal_contract::limits::MARKER_DEPTH;

use crate::{name::Name, version};

mod parse;

/// What a marker asks of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `3.11`.
    PythonVersion,
    /// `3.11.4`.
    PythonFullVersion,
    /// `posix`, `nt`.
    OsName,
    /// `linux`, `darwin`, `win32`.
    SysPlatform,
    /// The kernel's release; never known here.
    PlatformRelease,
    /// `Linux`, `Darwin`, `Windows`.
    PlatformSystem,
    /// The kernel's build; never known here.
    PlatformVersion,
    /// `x86_64`, `AMD64`, `arm64`.
    PlatformMachine,
    /// `CPython`, `PyPy`.
    PlatformPythonImplementation,
    /// `cpython`, `pypy`.
    ImplementationName,
    /// The implementation's own version.
    ImplementationVersion,
    /// The extra that was asked for.
    Extra,
}

impl Variable {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "python_version" => Self::PythonVersion,
            "python_full_version" => Self::PythonFullVersion,
            "os_name" | "os.name" => Self::OsName,
            "sys_platform" | "sys.platform" => Self::SysPlatform,
            "platform_release" => Self::PlatformRelease,
            "platform_system" => Self::PlatformSystem,
            "platform_version" | "platform.version" => Self::PlatformVersion,
            "platform_machine" | "platform.machine" => Self::PlatformMachine,
            "platform_python_implementation" | "platform.python_implementation" | "python_implementation" => {
                Self::PlatformPythonImplementation
            }
            "implementation_name" => Self::ImplementationName,
            "implementation_version" => Self::ImplementationVersion,
            "extra" => Self::Extra,
            _ => return None,
        })
    }

    fn is_version(self) -> bool {
        matches!(
            self,
            Self::PythonVersion
                | Self::PythonFullVersion
                | Self::ImplementationVersion
                | Self::PlatformRelease
        )
    }

    /// Tells whether it depends on the patch release of Python, which an environment need not name.
    fn is_exact(self) -> bool {
        matches!(self, Self::PythonFullVersion | Self::ImplementationVersion)
    }
}

/// Where the values of variables come from; none is unknown, and what asks for it holds.
pub trait Values {
    /// Returns the value of a variable other than `extra`.
    fn value(&self, variable: Variable) -> Option<&str>;
}

/// A marker, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// All must hold.
    All(Vec<Marker>),
    /// One must hold.
    Any(Vec<Marker>),
    /// A comparison of a variable with a text.
    Compare(Comparison),
}

/// One comparison of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    variable: Variable,
    operator: Operator,
    text: Box<str>,
    /// Whether the text stands on the left.
    reversed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    Compatible,
    Identical,
    In,
    NotIn,
}

impl Operator {
    const fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::LessOrEqual => "<=",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::Compatible => "~=",
            Self::Identical => "===",
            Self::In => "in",
            Self::NotIn => "not in",
        }
    }
}

/// Why some text is no marker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// Something else was expected.
    #[error("expected {expected} at `{found}`")]
    Syntax {
        /// What the grammar asks for.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// Parentheses are nested deeper than is read.
    #[error("parentheses are nested deeper than {MARKER_DEPTH}")]
    Depth,
}

impl Marker {
    /// Tells whether it holds for one extra (empty: none) in an environment.
    ///
    /// Decides as `packaging` does, but what asks for an unknown value, or compares texts by an operator that has no meaning
    /// for them, holds: a closure may take too much, not too little.
    pub fn holds(&self, values: &dyn Values, extra: &str) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|p| p.holds(values, extra)),
            Self::Any(parts) => parts.iter().any(|p| p.holds(values, extra)),
            Self::Compare(comparison) => comparison.holds(values, extra),
        }
    }

    /// Tells whether it depends on the patch release of Python.
    pub fn is_exact(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::is_exact),
            Self::Compare(comparison) => comparison.variable.is_exact(),
        }
    }
}

impl Comparison {
    fn holds(&self, values: &dyn Values, extra: &str) -> bool {
        if self.variable == Variable::Extra {
            let wanted = Name::new(&self.text);
            let same = wanted.map_or(self.text.as_ref() == extra, |n| n.as_str() == extra);
            return match self.operator {
                Operator::NotEqual | Operator::NotIn => !same,
                _ => same,
            };
        }
        let Some(value) = values.value(self.variable) else { return true };
        let (left, right) = if self.reversed { (&*self.text, value) } else { (value, &*self.text) };
        if self.variable.is_version()
            && !matches!(self.operator, Operator::In | Operator::NotIn)
            && let Some(held) = version::compares(self.operator.text(), right, left)
        {
            return held;
        }
        match self.operator {
            Operator::Equal | Operator::Identical | Operator::LessOrEqual | Operator::GreaterOrEqual => {
                left == right
            }
            Operator::NotEqual => left != right,
            Operator::In => right.contains(left),
            Operator::NotIn => !right.contains(left),
            Operator::Less | Operator::Greater => false,
            Operator::Compatible => true,
        }
    }
}

#[cfg(test)]
mod tests;
