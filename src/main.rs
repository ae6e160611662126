//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    chantal::commands::main(std::env::args_os())
}
