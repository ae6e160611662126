//! A `.deb` file: its control data, read without unpacking anything (deb(5)).

use std::io::{self, BufRead, Read, SeekFrom};

use chantal_contract::{
    Expect, FormatError, Measured, Package, ReadSeek, RepoPath,
    codec::Codec,
    limits::{CONTROL_ENTRIES, CONTROL_OPEN_BYTES, PAYLOAD_BYTES, RECORD_BYTES},
};

use crate::{
    ar::{self, Member},
    deb822::{Stanza, stanzas},
    packages,
};

/// Fields that an index adds to control data; a package that brings its own is refused.
const ADDED: [&str; 6] = ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"];

/// Reads a `.deb` or `.udeb` and returns the package with the stanza that an index would hold for it under `name`.
///
/// Memory is bounded by the longest allowed stanza and the decoders' own limits, whatever the file's size.
pub fn inspect(name: &RepoPath, file: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
    let members = ar::members(file, name)?;
    check_version(&members, file, name)?;
    let control = find_control(&members, name)?;
    let mut record = read_control(control, file, name)?;
    if !record.ends_with(b"\n") {
        record.push(b'\n');
    }
    check_control(&record, name)?;
    let measured = measure(file, name)?;
    let added = format!("Filename: {name}\nSize: {}\nSHA256: {}\n", measured.size, measured.sha256);
    record.extend_from_slice(added.as_bytes());
    let package = packages::binary(&Stanza { bytes: &record, line: 1 }, name)?;
    Ok((package, record))
}

/// The first member must be `debian-binary` and say `2.x`.
fn check_version(members: &[Member], file: &mut dyn ReadSeek, name: &RepoPath) -> Result<(), FormatError> {
    let Some(first) = members.first().filter(|member| member.name == "debian-binary") else {
        let found = members.first().map_or("no member", |member| &member.name);
        return Err(FormatError::malformed(name, "its first member", "`debian-binary`", found));
    };
    let mut version = Vec::new();
    let read = part(file, first).and_then(|part| part.take(64).read_to_end(&mut version));
    read.map_err(|source| FormatError::Decode { file: name.clone(), source })?;
    if version.starts_with(b"2.") {
        Ok(())
    } else {
        let found = String::from_utf8_lossy(&version);
        Err(FormatError::malformed(name, "member `debian-binary`", "format `2.0`", found))
    }
}

/// The second member must be the control archive and the third the data; names with `_` in front are passed over.
fn find_control<'m>(members: &'m [Member], name: &RepoPath) -> Result<&'m Member, FormatError> {
    let mut rest = members.iter().skip(1).filter(|member| !member.name.starts_with('_'));
    let mut next = |stem: &'static str| {
        let member = rest.next();
        let fits = |member: &&Member| {
            member
                .name
                .strip_prefix(stem)
                .is_some_and(|tail| matches!(tail, "" | ".gz" | ".xz" | ".zst" | ".bz2" | ".lzma"))
        };
        member.filter(fits).ok_or_else(|| {
            let found = member.map_or("no member", |member| &member.name);
            FormatError::malformed(name, "its members", format!("`{stem}`, plain or compressed"), found)
        })
    };
    let control = next("control.tar")?;
    next("data.tar")?;
    Ok(control)
}

fn read_control(member: &Member, file: &mut dyn ReadSeek, name: &RepoPath) -> Result<Vec<u8>, FormatError> {
    let broken = |source| FormatError::Decode { file: name.clone(), source };
    if !matches!(
        member.name.as_str(),
        "control.tar" | "control.tar.gz" | "control.tar.xz" | "control.tar.zst"
    ) {
        let expected = "`control.tar`, plain or as .gz, .xz, .zst";
        return Err(FormatError::malformed(name, "its members", expected, &member.name));
    }
    let mut part = part(file, member).map_err(broken)?;
    let reader = Codec::of_name(&member.name).decode(&mut part, CONTROL_OPEN_BYTES).map_err(broken)?;
    let mut archive = tar::Archive::new(reader);
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        if count == CONTROL_ENTRIES {
            let what = "the number of entries in its control archive";
            return Err(FormatError::Limit { file: name.clone(), what, limit: CONTROL_ENTRIES as u64 });
        }
        let entry = entry.map_err(broken)?;
        if !matches!(&*entry.path_bytes(), b"./control" | b"control")
            || !entry.header().entry_type().is_file()
        {
            continue;
        }
        let (size, mut control) = (entry.size(), Vec::new());
        entry.take(RECORD_BYTES as u64 + 1).read_to_end(&mut control).map_err(broken)?;
        if control.len() > RECORD_BYTES {
            let (what, limit) = ("its control file", RECORD_BYTES as u64);
            return Err(FormatError::Limit { file: name.clone(), what, limit });
        }
        // the reader of entries takes the end of the archive for the end of the entry
        if control.len() as u64 != size {
            return Err(broken(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "its control file is cut short",
            )));
        }
        return Ok(control);
    }
    Err(FormatError::malformed(name, "its control archive", "a file `control`", "none"))
}

/// Control data must be one stanza, and hold none of the fields that an index adds.
fn check_control(control: &[u8], name: &RepoPath) -> Result<(), FormatError> {
    let mut count = 0;
    let mut input = control;
    stanzas(&mut input, name, &mut |stanza| {
        count += 1;
        for field in stanza.fields() {
            let field = field.map_err(|fault| fault.of(name))?;
            if ADDED.iter().any(|added| field.is(added)) {
                return Err(field
                    .fault("none of an index's fields in control data", field.name.as_bytes())
                    .of(name));
            }
        }
        // an empty line at the end would part what the index adds from the rest
        if stanza.bytes.len() == control.len() {
            Ok(())
        } else {
            Err(FormatError::malformed(name, "file `control`", "one stanza and no empty lines", "more"))
        }
    })?;
    if count == 1 {
        Ok(())
    } else {
        Err(FormatError::malformed(name, "file `control`", "one stanza", "none"))
    }
}

fn measure(file: &mut dyn ReadSeek, name: &RepoPath) -> Result<Measured, FormatError> {
    let broken = |source| FormatError::Decode { file: name.clone(), source };
    let mut measurer = Expect::at_most(PAYLOAD_BYTES).measure();
    file.seek(SeekFrom::Start(0)).map_err(broken)?;
    loop {
        let bytes = file.fill_buf().map_err(broken)?;
        let length = bytes.len();
        let measured = if length == 0 {
            return measurer.finish().map_err(|m| broken(io::Error::other(m)));
        } else {
            measurer.update(bytes)
        };
        measured.map_err(|mismatch| broken(io::Error::other(mismatch)))?;
        file.consume(length);
    }
}

/// Returns a reader over the bytes of one member.
fn part<'f>(file: &'f mut dyn ReadSeek, member: &Member) -> io::Result<impl BufRead + use<'f>> {
    file.seek(SeekFrom::Start(member.offset))?;
    Ok(file.take(member.size))
}

#[cfg(test)]
mod tests;
