//! The list of formats: one line each, wherever formats are told apart.

pub mod replay;

use std::{fs::File, io, io::Read as _, path::Path};

use chantal_apt::Apt;
use chantal_contract::{Format, FormatError, Header, Kind};
use chantal_pypi::Pypi;
use chantal_rpm::Rpm;

pub use chantal_apt::AptOptions;
pub use chantal_pypi::PypiOptions;
pub use chantal_rpm::RpmOptions;

use crate::config::{Fault, Repository};

/// Bytes of one requirements file.
const REQUIREMENTS_BYTES: u64 = 16 << 20;

/// Sets up the format of a configured repository; requirements files are read here.
///
/// What the options get wrong is said at the repository's place in the configuration.
pub fn build(repository: &Repository) -> Result<Box<dyn Format>, Fault> {
    let wrong = |error: &dyn std::fmt::Display| {
        Fault::new(repository.place(), format!("`{}`: {error}", repository.name))
    };
    let format: Result<Box<dyn Format>, FormatError> = if let Some(apt) = &repository.apt {
        Apt::new(apt.clone()).map(|format| Box::new(format) as Box<dyn Format>)
    } else if let Some(rpm) = &repository.rpm {
        Ok(Box::new(Rpm::new(rpm.clone().map(|location| location.url().clone()))))
    } else if let Some(pypi) = &repository.pypi {
        let mut options = pypi.clone();
        if let Some(retention) = &repository.retention {
            options.keep = Some(retention.keep);
        }
        let options =
            options.with_files_read(repository.directory(), &mut read_requirements).map_err(|error| {
                let fault = wrong(&error);
                match error.hint() {
                    Some(hint) => fault.with_hint(hint),
                    None => fault,
                }
            })?;
        Pypi::new(options).map(|format| Box::new(format) as Box<dyn Format>)
    } else {
        return Err(wrong(&"it has no format block").with_hint("add one of `apt:`, `rpm:`, `pypi:`"));
    };
    format.map_err(|error| wrong(&error))
}

fn read_requirements(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(REQUIREMENTS_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > REQUIREMENTS_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(text)
}

/// Sets up the format that a snapshot's header names, with the options that it holds.
///
/// A mode that the format has not is refused: it decides what is published and what a review tells, and the two must be of the
/// same packages.
pub fn from_header(header: &Header) -> Result<Box<dyn Format>, FormatError> {
    let options = header.options.clone();
    let format: Box<dyn Format> = match header.format {
        Kind::Apt => Box::new(Apt::from_value(options)?),
        Kind::Rpm => Box::new(Rpm::from_value(options)?),
        Kind::Pypi => Box::new(Pypi::from_value(options)?),
        kind @ (Kind::Helm | Kind::Apk) => {
            return Err(FormatError::Option {
                option: kind.name().into(),
                why: "this version does not know the format; use a newer one".into(),
            });
        }
    };
    if format.mode() == header.mode {
        return Ok(format);
    }
    Err(FormatError::Option {
        option: "mode".into(),
        why: format!("expected `{}` of format {}, found `{}`", format.mode(), header.format, header.mode),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chantal_contract::Mode;

    use super::*;
    use crate::config::Config;

    fn config(repositories: &str, files: &[(&str, &str)]) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "role: collector\nsite: hq\nstorage: {{ root: s, published: p }}\nrepositories:\n{repositories}"
        );
        fs::write(dir.path().join("chantal.yaml"), text).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut config = Config::load(&dir.path().join("chantal.yaml")).unwrap();
        // the directory is kept for the files that `build` reads
        config.path = dir.keep();
        config
    }

    #[test]
    fn every_format_is_built_and_found_again_by_its_header() {
        let config = config(
            "  - { name: a, url: file:///a, keys: [k], apt: { suites: [s], components: [main], architectures: [amd64] } }\n  \
               - { name: r, url: file:///r, rpm: }\n  \
               - { name: p, url: file:///p, retention: { keep: 2 }, pypi: { requirements: [requirements.txt] } }\n",
            &[("requirements.txt", "requests>=2\n")],
        );
        for repository in &config.repositories {
            let format = build(repository).unwrap();
            assert_eq!(Some(format.kind()), repository.kind());
            let header =
                Header { format: format.kind(), layout: 1, mode: format.mode(), options: format.options() };
            let again = from_header(&header).unwrap();
            assert_eq!((again.kind(), again.options()), (format.kind(), format.options()));
            for mode in [Mode::Mirror, Mode::Filtered, Mode::Hosted] {
                let other = from_header(&Header { mode, ..header.clone() });
                let told = other.as_ref().err().map(ToString::to_string).unwrap_or_default();
                assert_eq!(other.is_ok(), mode == format.mode(), "{told}");
                assert!(other.is_ok() || told.contains(&format!("found `{mode}`")), "{told}");
            }
        }
        let pypi = build(&config.repositories[2]).unwrap().options();
        assert_eq!(pypi["keep"], 2);
        assert_eq!(pypi["projects"], serde_json::json!(["requests>=2"]));
        fs::remove_dir_all(&config.path).unwrap();
    }

    #[test]
    fn what_options_get_wrong_is_said_in_its_place() {
        let config = config("  - { name: p, url: file:///p, pypi: { requirements: [none.txt] } }\n", &[]);
        let fault = build(&config.repositories[0]).err().unwrap();
        assert!(fault.to_string().contains("chantal.yaml`, line 5, column 5: `p`: "), "{fault}");
        assert!(fault.to_string().contains("none.txt"), "{fault}");
        assert_eq!(fault.hint(), None);
        fs::write(config.path.join("none.txt"), "--pre\n").unwrap();
        let fault = build(&config.repositories[0]).err().unwrap();
        assert!(fault.to_string().contains("option `--pre`"), "{fault}");
        assert_eq!(fault.hint(), Some("set `prereleases: allow`"));
        fs::remove_dir_all(&config.path).unwrap();
        let header =
            Header { format: Kind::Helm, layout: 1, mode: Mode::Filtered, options: serde_json::Value::Null };
        assert!(from_header(&header).err().unwrap().to_string().contains("helm"));
    }
}
