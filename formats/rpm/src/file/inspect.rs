//! A package file read as an index would list it.

use chantal_contract::{
    Expect, FormatError, Group, Key, Measured, Package, ReadSeek, RepoPath, Version, Want,
};

use super::{Rpm, fragment, seek, tag};
use crate::primary::{check_field, one_line};

/// What tells a package from others, as its header has it.
#[derive(Debug)]
pub(super) struct Identity {
    pub name: String,
    pub epoch: u32,
    pub version: String,
    pub release: String,
    pub arch: String,
}

/// Reads a package file and returns it with the `<package>` element that `createrepo_c` would write for it.
///
/// The file's own time is none of its bytes; the time of its building stands in its place.
pub(crate) fn inspect(name: &RepoPath, input: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
    let rpm = Rpm::rewound(name, input)?;
    let identity = identify(name, &rpm)?;
    let measured = measure(name, input)?;
    let record = fragment::write(name, &rpm, &identity, measured);
    let version = format!("{}:{}-{}", identity.epoch, identity.version, identity.release);
    let summary = one_line(&rpm.header.text(tag::SUMMARY).unwrap_or_default());
    let group = Group { name: format!("{}.{}", identity.name, identity.arch), stream: None };
    let expect = Expect::exactly(measured.size, vec![measured.sha256.into()]);
    let package = Package {
        key: Key::new(identity.name, &version, identity.arch),
        group,
        version: Version(version),
        summary,
        files: vec![Want::payload(name.clone(), expect)],
    };
    Ok((package, record.into_bytes()))
}

/// Reads name, version and architecture; a package without a source package is one itself.
fn identify(file: &RepoPath, rpm: &Rpm) -> Result<Identity, FormatError> {
    let header = &rpm.header;
    let field = |number, what| {
        let text = header.text(number).unwrap_or_default();
        check_field(file, &text, what, || format!("header tag {number}")).map(|()| text)
    };
    let arch = if header.has(tag::SOURCE_RPM) {
        field(tag::ARCH, "an architecture")?
    } else if header.has(tag::NO_SOURCE) || header.has(tag::NO_PATCH) {
        "nosrc".into()
    } else {
        "src".into()
    };
    Ok(Identity {
        name: field(tag::NAME, "a package's name")?,
        epoch: header.int32s(tag::EPOCH).next().unwrap_or(0),
        version: field(tag::VERSION, "a version")?,
        release: field(tag::RELEASE, "a release")?,
        arch,
    })
}

/// Hashes and counts the whole file.
fn measure(file: &RepoPath, input: &mut dyn ReadSeek) -> Result<Measured, FormatError> {
    let broken = |source| FormatError::Decode { file: file.clone(), source };
    seek(file, input, 0)?;
    let mut measurer = Expect::at_most(u64::MAX).measure();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = input.read(&mut buffer).map_err(broken)?;
        if n == 0 {
            break;
        }
        let bytes = buffer.get(..n).unwrap_or_default();
        measurer.update(bytes).map_err(|m| broken(std::io::Error::other(m)))?;
    }
    measurer.finish().map_err(|m| broken(std::io::Error::other(m)))
}

#[cfg(test)]
mod tests;
