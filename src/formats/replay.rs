//! Walks a state that is held, as a sync walked its upstream: every package and document with its record.

use std::collections::VecDeque;

use chantal_contract::{
    Absent, Answer, Body, Coverage, Fingerprint, Format, FormatError, Measured, Policy, ReadSeek, RepoPath,
    Signed, Step, Verifier, VerifyError, Want,
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
                if want.expect.size.is_some_and(|size| size != measured.size) {
                    let found = format!("{} bytes", measured.size);
                    return Err(
                        FormatError::malformed(&want.path, "size", "what its index promises", found).into()
                    );
                }
                let body = Some(Body::checked(reader.as_mut(), measured));
                walk.feed(&want, Answer { body, base: None, next: None }, &mut out)?;
            }
        }
    }
    Ok(walk.finish(visit)?)
}

fn missing(want: &Want) -> FormatError {
    FormatError::NotOffered { file: want.path.clone(), what: "the file".into(), has: "no such file".into() }
}

/// Looks at no signature: for states that were proved when they came in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proved;

impl Verifier for Proved {
    fn metadata(&self) -> Policy {
        Policy::Off
    }
    fn packages(&self) -> Policy {
        Policy::Off
    }
    fn cleartext(&self, _: &[u8]) -> Result<Signed, VerifyError> {
        Err(VerifyError::NoKeys)
    }
    fn detached(&self, _: &[u8], _: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        Err(VerifyError::NoKeys)
    }
}
