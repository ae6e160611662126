//! Unpacks a volume.

use std::io::{self, Read};

use super::UnpackError;
use crate::{
    name::MemberName,
    ustar::{self, BLOCK},
};

/// Reads the members of a volume's archive one after the other; it accepts exactly what a packer makes.
///
/// `input` yields the content of the frames: [`crate::frame::Frames`], which sees checked cells only, perhaps through another
/// thread. Names are parsed and never joined to a path.
pub struct Unpacker<R> {
    input: R,
    at: u64,
    left: u64,
    padding: u64,
    ended: bool,
}

impl<R: Read> Unpacker<R> {
    /// Begins at the first header.
    pub fn new(input: R) -> Self {
        Self { input, at: 0, left: 0, padding: 0, ended: false }
    }

    /// Steps to the next member and returns its name and size; none at the end of the archive, after which nothing may follow.
    ///
    /// What was not read of the member before is read over.
    pub fn next_member(&mut self) -> Result<Option<(MemberName, u64)>, UnpackError> {
        if self.ended {
            return Ok(None);
        }
        if self.left > 0 {
            io::copy(self, &mut io::sink())?;
        }
        let mut block = [0; BLOCK];
        if let Some(padding) = block.get_mut(..usize::try_from(self.padding).unwrap_or(0)) {
            self.input.read_exact(padding).map_err(cut)?;
        }
        if block != [0; BLOCK] {
            return Err(self.form("the bytes after a member are not zero"));
        }
        self.at += self.padding;
        self.padding = 0;
        self.input.read_exact(&mut block).map_err(cut)?;
        if block == [0; BLOCK] {
            return self.end().map(|()| None);
        }
        let (name, size) =
            ustar::parse(&block).map_err(|source| UnpackError::Header { at: self.at, source })?;
        self.at += BLOCK as u64;
        (self.left, self.padding) = (size, ustar::padding(size));
        Ok(Some((name, size)))
    }

    fn end(&mut self) -> Result<(), UnpackError> {
        let mut block = [1; BLOCK];
        self.input.read_exact(&mut block).map_err(cut)?;
        if block != [0; BLOCK] {
            return Err(self.form("one block of zeros alone ends nothing"));
        }
        if self.input.read(&mut block)? != 0 {
            return Err(self.form("something follows the end"));
        }
        self.ended = true;
        Ok(())
    }

    fn form(&self, why: &'static str) -> UnpackError {
        UnpackError::Form { at: self.at, why }
    }
}

/// Reads the content of the current member.
impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let Some(out) = out.get_mut(..most).filter(|o| !o.is_empty()) else { return Ok(0) };
        let n = self.input.read(out)?;
        if n == 0 {
            return Err(cut(io::ErrorKind::UnexpectedEof.into()));
        }
        self.left -= n as u64;
        self.at += n as u64;
        Ok(n)
    }
}

fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the archive ends too early"),
        _ => error,
    }
}
