//! Platforms as wheels name them, and which of them an environment can use (PEP 425, 513, 571, 599, 600, 656).

use std::str::FromStr;

/// Where an environment runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Linux with the GNU C library.
    Glibc {
        /// The library's version: the newest that a wheel may ask for.
        version: (u32, u32),
        /// The machine, as `uname -m` says.
        machine: String,
    },
    /// Linux with musl.
    Musl {
        /// The library's version.
        version: (u32, u32),
        /// The machine.
        machine: String,
    },
    /// macOS.
    Mac {
        /// The system's version.
        version: (u32, u32),
        /// `arm64` or `x86_64`.
        machine: String,
    },
    /// Windows.
    Windows(Windows),
}

/// A machine that Windows runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// 64 bits, Intel and AMD.
    Amd64,
    /// 64 bits, ARM.
    Arm64,
    /// 32 bits.
    X86,
}

/// Some text that is no platform an environment can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// It does not tell which C library there is.
    #[error(
        "platform `{0}` does not tell the C library; name it: `manylinux_2_28_{1}` or `musllinux_1_2_{1}`"
    )]
    Library(String, String),
    /// It is none that is known.
    #[error(
        "platform `{0}` is none of `manylinux_<major>_<minor>_<machine>`, `musllinux_…`, `macosx_<major>_<minor>_<machine>`, `win_amd64`, `win_arm64`, `win32`"
    )]
    Unknown(String),
}

impl FromStr for Platform {
    type Err = PlatformError;
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let unknown = || PlatformError::Unknown(text.chars().take(60).collect());
        if let Some((version, machine)) = manylinux(text) {
            return Ok(Self::Glibc { version, machine: machine.into() });
        }
        if let Some((version, machine)) = versioned(text, "musllinux_") {
            return Ok(Self::Musl { version, machine: machine.into() });
        }
        if let Some((version, machine @ ("arm64" | "x86_64"))) = versioned(text, "macosx_") {
            return Ok(Self::Mac { version, machine: machine.into() });
        }
        match text {
            "win_amd64" => Ok(Self::Windows(Windows::Amd64)),
            "win_arm64" => Ok(Self::Windows(Windows::Arm64)),
            "win32" => Ok(Self::Windows(Windows::X86)),
            _ => match text.strip_prefix("linux_") {
                Some(machine) if is_machine(machine) => {
                    Err(PlatformError::Library(text.into(), machine.into()))
                }
                _ => Err(unknown()),
            },
        }
    }
}

impl Platform {
    /// Tells whether a wheel with this platform tag runs here.
    pub fn accepts(&self, tag: &str) -> bool {
        if tag == "any" {
            return true;
        }
        match self {
            Self::Glibc { version, machine } => {
                let fits =
                    |(tag, on): ((u32, u32), &str)| on == machine && tag.0 == version.0 && tag.1 <= version.1;
                manylinux(tag).is_some_and(fits) || tag.strip_prefix("linux_") == Some(machine)
            }
            Self::Musl { version, machine } => {
                let fits =
                    |(tag, on): ((u32, u32), &str)| on == machine && tag.0 == version.0 && tag.1 <= version.1;
                versioned(tag, "musllinux_").is_some_and(fits) || tag.strip_prefix("linux_") == Some(machine)
            }
            Self::Mac { version, machine } => versioned(tag, "macosx_").is_some_and(|(built, binary)| {
                let arm = machine == "arm64";
                let binaries: &[&str] = match (arm, built.0) {
                    (true, 11..) => &["arm64", "universal2"],
                    (true, _) => &["universal2"],
                    (false, _) => &["x86_64", "intel", "fat64", "fat32", "fat3", "universal2", "universal"],
                };
                built <= *version && binaries.contains(&binary)
            }),
            Self::Windows(windows) => {
                tag == match windows {
                    Windows::Amd64 => "win_amd64",
                    Windows::Arm64 => "win_arm64",
                    Windows::X86 => "win32",
                }
            }
        }
    }

    /// Returns the marker `os_name`.
    pub fn os_name(&self) -> &'static str {
        if matches!(self, Self::Windows(_)) { "nt" } else { "posix" }
    }

    /// Returns the marker `sys_platform`.
    pub fn sys_platform(&self) -> &'static str {
        match self {
            Self::Glibc { .. } | Self::Musl { .. } => "linux",
            Self::Mac { .. } => "darwin",
            Self::Windows(_) => "win32",
        }
    }

    /// Returns the marker `platform_system`.
    pub fn system(&self) -> &'static str {
        match self {
            Self::Glibc { .. } | Self::Musl { .. } => "Linux",
            Self::Mac { .. } => "Darwin",
            Self::Windows(_) => "Windows",
        }
    }

    /// Returns the marker `platform_machine`.
    pub fn machine(&self) -> &str {
        match self {
            Self::Glibc { machine, .. } | Self::Musl { machine, .. } | Self::Mac { machine, .. } => machine,
            Self::Windows(Windows::Amd64) => "AMD64",
            Self::Windows(Windows::Arm64) => "ARM64",
            Self::Windows(Windows::X86) => "x86",
        }
    }
}

/// Reads `manylinux_2_17_x86_64` and its elder names `manylinux2014_…`, `manylinux2010_…`, `manylinux1_…` (PEP 600).
fn manylinux(tag: &str) -> Option<((u32, u32), &str)> {
    for (alias, version) in
        [("manylinux2014_", (2, 17)), ("manylinux2010_", (2, 12)), ("manylinux1_", (2, 5))]
    {
        if let Some(machine) = tag.strip_prefix(alias) {
            return is_machine(machine).then_some((version, machine));
        }
    }
    versioned(tag, "manylinux_")
}

fn versioned<'a>(tag: &'a str, prefix: &str) -> Option<((u32, u32), &'a str)> {
    let mut parts = tag.strip_prefix(prefix)?.splitn(3, '_');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    let machine = parts.next().filter(|m| is_machine(m))?;
    Some(((major, minor), machine))
}

fn is_machine(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests;
