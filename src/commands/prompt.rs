//! Asks the person in front of the terminal.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::Path,
};

use anyhow::Context as _;
use chantal_bundle::KeyFingerprint;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{ending::Usage, printer::complain};

/// Asks whether something is meant; anything but `yes` is no. Where there is no terminal, `instead` says what to give.
pub fn confirm(question: &str, instead: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Usage::new("there is no terminal to ask at", instead).into());
    }
    complain(question);
    complain("Type `yes`:");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        Err(Usage::new("not confirmed: nothing is changed", "only `yes` confirms").into())
    }
}

/// Says that a hardware token waits to be touched.
pub fn touch(key: &KeyFingerprint) {
    complain(&format!("key {key} is on a hardware token: touch it when it blinks"));
}

/// Asks for a key's passphrase without echoing it; none where there is no terminal.
pub fn passphrase(key: &Path) -> io::Result<Option<Zeroizing<String>>> {
    // the terminal itself, whatever stdin and stderr are
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    let name = crate::report::table::printable(&key.display().to_string());
    write!(terminal, "Passphrase of key {name}: ")?;
    terminal.flush()?;
    let quiet = Quiet::on(&terminal)?;
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new(&terminal).read_line(&mut line);
    drop(quiet);
    writeln!(terminal)?;
    read?;
    Ok(Some(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())))
}

/// A terminal that does not echo; as it was when dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: rustix::termios::Termios,
}

impl<'a> Quiet<'a> {
    fn on(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.remove(LocalModes::ECHONL);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}
impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // what a terminal that is gone echoes matters to nobody
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
