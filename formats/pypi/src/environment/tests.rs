use std::str::FromStr;

use super::*;

fn target(python: &str) -> Target {
    Target::new(&Environment {
        python: python.into(),
        platform: "manylinux_2_28_x86_64".into(),
        implementation: Implementation::Cpython,
    })
    .unwrap()
}

#[test]
fn refuses_what_is_no_python() {
    for python in ["", "3", "3.11.x", "3.11.1.2", "1.5", "3.011", "three", "3.+1"] {
        let environment = Environment {
            python: python.into(),
            platform: "win_amd64".into(),
            implementation: Implementation::Cpython,
        };
        assert!(matches!(Target::new(&environment), Err(EnvironmentError::Python(_))), "{python}");
    }
}

#[test]
fn without_a_patch_release_any_may_come() {
    let satisfies = |python: &str, text: &str| target(python).satisfies(&Specifiers::from_str(text).unwrap());
    assert!(
        satisfies("3.11", ">=3.11.4")
            && satisfies("3.11", "<3.11.1")
            && satisfies("3.11", ">=3.11.2,<3.11.5")
    );
    assert!(!satisfies("3.11", ">=3.12") && !satisfies("3.11", "<3.11"));
    assert!(satisfies("3.11.4", ">=3.11.4") && !satisfies("3.11.3", ">=3.11.4"));
    let meets = |python: &str, text: &str| target(python).meets(&Marker::from_str(text).unwrap(), &[]);
    assert!(
        meets("3.11", "python_full_version >= '3.11.4'") && meets("3.11", "python_full_version < '3.11.4'")
    );
    assert!(!meets("3.11.3", "python_full_version >= '3.11.4'"));
    assert!(!meets("3.11", "python_full_version <= '3.11.0a6'"));
}

#[test]
fn markers_are_asked_for_each_extra_and_for_none() {
    let extras = [Name::new("test").unwrap()];
    let target = target("3.11");
    let marker = |text: &str| Marker::from_str(text).unwrap();
    assert!(target.meets(&marker("extra == 'Test'"), &extras));
    assert!(!target.meets(&marker("extra == 'test'"), &[]));
    assert!(target.meets(&marker("extra != 'test'"), &extras));
    assert!(target.meets(&marker("sys_platform == 'linux'"), &extras));
}
