use super::*;

fn parse(text: &str) -> Requirement {
    Requirement::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn reads_what_metadata_holds() {
    let found = parse("Zope.Interface [Test,docs] (>=5,<6) ; python_version < '3.12'");
    assert_eq!(found.name.as_str(), "zope-interface");
    assert_eq!(found.extras.iter().map(Name::as_str).collect::<Vec<_>>(), ["docs", "test"]);
    assert_eq!(found.specifiers, Specifiers::from_str("<6,>=5").unwrap());
    assert!(found.marker.is_some());
    for plain in ["idna", " idna ", "idna[]", "idna ()"] {
        assert_eq!(parse(plain).specifiers.to_string(), "", "{plain}");
    }
    assert_eq!(parse("idna~=3.4").specifiers.to_string(), "~=3.4");
    assert_eq!(parse("idna==3.*;os_name=='nt'").specifiers.to_string(), "==3.*");
}

#[test]
fn refuses_what_no_index_answers() {
    use RequirementError as E;
    assert!(matches!(Requirement::parse("x @ https://example.org/x.whl"), Err(E::Url(_))));
    assert!(matches!(Requirement::parse("x[y"), Err(E::Extras(_))));
    assert!(matches!(Requirement::parse("x[a b]"), Err(E::Extras(_))));
    assert!(matches!(Requirement::parse(""), Err(E::Name(_))));
    assert!(matches!(Requirement::parse("../x"), Err(E::Name(_))));
    assert!(matches!(Requirement::parse("x y"), Err(E::Specifier(_))));
    assert!(matches!(Requirement::parse("x>=1; nonsense"), Err(E::Marker(_))));
    let long = |n: usize| format!("x{}", " ".repeat(n - 1));
    assert!(Requirement::parse(&long(REQUIREMENT_BYTES - 1)).is_ok());
    assert!(Requirement::parse(&long(REQUIREMENT_BYTES)).is_ok());
    assert_eq!(Requirement::parse(&long(REQUIREMENT_BYTES + 1)), Err(E::Long));
}

#[test]
fn reads_pins_in_each_form_that_pip_takes() {
    let digits = "a".repeat(64);
    let one = Requirement::parse_line(&format!("x==1 --hash=sha256:{digits}")).unwrap();
    let other = Requirement::parse_line(&format!("x==1 --hash sha256:{}", digits.to_uppercase())).unwrap();
    assert_eq!(one.hashes.len(), 1);
    assert_eq!(one, other);
    for bad in ["--hash=md5:d41d8cd98f00b204e9800998ecf8427e", "--hash=sha256:abc", "--hash=", "--hash"] {
        assert!(
            matches!(Requirement::parse_line(&format!("x {bad}")), Err(RequirementError::Hash(_))),
            "{bad}"
        );
    }
    assert!(matches!(Requirement::parse_line("x --config-settings=a=b"), Err(RequirementError::Option(_))));
}
