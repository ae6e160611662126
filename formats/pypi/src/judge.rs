//! Python's `packaging` as the judge of versions, specifiers and markers, asked once for all cases.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Tells whether tests must fail where a real client is missing.
pub(crate) fn required() -> bool {
    std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_some_and(|v| v == "1")
}

/// Says that a test is skipped, or fails where clients are required.
pub(crate) fn skip(what: &str) {
    assert!(!required(), "{what} is required and missing");
    println!("skipped: {what} is missing");
}

/// Runs a program of Python with `packaging` 25 or newer; lines in, lines out.
pub(crate) fn python(program: &str, lines: &[String]) -> Option<Vec<String>> {
    // Before 25 `packaging` compared texts by their order; what is asked here is what it says today.
    let prelude = "import sys, packaging\nif int(packaging.__version__.split('.')[0]) < 25: raise ImportError\nsys.stdout.reconfigure(newline='\\n')\n";
    let child = Command::new("python3")
        .args(["-c", &format!("{prelude}{program}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        skip("python3");
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    let text = lines.join("\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("ModuleNotFoundError") || stderr.contains("ImportError") {
        skip("python's packaging (25 or newer)");
        return None;
    }
    assert!(output.status.success(), "{stderr}");
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// Chooses reproducibly.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Makes versions up that PEP 440 knows, most of them near each other.
pub(crate) fn versions(seed: u64, count: usize) -> Vec<String> {
    let mut dice = Dice::new(seed);
    (0..count)
        .map(|_| {
            let epoch = dice.of(&["", "", "", "", "", "1!", "0!", "2!"]);
            let v = dice.of(&["", "", "", "v"]);
            let length = 1 + dice.below(4);
            let release: Vec<String> = (0..length)
                .map(|_| {
                    (*dice.of(&["0", "1", "2", "9", "10", "01", "20240131", "18446744073709551614"])).into()
                })
                .collect();
            let pre = dice.of(&[
                "", "", "", "", "a1", "b2", "rc1", ".rc.1", "-alpha", "_beta.2", "c3", "pre", "preview4",
                "a0", "A1",
            ]);
            let post = dice.of(&["", "", "", ".post1", "-1", ".rev2", "post", ".post0", "-r4"]);
            let dev = dice.of(&["", "", "", "", ".dev0", ".dev", "-dev3", "dev10"]);
            let local =
                dice.of(&["", "", "", "", "+1", "+abc", "+abc.1", "+1.abc", "+abc-2", "+ABC", "+ubuntu.1_2"]);
            format!("{v}{epoch}{}{pre}{post}{dev}{local}", release.join("."))
        })
        .collect()
}
