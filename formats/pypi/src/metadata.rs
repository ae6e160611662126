//! What a wheel's METADATA or an sdist's PKG-INFO says (core metadata, PEP 566 and 643).

use std::io::{BufRead, Read};

use chantal_contract::{FormatError, RepoPath, limits::METADATA_BYTES};

/// The fields that a mirror reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `Metadata-Version`.
    pub metadata_version: String,
    /// `Name` as the author wrote it.
    pub name: String,
    /// `Version`.
    pub version: String,
    /// `Summary`; empty where there is none.
    pub summary: String,
    /// `Requires-Python`.
    pub requires_python: Option<String>,
    /// `Requires-Dist`, each as it stands.
    pub requires_dist: Vec<String>,
    /// `Dynamic`, in lower case: what the build may still change.
    pub dynamic: Vec<String>,
}

impl Metadata {
    /// Reads the header fields; the body (the description) is not looked at.
    pub fn parse(file: &RepoPath, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut found = Self::default();
        let mut fields: Vec<(String, String)> = Vec::new();
        for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            if line.is_empty() {
                break;
            }
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(line.trim_start());
                }
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| {
                FormatError::malformed(file, format!("line {}", number + 1), "a field and a colon", &*line)
            })?;
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        for (name, value) in fields {
            match name.as_str() {
                "metadata-version" => found.metadata_version = value,
                "name" => found.name = value,
                "version" => found.version = value,
                "summary" => found.summary = value.lines().next().unwrap_or_default().to_owned(),
                "requires-python" => found.requires_python = Some(value),
                "requires-dist" => found.requires_dist.push(value.replace('\n', " ")),
                "dynamic" => found.dynamic.push(value.to_ascii_lowercase()),
                _ => {}
            }
        }
        if found.name.is_empty() || found.version.is_empty() {
            return Err(FormatError::malformed(file, "header", "the fields Name and Version", ""));
        }
        Ok(found)
    }

    /// Reads a stream of at most [`METADATA_BYTES`].
    pub fn read(file: &RepoPath, input: &mut dyn BufRead) -> Result<Self, FormatError> {
        let mut bytes = Vec::new();
        Read::take(input, METADATA_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| FormatError::Decode { file: file.clone(), source })?;
        if bytes.len() as u64 > METADATA_BYTES {
            return Err(FormatError::Limit { file: file.clone(), what: "metadata", limit: METADATA_BYTES });
        }
        Self::parse(file, &bytes)
    }

    /// Tells whether an sdist's PKG-INFO binds the dependencies of what is built from it (PEP 643): metadata 2.2 or newer,
    /// with `Requires-Dist` not dynamic.
    pub fn binds_dependencies(&self) -> bool {
        let mut parts = self.metadata_version.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        version >= (2, 2) && !self.dynamic.iter().any(|d| d == "requires-dist")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Metadata, FormatError> {
        Metadata::parse(&RepoPath::new("x.metadata").unwrap(), text.as_bytes())
    }

    #[test]
    fn reads_headers_and_stops_at_the_body() {
        let found = parse(
            "Metadata-Version: 2.1\r\nname: Foo\nVersion: 1.0\nSummary: a thing\n  in two lines\nRequires-Dist: idna (>=2.5,\n <4)\nRequires-Dist: x; extra == 'y'\nRequires-Python: >=3.8\n\nRequires-Dist: not-this\n",
        )
        .unwrap();
        assert_eq!((found.name.as_str(), found.summary.as_str()), ("Foo", "a thing"));
        assert_eq!(found.requires_dist, ["idna (>=2.5, <4)", "x; extra == 'y'"]);
        assert_eq!(found.requires_python.as_deref(), Some(">=3.8"));
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in ["", "no colon\n", "Name: x\n", "\nName: x\nVersion: 1\n"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_sdist_binds_only_what_is_not_dynamic() {
        let head = "Name: x\nVersion: 1\nMetadata-Version: ";
        assert!(parse(&format!("{head}2.2\n")).unwrap().binds_dependencies());
        assert!(parse(&format!("{head}2.10\nDynamic: License\n")).unwrap().binds_dependencies());
        assert!(!parse(&format!("{head}2.1\n")).unwrap().binds_dependencies());
        assert!(!parse(&format!("{head}2.3\nDynamic: Requires-Dist\n")).unwrap().binds_dependencies());
    }

    #[test]
    fn keeps_its_limit_exactly() {
        let file = RepoPath::new("x.metadata").unwrap();
        let head = b"Name: x\nVersion: 1\n\n";
        for (extra, good) in [(0, true), (1, false)] {
            let mut bytes = head.to_vec();
            bytes.resize(usize::try_from(METADATA_BYTES).unwrap() + extra, b'x');
            assert_eq!(Metadata::read(&file, &mut &*bytes).is_ok(), good);
        }
    }
}
