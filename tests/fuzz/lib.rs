//! Feeds a format's walk with whatever bytes the fuzzer makes of an answer.

use std::{
    collections::VecDeque,
    io::{BufReader, Cursor},
};

use chantal_contract::{Answer, Body, Digest, Fingerprint, Format, FormatError, Measured, Policy, RepoPath, Signed, Step, Verifier, VerifyError};

/// Accepts every signature, so that what lies behind it is reached.
pub struct Credulous;

impl Verifier for Credulous {
    fn metadata(&self) -> Policy {
        Policy::IfPresent
    }
    fn packages(&self) -> Policy {
        Policy::Require
    }
    fn cleartext(&self, document: &[u8]) -> Result<Signed, VerifyError> {
        Ok(Signed { text: document.to_vec(), by: vec![Fingerprint("0".repeat(40))] })
    }
    fn detached(&self, _: &[u8], _: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        Ok(vec![Fingerprint("0".repeat(40))])
    }
}

/// Splits the input at `FF 00 FF 00` and feeds the parts to the walk as answers, in the order of its wants.
pub fn walk(format: &dyn Format, data: &[u8]) {
    let mut parts: VecDeque<&[u8]> = split(data).into();
    let mut walk = format.walk(&Credulous);
    let Ok(wants) = walk.start() else { return };
    let mut open: VecDeque<_> = wants.into();
    let mut steps = 0;
    while let Some(want) = open.pop_front() {
        steps += 1;
        if steps > 64 {
            return;
        }
        let part = parts.pop_front();
        let mut more = Vec::new();
        let mut out = |step: Step<'_>| -> Result<(), FormatError> {
            if let Step::Want(want) = step {
                more.push(want);
            }
            Ok(())
        };
        let fed = match part {
            Some(bytes) => {
                let mut reader = BufReader::new(Cursor::new(bytes));
                let measured = Measured { sha256: Digest::of(bytes), size: bytes.len() as u64 };
                let answer = Answer { body: Some(Body::checked(&mut reader, measured)), base: None, next: None };
                walk.feed(&want, answer, &mut out)
            }
            None => walk.feed(&want, Answer { body: None, base: None, next: None }, &mut out),
        };
        if fed.is_err() {
            return;
        }
        open.extend(more);
    }
    let _ = walk.finish(&mut |_| Ok(()));
}

/// Reads the input as a package file of the format.
pub fn package(format: &dyn Format, name: &str, data: &[u8]) {
    let path = RepoPath::new(name).expect("a constant");
    let _ = format.inspect(&path, &mut BufReader::new(Cursor::new(data)));
    let _ = format.vet(&path, &mut BufReader::new(Cursor::new(data)), &Credulous);
}

fn split(data: &[u8]) -> Vec<&[u8]> {
    let mark = [0xff, 0, 0xff, 0];
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(4).position(|w| w == mark) {
        parts.push(&rest[..at]);
        rest = &rest[at + 4..];
    }
    parts.push(rest);
    parts
}
