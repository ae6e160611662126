//! A package file, read by itself: for hosted repositories and for verification.

use std::io::SeekFrom;

use chantal_contract::{
    Expect, FormatError, Group, Key, Measured, Package, ReadSeek, RepoPath, Version, Want,
    limits::PAYLOAD_BYTES,
};
use serde_json::json;

use crate::{archive, filename::Distribution, metadata::Metadata, name::Name, simple::Record};

/// Reads a wheel or an sdist and returns it with the record that PEP 691 would hold.
///
/// Name and version inside must be those of the file's name.
pub fn inspect(path: &RepoPath, file: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
    let filename = path.file_name();
    let bytes = if filename.strip_suffix(".whl").is_some() {
        archive::wheel_metadata(path, file)?
    } else {
        archive::sdist_metadata(path, file)?
            .ok_or_else(|| FormatError::malformed(path, "archive", "a PKG-INFO", "none"))?
    };
    let metadata = Metadata::parse(path, &bytes)?;
    let fault =
        |place: &str, expected: &str, found: &str| FormatError::malformed(path, place, expected, found);
    let name = Name::new(&metadata.name)
        .ok_or_else(|| fault("field Name", "a project's name (PEP 508)", &metadata.name))?;
    let distribution = Distribution::parse(filename, &name)
        .map_err(|_| fault("file name", "the name of a wheel or sdist of its own project", filename))?;
    let version = distribution.version.to_string();
    if crate::version::compare(&metadata.version, &version).is_ne() {
        return Err(fault("field Version", &format!("the file name's `{version}`"), &metadata.version));
    }
    let measured = measure(path, file)?;
    let mut record = Record::new();
    record.insert("filename".into(), filename.into());
    record.insert("hashes".into(), json!({ "sha256": measured.sha256.hex() }));
    record.insert("size".into(), measured.size.into());
    if let Some(python) = &metadata.requires_python {
        record.insert("requires-python".into(), python.as_str().into());
    }
    let package = Package {
        key: Key::new(name.as_str(), &version, filename),
        group: Group { name: name.to_string(), stream: None },
        version: Version(version),
        summary: metadata.summary,
        files: vec![Want::payload(
            crate::listing::path(&name, filename)?,
            Expect::exactly(measured.size, vec![measured.sha256.into()]),
        )],
    };
    Ok((package, serde_json::Value::Object(record).to_string().into_bytes()))
}

fn measure(path: &RepoPath, file: &mut dyn ReadSeek) -> Result<Measured, FormatError> {
    let failed = |source| FormatError::Decode { file: path.clone(), source };
    let limit = || FormatError::Limit { file: path.clone(), what: "package file", limit: PAYLOAD_BYTES };
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut measurer = Expect::at_most(PAYLOAD_BYTES).measure();
    loop {
        let chunk = file.fill_buf().map_err(failed)?;
        let length = chunk.len();
        if length == 0 {
            return measurer.finish().map_err(|_| limit());
        }
        measurer.update(chunk).map_err(|_| limit())?;
        file.consume(length);
    }
}

#[cfg(test)]
mod tests;
