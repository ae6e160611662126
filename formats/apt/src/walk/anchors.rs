//! What a suite is proved from: `InRelease`, and `Release` with its detached signature.

use chantal_contract::{FormatError, Policy, RepoPath, Step, VerifyError};

use super::{AptWalk, Form, Out, notice, path};
use crate::{clearsign, suite::Suite};

/// The anchors of a suite as they come in.
#[derive(Default)]
pub(super) struct Anchors {
    answered: u8,
    in_release: Option<Vec<u8>>,
    release: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

/// All forms have been answered.
pub(super) struct Complete(());

impl Anchors {
    /// Keeps an answer; returns a token when it was the last one.
    pub(super) fn take(&mut self, form: Form, body: Option<Vec<u8>>) -> Option<Complete> {
        match form {
            Form::InRelease => self.in_release = body,
            Form::Release => self.release = body,
            Form::Signature => self.signature = body,
        }
        self.answered = self.answered.saturating_add(1);
        (usize::from(self.answered) == Form::ALL.len()).then_some(Complete(()))
    }
}

impl AptWalk<'_> {
    /// Proves a suite under the verifier's policy, decides which forms are published, and reads on in the proved text.
    ///
    /// A `Release` that does not say the same as a good `InRelease` is left out: two forms of different generations make
    /// clients fail by turns.
    pub(super) fn settle(
        &mut self,
        suite: &Suite,
        anchors: Anchors,
        _complete: Complete,
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        let (in_release_path, release_path) =
            (path(suite, Form::InRelease.name())?, path(suite, Form::Release.name())?);
        match (anchors.in_release, anchors.release) {
            (Some(in_release), release) => {
                let text = self.open(&in_release, &in_release_path, out)?;
                if let Some(release) = release {
                    self.second_form(suite, &text, &release, anchors.signature.as_deref(), out)?;
                }
                self.unfold(suite, &text, &in_release_path, out)
            }
            (None, Some(release)) => {
                match (self.proof.metadata(), &anchors.signature) {
                    (Policy::Off, _) => {}
                    (_, Some(signature)) => self
                        .detached(&release, signature, &release_path)
                        .map_err(|source| refuse(&release_path, source))?,
                    (Policy::Require, None) => return Err(refuse(&release_path, VerifyError::Unsigned)),
                    (Policy::IfPresent, None) => notice(&release_path, "is not signed", out)?,
                }
                publish(&release_path, out)?;
                if anchors.signature.is_some() {
                    publish(&path(suite, Form::Signature.name())?, out)?;
                }
                self.unfold(suite, &release, &release_path, out)
            }
            (None, None) => Err(FormatError::NotOffered {
                file: in_release_path,
                what: format!("suite `{suite}`"),
                has: "neither `InRelease` nor `Release` in that directory".into(),
            }),
        }
    }

    /// Returns the text that an `InRelease` signs.
    fn open(&mut self, bytes: &[u8], file: &RepoPath, out: Out<'_>) -> Result<Vec<u8>, FormatError> {
        let framed = clearsign::is_framed(bytes);
        match self.proof.metadata() {
            Policy::Off if framed => clearsign::unverified_text(bytes).ok_or_else(|| {
                refuse(file, VerifyError::Malformed("the frame of its cleartext signature is broken".into()))
            }),
            Policy::Off => Ok(bytes.to_vec()),
            Policy::IfPresent if !framed => {
                notice(file, "is not signed", out)?;
                Ok(bytes.to_vec())
            }
            Policy::Require | Policy::IfPresent => {
                let signed = self.proof.cleartext(bytes).map_err(|source| refuse(file, source))?;
                self.coverage.signers.extend(signed.by);
                self.coverage.signed.push(file.clone());
                Ok(signed.text)
            }
        }
    }

    fn detached(&mut self, release: &[u8], signature: &[u8], file: &RepoPath) -> Result<(), VerifyError> {
        let by = self.proof.detached(release, signature)?;
        self.coverage.signers.extend(by);
        self.coverage.signed.push(file.clone());
        Ok(())
    }

    /// Publishes `Release` and its signature beside `InRelease` where both say the same.
    fn second_form(
        &mut self,
        suite: &Suite,
        text: &[u8],
        release: &[u8],
        signature: Option<&[u8]>,
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        let file = path(suite, Form::Release.name())?;
        if !same_text(text, release) {
            return notice(
                &file,
                "is of another generation than `InRelease`; it is left out with its signature",
                out,
            );
        }
        let Some(signature) = signature else { return publish(&file, out) };
        let signature_file = path(suite, Form::Signature.name())?;
        if self.proof.metadata() != Policy::Off
            && let Err(error) = self.detached(release, signature, &file)
        {
            return notice(&signature_file, format!("is left out with what it signs: {error}"), out);
        }
        publish(&file, out)?;
        publish(&signature_file, out)
    }
}

fn refuse(file: &RepoPath, source: VerifyError) -> FormatError {
    FormatError::Verify { file: file.clone(), source }
}

/// Publishes a file that was wanted as evidence.
fn publish(file: &RepoPath, out: Out<'_>) -> Result<(), FormatError> {
    out(Step::Alias { path: file.clone(), target: file.clone() })
}

/// Compares what a cleartext signature covers: lines without blanks at their ends (RFC 9580 §7.1).
fn same_text(a: &[u8], b: &[u8]) -> bool {
    fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
        text.trim_ascii_end().split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end)
    }
    lines(a).eq(lines(b))
}
