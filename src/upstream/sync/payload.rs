//! Files that are still to be fetched, kept small: there are as many of them as upstream has packages.

use chantal_contract::{Absent, At, Checksum, Expect, RepoPath, Want};

use super::SyncError;

/// A payload that upstream lists.
#[derive(Clone, Debug)]
pub struct Payload {
    pub(super) path: RepoPath,
    size: Option<u64>,
    limit: u64,
    checksums: Box<[Checksum]>,
    /// What most payloads do not have.
    rest: Option<Box<Rest>>,
    /// Whether it is a package, whose own signature is looked at.
    pub(super) vetted: bool,
}

#[derive(Clone, Debug)]
struct Rest {
    at: At,
    via: Vec<RepoPath>,
    accept: Option<&'static str>,
    absent: Absent,
}

impl Payload {
    /// Takes a package's file.
    pub(super) fn of_package(want: Want) -> Self {
        Self { vetted: true, ..Self::loose(want) }
    }

    /// Takes a file that belongs to no package.
    pub(super) fn loose(want: Want) -> Self {
        let plain = want.at == At::Relative
            && want.via.is_empty()
            && want.accept.is_none()
            && want.absent == Absent::Fatal;
        let rest = Rest { at: want.at, via: want.via, accept: want.accept, absent: want.absent };
        Self {
            path: want.path,
            size: want.expect.size,
            limit: want.expect.limit,
            checksums: want.expect.checksums.into(),
            rest: (!plain).then(|| Box::new(rest)),
            vetted: false,
        }
    }

    /// Returns the path in the repository.
    pub fn path(&self) -> &RepoPath {
        &self.path
    }

    /// Returns the size that upstream promises, in bytes.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns what must be true of the bytes.
    pub(super) fn expect(&self) -> Expect {
        Expect { size: self.size, checksums: self.checksums.to_vec(), limit: self.limit }
    }

    /// Tells whether it is simply left out where upstream lacks it.
    pub(super) fn is_optional(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.absent == Absent::Allowed)
    }

    /// Returns the want again.
    pub(super) fn want(&self) -> Want {
        let mut want = Want::payload(self.path.clone(), self.expect());
        if let Some(rest) = &self.rest {
            want.at = rest.at.clone();
            want.via.clone_from(&rest.via);
            want.accept = rest.accept;
            want.absent = rest.absent.clone();
        }
        want
    }

    /// Adds what another entry promises of the same path, if both can be true.
    fn merge(&mut self, other: Self) -> Result<(), SyncError> {
        let conflict =
            |one: String, other: String| SyncError::Conflict { path: self.path.clone(), one, other };
        if let (Some(a), Some(b)) = (self.size, other.size)
            && a != b
        {
            return Err(conflict(format!("{a} bytes"), format!("{b} bytes")));
        }
        let needed = self.is_optional() && !other.is_optional();
        let mut checksums = self.checksums.to_vec();
        for theirs in other.checksums {
            match checksums.iter().find(|ours| ours.algorithm() == theirs.algorithm()) {
                Some(ours) if *ours != theirs => return Err(conflict(ours.to_string(), theirs.to_string())),
                Some(_) => {}
                None => checksums.push(theirs),
            }
        }
        self.checksums = checksums.into();
        self.size = self.size.or(other.size);
        self.limit = self.limit.min(other.limit);
        self.vetted |= other.vetted;
        if needed {
            self.rest = other.rest;
        }
        Ok(())
    }
}

/// Sorts payloads by path and makes one of those that are listed more than once; two that differ are an error.
pub(super) fn distinct(mut payloads: Vec<Payload>) -> Result<Vec<Payload>, SyncError> {
    payloads.sort_by(|a, b| a.path.cmp(&b.path));
    let mut out: Vec<Payload> = Vec::with_capacity(payloads.len());
    for payload in payloads {
        match out.last_mut() {
            Some(last) if last.path == payload.path => last.merge(payload)?,
            _ => out.push(payload),
        }
    }
    Ok(out)
}

/// Refuses a path that is a file and a directory at once.
pub(super) fn no_file_is_a_directory<'a>(paths: impl Iterator<Item = &'a RepoPath>) -> Result<(), SyncError> {
    let mut paths: Vec<&RepoPath> = paths.collect();
    // with `/` below every other byte, what lies in a directory follows it at once
    paths.sort_by(|a, b| folded(a).cmp(folded(b)));
    for (file, inside) in paths.iter().zip(paths.iter().skip(1)) {
        let below = inside.as_str().strip_prefix(file.as_str()).is_some_and(|tail| tail.starts_with('/'));
        if below {
            return Err(SyncError::FileAndDirectory { file: (*file).clone(), inside: (*inside).clone() });
        }
    }
    Ok(())
}

fn folded(path: &RepoPath) -> impl Iterator<Item = u8> {
    path.as_str().bytes().map(|b| if b == b'/' { 0 } else { b })
}

#[cfg(test)]
mod tests {
    use chantal_contract::{Algorithm, Digest};

    use super::*;

    fn payload(path: &str, content: &[u8]) -> Payload {
        let expect = Expect::exactly(content.len() as u64, vec![Digest::of(content).into()]);
        Payload::of_package(Want::payload(path.parse().unwrap(), expect))
    }

    #[test]
    fn one_path_is_one_file() {
        let same = distinct(vec![payload("b", b"1"), payload("a", b"1"), payload("b", b"1")]).unwrap();
        assert_eq!(same.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for other in [b"2".as_slice(), b"12"] {
            let twice = distinct(vec![payload("b", b"1"), payload("b", other)]);
            assert!(matches!(twice, Err(SyncError::Conflict { .. })));
        }
    }

    #[test]
    fn promises_of_several_indexes_must_all_hold() {
        let sha1 = Checksum::new(Algorithm::Sha1, &[7; 20]).unwrap();
        let mut weak = payload("a", b"1");
        weak.checksums = [sha1.clone()].into();
        let merged = distinct(vec![payload("a", b"1"), weak]).unwrap();
        assert_eq!(merged[0].expect().checksums, [Digest::of(b"1").into(), sha1]);
    }

    #[test]
    fn a_want_survives() {
        let mut want = Want::payload("a".parse().unwrap(), Expect::at_most(7)).absent(Absent::Allowed);
        want.at = At::Absolute("https://files.example.org/x".parse().unwrap());
        assert_eq!(Payload::loose(want.clone()).want(), want);
        assert!(Payload::loose(want).is_optional());
        assert!(payload("x", b"").rest.is_none());
    }

    #[test]
    fn finds_files_that_are_directories() {
        let check = |paths: &[&str]| {
            let paths: Vec<RepoPath> = paths.iter().map(|p| p.parse().unwrap()).collect();
            no_file_is_a_directory(paths.iter())
        };
        check(&["a-b", "a.b/c", "a/b", "ab"]).unwrap();
        assert!(matches!(check(&["a-b", "a", "a/b/c"]), Err(SyncError::FileAndDirectory { .. })));
    }
}
