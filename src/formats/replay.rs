//! Walks a state that is held, as a sync walked its upstream: every package and document with its record.

use std::collections::VecDeque;

use chantal_contract::{
    Absent, Answer, Body, Coverage, Format, FormatError, Measured, ReadSeek, RepoPath, Step, Verifier, Want,
};

/// A file of a held state.
pub type Held = (Box<dyn ReadSeek>, Measured);

/// Walks the files that `open` yields and visits what their indexes say; payloads are not asked for.
///
/// A file whose bytes are not what its index promises is refused.
pub fn replay<E: From<FormatError>>(
    format: &dyn Format,
    proof: &dyn Verifier,
    open: &mut dyn FnMut(&RepoPath) -> Result<Option<Held>, E>,
    visit: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
) -> Result<Coverage, E> {
    let mut walk = format.walk(proof);
    let mut wants = VecDeque::from(walk.start()?);
    while let Some(mut want) = wants.pop_front() {
        let found = loop {
            if let Some(held) = open(&want.path)? {
                break Some(held);
            }
            match want.absent {
                Absent::Try(other) => want = *other,
                Absent::Allowed => break None,
                Absent::Fatal => return Err(missing(&want).into()),
            }
        };
        let mut out = |step: Step<'_>| match step {
            Step::Want(want) => {
                wants.push_back(want);
                Ok(())
            }
            step => visit(step),
        };
        match found {
            None => walk.feed(&want, Answer { body: None, base: None, next: None }, &mut out)?,
            Some((mut reader, measured)) => {
                check(&want, measured, reader.as_mut())?;
                let body = Some(Body::checked(reader.as_mut(), measured));
                walk.feed(&want, Answer { body, base: None, next: None }, &mut out)?;
            }
        }
    }
    Ok(walk.finish(visit)?)
}

/// Holds a file against what an index promises of it; it is read only where no SHA-256 and no size can tell.
pub fn check(want: &Want, measured: Measured, file: &mut dyn ReadSeek) -> Result<(), FormatError> {
    let expect = &want.expect;
    let differs =
        |expected: String, found: String| Err(FormatError::malformed(&want.path, "content", expected, found));
    if let Some(size) = expect.size.filter(|size| *size != measured.size) {
        return differs(format!("{size} bytes"), format!("{} bytes", measured.size));
    }
    if let Some(sha256) = expect.sha256() {
        return if sha256 == measured.sha256 { Ok(()) } else { differs(sha256.hex(), measured.sha256.hex()) };
    }
    if expect.checksums.is_empty() {
        return Ok(());
    }
    let decode = |source| FormatError::Decode { file: want.path.clone(), source };
    let mut measurer = expect.measure();
    loop {
        let bytes = file.fill_buf().map_err(decode)?;
        if bytes.is_empty() {
            break;
        }
        let read = bytes.len();
        if let Err(mismatch) = measurer.update(bytes) {
            return differs("what its index promises".into(), mismatch.to_string());
        }
        file.consume(read);
    }
    if let Err(mismatch) = measurer.finish() {
        return differs("what its index promises".into(), mismatch.to_string());
    }
    file.rewind().map_err(decode)
}

fn missing(want: &Want) -> FormatError {
    FormatError::NotOffered { file: want.path.clone(), what: "the file".into(), has: "no such file".into() }
}
