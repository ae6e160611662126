//! What is said when somebody presses Ctrl-C, or a service is stopped.

use std::{process, thread};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use super::printer::complain;

/// Ends the program at SIGINT and SIGTERM with a word about what to do, and exit code 128 and the signal's number.
///
/// Nothing is tidied up: every command may be killed at any moment and run again. Where the system refuses to tell of signals,
/// they end the program silently, as they did.
pub fn announce() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            complain("interrupted; run the same command again");
            process::exit(128 + signal);
        }
    });
}
