use std::str::FromStr;

use super::*;
use crate::judge::{self, Dice};

struct Linux;
impl Values for Linux {
    fn value(&self, variable: Variable) -> Option<&str> {
        Some(match variable {
            Variable::PythonVersion => "3.11",
            Variable::PythonFullVersion | Variable::ImplementationVersion => "3.11.4",
            Variable::OsName => "posix",
            Variable::SysPlatform => "linux",
            Variable::PlatformSystem => "Linux",
            Variable::PlatformMachine => "x86_64",
            Variable::PlatformPythonImplementation => "CPython",
            Variable::ImplementationName => "cpython",
            Variable::PlatformRelease | Variable::PlatformVersion | Variable::Extra => return None,
        })
    }
}

fn atom(dice: &mut Dice) -> String {
    let version = [
        ("python_version", &["3", "3.7", "3.11", "3.12", "2.7", "3.*", "3.9,3.11"][..]),
        ("python_full_version", &["3.11.4", "3.11", "3.11.0a1", "3.12"]),
        ("implementation_version", &["3.11.4", "3.10"]),
    ];
    let text = [
        ("os_name", &["posix", "nt", "posix nt"][..]),
        ("sys_platform", &["linux", "win32", "linux2"]),
        ("platform_system", &["Linux", "Windows"]),
        ("platform_machine", &["x86_64", "aarch64", "x86_64 AMD64"]),
        ("platform_python_implementation", &["CPython", "PyPy"]),
        ("implementation_name", &["cpython", "pypy"]),
        ("extra", &["test", "Test_Extra", "dev"]),
    ];
    let (name, values, operators) = if dice.below(2) == 0 {
        let (name, values) = *dice.of(&version);
        (name, values, &["==", "!=", "<", "<=", ">", ">=", "in", "not in", "~="][..])
    } else {
        let (name, values) = *dice.of(&text);
        let operators =
            if name == "extra" { &["==", "!="][..] } else { &["==", "!=", "in", "not in", "<", ">="][..] };
        (name, values, operators)
    };
    let quote = *dice.of(&["'", "\""]);
    let value = format!("{quote}{}{quote}", dice.of(values));
    let operator = dice.of(operators);
    if dice.below(5) == 0 {
        format!("{value} {operator} {name}")
    } else {
        format!("{name} {operator} {value}")
    }
}

fn marker(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 || dice.below(3) == 0 {
        return atom(dice);
    }
    let mut joined = marker(dice, depth - 1);
    for _ in 0..dice.below(3) {
        joined = format!("{joined} {} {}", dice.of(&["and", "or"]), marker(dice, depth - 1));
    }
    if dice.below(2) == 0 { format!("({joined})") } else { joined }
}

#[test]
fn agrees_with_packaging() {
    let mut dice = Dice::new(3);
    let cases: Vec<(String, &str)> =
        (0..3000).map(|_| (marker(&mut dice, 2), *dice.of(&["", "test", "test-extra"]))).collect();
    let lines: Vec<String> = cases.iter().map(|(m, e)| format!("{m}\t{e}")).collect();
    let program = "from packaging.markers import Marker, UndefinedComparison\nenv = dict(python_version='3.11', python_full_version='3.11.4', implementation_version='3.11.4', os_name='posix', sys_platform='linux', platform_system='Linux', platform_machine='x86_64', platform_python_implementation='CPython', implementation_name='cpython')\nfor line in sys.stdin:\n  m, e = line.rstrip('\\n').split('\\t')\n  try: print(Marker(m).evaluate(dict(env, extra=e)))\n  except UndefinedComparison: print('undefined')\n";
    let Some(answers) = judge::python(program, &lines) else { return };
    let (mut wrong, mut judged) = (Vec::new(), 0);
    for ((text, extra), answer) in cases.iter().zip(&answers) {
        let found = Marker::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}")).holds(&Linux, extra);
        judged += usize::from(answer != "undefined");
        if answer != "undefined" && (answer == "True") != found {
            wrong.push(format!("{text} [{extra}]: packaging says {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
    assert!(judged > 2000);
}

#[test]
fn refuses_what_is_no_marker() {
    for bad in [
        "",
        "python_version",
        "python_version >=",
        "python_version >= 3.7",
        "python_version >= '3.7",
        "'a' == 'a'",
        "python_version == sys_platform",
        "python_version >= '3' and",
        "(python_version >= '3'",
        "python_version >= '3')",
        "python_version not '3'",
        "nonsense == 'x'",
        "python_version == '3' xor os_name == 'nt'",
    ] {
        assert!(Marker::from_str(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn keeps_its_depth_exactly() {
    let nested = |n: usize| format!("{}os_name == 'nt'{}", "(".repeat(n), ")".repeat(n));
    assert!(Marker::from_str(&nested(MARKER_DEPTH - 1)).is_ok());
    assert!(Marker::from_str(&nested(MARKER_DEPTH)).is_ok());
    assert_eq!(Marker::from_str(&nested(MARKER_DEPTH + 1)), Err(MarkerError::Depth));
    assert_eq!(Marker::from_str(&"(".repeat(1 << 20)), Err(MarkerError::Depth));
}

#[test]
fn what_is_unknown_holds() {
    let holds = |text: &str| Marker::from_str(text).unwrap().holds(&Linux, "");
    assert!(holds("platform_release >= '5'") && holds("platform_release < '5'"));
    assert!(!holds("platform_version == '1' and os_name == 'nt'"));
}
