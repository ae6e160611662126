use super::*;

fn parse(text: &str) -> Result<Vec<Want>, FormatError> {
    let mut found = Vec::new();
    let file = RepoPath::new("repodata/prestodelta.xml").unwrap();
    read(&file, &mut text.as_bytes(), &mut |want| {
        found.push(want);
        Ok(())
    })?;
    Ok(found)
}

fn delta(name: &str) -> String {
    format!(
        "<delta oldepoch=\"0\"><filename>{name}</filename><size>7</size><checksum type=\"sha\">{}</checksum></delta>",
        "0a".repeat(20)
    )
}

#[test]
fn both_forms_are_read() {
    let inside =
        format!("<newpackage name=\"a\">{}{}</newpackage>", delta("drpms/a_1.drpm"), delta("drpms/a_2.drpm"));
    for root in ["prestodelta", "deltainfo"] {
        let found = parse(&format!("<{root}>{inside}</{root}>")).unwrap();
        assert_eq!(
            found.iter().map(|w| w.path.as_str()).collect::<Vec<_>>(),
            ["drpms/a_1.drpm", "drpms/a_2.drpm"]
        );
        assert_eq!(found[0].expect.size, Some(7));
        assert_eq!(found[0].expect.checksums[0].value(), [10; 20]);
        assert_eq!(found[0].absent, Absent::Allowed);
    }
    assert!(parse(&format!("<metadata>{inside}</metadata>")).is_err());
}

#[test]
fn a_delta_stays_in_its_tree_and_keeps_its_name() {
    for bad in ["../a.drpm", "/a.drpm", "a.rpm", "a", "repodata/repomd.xml", ""] {
        let text = format!("<prestodelta><newpackage>{}</newpackage></prestodelta>", delta(bad));
        assert!(parse(&text).is_err(), "{bad}");
    }
}
