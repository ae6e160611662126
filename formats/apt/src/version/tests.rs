use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::*;

/// A small generator with a fixed seed (xorshift64*), so that every run asks dpkg the same.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides
    }
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

const REAL: [&str; 40] = [
    "1.0",
    "1.0-1",
    "1.0-1.1",
    "1:1.0-1",
    "0:1.0-1",
    "00:1.0-1",
    "1.0~rc1-1",
    "1.0~~",
    "1.0~~a",
    "1.0~",
    "1.0+b1",
    "1.0-1+b1",
    "1.0-1~bpo12+1",
    "2.36-9+deb12u10",
    "2.36-9+deb12u9",
    "1.2.3-0ubuntu0.22.04.1",
    "1.2.3-0ubuntu1",
    "1.2.3.git20240101-1",
    "1.2.3+git20240101.abcdef0-1",
    "7.88.1-10+deb12u12",
    "7.88.1-10",
    "252.39-1~deb12u1",
    "252-1",
    "1.0a",
    "1.0b",
    "1.0.a",
    "1.0.",
    "1.0+",
    "1.0-a",
    "1.0-0",
    "1.0-00",
    "01.0",
    "1.00",
    "1.0.0",
    "20230607+deb12u15",
    "1.0-1-1",
    "5:26.1.3-1~debian.12~bookworm",
    "1:9.2p1-2+deb12u7",
    "0",
    "0~",
];

/// Writes versions that dpkg takes as well formed: epoch digits, upstream beginning with a digit.
fn generated(dice: &mut Dice) -> String {
    const PIECES: [&str; 24] = [
        "0",
        "1",
        "2",
        "9",
        "10",
        "00",
        "09",
        "123456789012345678901",
        "a",
        "b",
        "Z",
        "rc",
        "~",
        "~~",
        "+",
        ".",
        ".",
        "-",
        "git",
        "deb12u",
        "ubuntu",
        "~bpo",
        "+b",
        "+dfsg",
    ];
    let mut text = String::new();
    if dice.roll(4) == 0 {
        text.push_str(dice.pick(&["0:", "1:", "2:", "10:", "01:"]));
    }
    text.push_str(dice.pick(&["0", "1", "2", "10", "01"]));
    for _ in 0..dice.roll(6) {
        text.push_str(dice.pick(&PIECES));
    }
    if text.ends_with('-') {
        text.push('1');
    }
    text
}

fn pairs() -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (n, a) in REAL.iter().enumerate() {
        for b in &REAL[n..] {
            pairs.push(((*a).to_owned(), (*b).to_owned()));
        }
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    while pairs.len() < 2_600 {
        let a = generated(&mut dice);
        // half of the pairs differ in one piece only, where the rules are finest
        let b = if dice.roll(2) == 0 {
            let at = dice.roll(a.len()).max(a.find(':').map_or(1, |colon| colon + 2));
            let mut b = a.clone();
            b.insert_str(at.min(a.len()), dice.pick(&["~", "0", "1", "a", "+", "."]));
            b
        } else {
            generated(&mut dice)
        };
        pairs.push((a, b));
    }
    pairs
}

#[test]
fn agrees_with_dpkg_on_every_pair() {
    let script = r#"while read -r a b; do
        if dpkg --compare-versions "$a" lt "$b"; then echo lt
        elif dpkg --compare-versions "$a" eq "$b"; then echo eq
        else echo gt; fi; done"#;
    if Command::new("dpkg").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "dpkg is missing");
        println!("skipped: dpkg is missing");
        return;
    }
    let pairs = pairs();
    let halves: Vec<_> = pairs
        .chunks(pairs.len().div_ceil(2))
        .map(|half| {
            let mut child = Command::new("sh")
                .args(["-c", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            let lines = half.iter().map(|(a, b)| format!("{a} {b}\n")).collect::<Vec<_>>().concat();
            let feeder = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
            (half, child, feeder)
        })
        .collect();
    for (half, child, feeder) in halves {
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(complaints, "", "dpkg took a pair as malformed");
        let words = String::from_utf8(output.stdout).unwrap();
        assert_eq!(words.lines().count(), half.len());
        for ((a, b), word) in half.iter().zip(words.lines()) {
            let ours = match compare(a, b) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            assert_eq!(ours, word, "{a} against {b}");
            assert_eq!(compare(a, b), compare(b, a).reverse(), "{a} against {b}");
        }
    }
    assert!(pairs.len() >= 2_000);
}

#[test]
fn is_a_total_order_on_any_text() {
    let odd = ["", ":", "a:1", "-", "--", "~", "ü", "1:2:3", "99999999999999999999999999:1", " 1.0 ", "1.0"];
    for a in odd {
        for b in odd {
            assert_eq!(compare(a, b), compare(b, a).reverse(), "{a:?} against {b:?}");
            for c in odd {
                if compare(a, b).is_le() && compare(b, c).is_le() {
                    assert!(compare(a, c).is_le(), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
    assert!(compare(" 1.0 ", "1.0").is_eq());
}
