use super::*;
use crate::judge::{self, Dice};

#[test]
fn agrees_with_packaging_on_order() {
    let versions = judge::versions(7, 6000);
    // Half of the pairs are told apart by one suffix only, where the order is subtle.
    let suffixes = [
        "",
        ".0",
        ".0.0",
        "a1",
        "rc1",
        ".dev0",
        ".post0",
        ".post0.dev1",
        "+a",
        "+1",
        "+a.1",
        "+1.a",
        "a1.dev0",
    ];
    let mut dice = Dice::new(13);
    let mut pairs: Vec<(String, String)> =
        versions.as_chunks::<2>().0.iter().map(|[a, b]| (a.clone(), b.clone())).collect();
    pairs.extend((0..3000).map(|_| {
        let release = dice.of(&["1", "1.0", "0!1", "v1", "01"]);
        let mut one = || format!("{release}{}", dice.of(&suffixes));
        (one(), one())
    }));
    let lines: Vec<String> = pairs.iter().map(|(a, b)| format!("{a} {b}")).collect();
    let program = "from packaging.version import Version as V\nfor line in sys.stdin:\n  a, b = map(V, line.split())\n  print('<' if a < b else '>' if a > b else '=')\n";
    let Some(answers) = judge::python(program, &lines) else { return };
    assert_eq!(answers.len(), 6000);
    let mut seen = [0; 3];
    for ((a, b), answer) in pairs.iter().zip(&answers) {
        let (order, slot) = match answer.as_str() {
            "<" => (Ordering::Less, 0),
            ">" => (Ordering::Greater, 1),
            _ => (Ordering::Equal, 2),
        };
        seen[slot] += 1;
        assert_eq!(compare(a, b), order, "{a} {b}");
        assert_eq!(compare(b, a), order.reverse(), "{b} {a}");
    }
    assert!(seen.iter().all(|n| *n > 0), "one-sided pairs: {seen:?}");
}

#[test]
fn agrees_with_packaging_on_specifiers() {
    let mut dice = Dice::new(11);
    let versions = judge::versions(5, 400);
    let mut cases = Vec::new();
    while cases.len() < 8000 {
        let operator = *dice.of(&["==", "!=", "<=", ">=", "<", ">", "~=", "===", "==*", "!=*"]);
        let (operator, star) = operator.strip_suffix('*').map_or((operator, ""), |o| (o, ".*"));
        let wanted = dice.of(&versions);
        let version = dice.of(&versions);
        let specifier = format!("{operator}{wanted}{star}");
        if Specifiers::from_str(&specifier).is_ok() {
            cases.push((specifier, version.clone()));
        }
    }
    let lines: Vec<String> = cases.iter().map(|(s, v)| format!("{s} {v}")).collect();
    let program = "from packaging.version import Version as V\nfrom packaging.specifiers import Specifier as S, InvalidSpecifier\nfor line in sys.stdin:\n  s, v = line.split()\n  try: print(S(s).contains(v, prereleases=True))\n  except InvalidSpecifier: print('invalid')\n";
    let Some(answers) = judge::python(program, &lines) else { return };
    let mut wrong = Vec::new();
    let mut held = 0;
    for ((specifier, version), answer) in cases.iter().zip(&answers) {
        let found = Specifiers::from_str(specifier).unwrap().contain(&Version::from_str(version).unwrap());
        held += usize::from(found);
        if answer != "invalid" && (answer == "True") != found {
            wrong.push(format!("{specifier} {version}: packaging says {answer}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert!(held > 500);
    assert!(answers.iter().filter(|a| *a != "invalid").count() > 5000);
}

#[test]
fn what_pep_440_does_not_know_stands_below() {
    let mut all = ["1.0", "0.0.dev0", "2004d", "2004-foo", "1.0-final2x", "", "10x-y", "9x-y"];
    all.sort_by(|a, b| compare(a, b));
    assert_eq!(all.last(), Some(&"1.0"));
    assert_eq!(all[all.len() - 2], "0.0.dev0");
    let place = |v: &str| all.iter().position(|x| *x == v).unwrap();
    assert!(place("9x-y") < place("10x-y") && place("10x-y") < place("2004-foo"));
    assert_eq!(place(""), 0);
}

#[test]
fn specifiers_have_one_form() {
    let text = |s: &str| Specifiers::from_str(s).unwrap().to_string();
    assert_eq!(text(" <4 ,>= 2.5,"), text(">=2.5,<4"));
    assert_eq!(text(">=1.*"), ">=1");
    assert_eq!(text("==1.*"), "==1.*");
    assert_eq!(text(""), "");
    for bad in ["1.0", "=1.0", "==", "~=1", ">=a b", "==1.*.2"] {
        assert!(Specifiers::from_str(bad).is_err(), "{bad}");
    }
}

#[test]
fn pins_and_prereleases_are_told_from_ranges() {
    let read = |s: &str| Specifiers::from_str(s).unwrap();
    assert!(read("==1.0").pins() && read("===1.0").pins() && read(">=1,==1.0").pins());
    assert!(!read("==1.*").pins() && !read(">=1").pins() && !read("").pins());
    assert!(read(">=1.0b1").names_prerelease() && read("==1.0.dev1").names_prerelease());
    assert!(!read("!=1.0b1").names_prerelease() && !read(">=1.0.post1").names_prerelease());
}
