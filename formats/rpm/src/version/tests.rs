use std::process::Command;

use super::*;
use crate::tests::tool;

fn order(a: &str, b: &str) -> Ordering {
    compare(&Version(a.into()), &Version(b.into()))
}

#[test]
fn splits_into_its_parts() {
    let parts = |t| {
        let Parts { epoch, version, release } = Parts::of(t);
        (epoch, version, release)
    };
    assert_eq!(parts("2:1.0^git~2-1.el9"), ("2", "1.0^git~2", "1.el9"));
    assert_eq!(parts("1.0-1"), ("0", "1.0", "1"));
    assert_eq!(parts("1.0"), ("0", "1.0", ""));
    assert_eq!(parts("x:1.0"), ("0", "x:1.0", ""));
}

#[test]
fn epoch_tilde_and_caret_decide() {
    assert_eq!(order("1:1-1", "0:2-1"), Ordering::Greater);
    assert_eq!(order("10:1-1", "9:2-1"), Ordering::Greater);
    assert_eq!(order("0:1.0~rc1-1", "0:1.0-1"), Ordering::Less);
    assert_eq!(order("0:1.0^git1-1", "0:1.0-1"), Ordering::Greater);
    assert_eq!(order("0:1.0^git1-1", "0:1.0.1-1"), Ordering::Less);
    assert_eq!(order("0:1.0-2", "0:1.0-10"), Ordering::Less);
    assert_eq!(order("0:1.05-1", "0:1.5-1"), Ordering::Equal);
    assert_eq!(order("0:1.0~rc1^git1-1", "0:1.0~rc1-1"), Ordering::Greater);
}

/// A sequence that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn part(&mut self) -> String {
        const PIECES: [&str; 24] = [
            "0",
            "1",
            "2",
            "9",
            "10",
            "00",
            "01",
            "99999999999999999999",
            ".",
            ".",
            "..",
            "_",
            "+",
            "~",
            "~~",
            "^",
            "^^",
            "a",
            "b",
            "rc",
            "Z",
            "git",
            "el9",
            "beta",
        ];
        (0..=self.below(6)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    /// A part that differs from `other` in one piece only: neighbours are where orders disagree.
    fn near(&mut self, other: &str) -> String {
        let at = self.below(other.len() + 1);
        let (head, tail) = other.split_at(at);
        if self.below(2) == 0 {
            format!("{head}{}{tail}", self.part())
        } else {
            format!("{head}{}", self.part())
        }
    }
}

/// Asks rpm itself about 6,000 pairs, all in one process, and wants its answer every time.
#[test]
fn agrees_with_rpm() {
    let Some(rpm) = tool("rpm") else { return };
    let mut numbers = Numbers(20);
    let mut pairs = Vec::new();
    for round in 0..6000 {
        let a = numbers.part();
        let b = if round % 3 == 0 { numbers.part() } else { numbers.near(&a) };
        if round < 3000 {
            pairs.push((a, b));
        } else {
            // an EVR of rpm's lua takes digits as an epoch and needs a release
            let mut evr = |version: &str| {
                let epoch = ["0", "1", "2", "10"][numbers.below(4)];
                format!("{epoch}:{version}-{}", numbers.part())
            };
            pairs.push((evr(&a), evr(&b)));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("pairs.lua");
    let mut lua = String::from("local pairs_ = {\n");
    lua.extend(pairs.iter().flat_map(|(a, b)| ["{\"", a, "\",\"", b, "\"},\n"]));
    lua += "}\nlocal out = {}\nfor i, p in ipairs(pairs_) do out[i] = rpm.vercmp(p[1], p[2]) end\nprint(table.concat(out, ' '))";
    std::fs::write(&script, lua).unwrap();
    let macro_ = format!("%{{lua: dofile('{}')}}", script.display());
    let out = Command::new(rpm).args(["--eval", &macro_]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let answers: Vec<i32> =
        String::from_utf8(out.stdout).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(answers.len(), pairs.len());
    for ((a, b), answer) in pairs.iter().zip(answers) {
        assert_eq!(order(a, b), answer.cmp(&0), "{a} and {b}");
        assert_eq!(order(b, a), 0.cmp(&answer), "{b} and {a}");
    }
}
