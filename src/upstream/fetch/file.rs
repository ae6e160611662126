//! Upstreams that are directories: read only, and never left.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
};
use url::Url;

use super::{Sink, error::FetchError, shown::Shown};

/// Copies a file into `sink`; false when it is not there.
///
/// Symbolic links are followed inside `root` and refused where they lead out of it.
pub(super) fn copy(
    url: &Url,
    root: Option<&Path>,
    bound: u64,
    sink: &mut dyn Sink,
    told: &mut dyn FnMut(u64),
) -> Result<bool, FetchError> {
    let shown = || Shown::of(url);
    let fault = |source| FetchError::File { url: shown(), source };
    let outside = |root: &Path| FetchError::Outside { url: shown(), root: root.to_owned() };
    let path = url
        .to_file_path()
        .map_err(|()| fault(io::Error::new(io::ErrorKind::InvalidInput, "it names no local file")))?;
    let root = root.ok_or_else(|| FetchError::Scheme { url: shown(), scheme: "file".into() })?;
    let inner = path.strip_prefix(root).map_err(|_| outside(root))?;
    let mut file = match open_beneath(root, inner) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => {
            // a file that is missing is an answer; a directory that is missing is a fault
            return if root.is_dir() { Ok(false) } else { Err(fault(Errno::NOENT.into())) };
        }
        Err(Errno::XDEV | Errno::LOOP) => return Err(outside(root)),
        Err(errno) => return Err(fault(errno.into())),
    };
    let meta = file.metadata().map_err(fault)?;
    if !meta.is_file() {
        return Err(fault(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    if meta.len() > bound {
        return Err(FetchError::TooLong { url: shown(), bound });
    }
    let stored = |source| FetchError::Sink { url: shown(), source };
    if sink.written() > 0 {
        sink.restart().map_err(stored)?;
    }
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = file.read(&mut buffer).map_err(fault)?;
        let Some(chunk) = buffer.get(..n).filter(|c| !c.is_empty()) else { return Ok(true) };
        if sink.written() + n as u64 > bound {
            return Err(FetchError::TooLong { url: shown(), bound });
        }
        sink.write(chunk).map_err(stored)?;
        told(n as u64);
    }
}

fn open_beneath(root: &Path, inner: &Path) -> Result<File, Errno> {
    // O_NONBLOCK: a pipe laid into the directory must not hang the run; it is refused by its kind afterwards
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let directory: OwnedFd =
        rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&directory, inner, flags, Mode::empty(), confined) {
        Ok(file) => Ok(file.into()),
        // old kernels do not have the call, and some containers forbid it
        Err(Errno::NOSYS | Errno::PERM) => {
            let root = canonical(root)?;
            let target = canonical(&root.join(inner))?;
            if !target.starts_with(&root) {
                return Err(Errno::XDEV);
            }
            Ok(rustix::fs::open(&target, flags | OFlags::NOFOLLOW, Mode::empty())?.into())
        }
        Err(errno) => Err(errno),
    }
}

fn canonical(path: &Path) -> Result<PathBuf, Errno> {
    path.canonicalize().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fetch::Memory;

    fn tried(root: &Path, path: &str, bound: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let url = Url::parse(&format!("file://{}/{path}", root.display())).unwrap();
        let mut sink = Memory::default();
        Ok(copy(&url, Some(root), bound, &mut sink, &mut |_| {})?.then(|| sink.into_bytes()))
    }

    #[test]
    fn reads_within_its_directory_and_nowhere_else() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("mirror");
        std::fs::create_dir_all(root.join("pool/a b")).unwrap();
        std::fs::write(root.join("pool/a b/x^1.deb"), b"12345").unwrap();
        std::fs::write(scratch.path().join("secret"), b"secret").unwrap();
        std::os::unix::fs::symlink("a b/x^1.deb", root.join("pool/inside")).unwrap();
        std::os::unix::fs::symlink("../../secret", root.join("pool/outside")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("absolute")).unwrap();
        assert_eq!(tried(&root, "pool/a%20b/x%5E1.deb", 5).unwrap().unwrap(), b"12345");
        assert_eq!(tried(&root, "pool/inside", 5).unwrap().unwrap(), b"12345");
        assert!(tried(&root, "pool/nothing", 5).unwrap().is_none());
        assert!(matches!(tried(&root, "pool/inside", 4), Err(FetchError::TooLong { bound: 4, .. })));
        for out in ["pool/outside", "absolute"] {
            assert!(matches!(tried(&root, out, 1000), Err(FetchError::Outside { .. })), "{out}");
        }
        assert!(matches!(tried(&root, "pool", 1000), Err(FetchError::File { .. })));
        let gone = scratch.path().join("unmounted");
        assert!(matches!(tried(&gone, "pool", 1000), Err(FetchError::File { .. })));
        let url = Url::parse("file:///etc/passwd").unwrap();
        let mut sink = Memory::default();
        assert!(matches!(copy(&url, None, 1000, &mut sink, &mut |_| {}), Err(FetchError::Scheme { .. })));
        assert!(matches!(
            copy(&url, Some(&root), 1000, &mut sink, &mut |_| {}),
            Err(FetchError::Outside { .. })
        ));
    }
}
