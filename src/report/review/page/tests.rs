use super::*;
use crate::report::review::{Counts, Key, Large, Proven, Since, Unusual};

fn change(what: What, name: &str, old: Option<&str>, new: Option<&str>) -> Change {
    let text = |t: Option<&str>| t.map(str::to_owned);
    Change {
        change: what,
        name: name.into(),
        architecture: "amd64".into(),
        old: text(old),
        new: text(new),
        size: 1_234_567,
        sha256: None,
    }
}

/// A review with something of everything, all of it hostile.
fn hostile() -> Review {
    let evil = "<script>alert(1)</script>\"'&\u{202e}gpj.exe";
    let state = StateReview {
        repository: "debian".into(),
        format: "apt".into(),
        mode: "mirror".into(),
        current: true,
        counts: Counts { upgraded: 1, added: 1, bytes: 5, ..Counts::default() },
        keys: vec![Key {
            fingerprint: "ABCD".into(),
            metadata: Since::Now,
            packages: Since::Never,
            evidence: Since::Now,
        }],
        proven: Proven::Signed,
        advisories: vec![crate::report::review::AdvisoryRow {
            id: evil.into(),
            kind: evil.into(),
            severity: evil.into(),
            title: evil.into(),
            references: vec![evil.into()],
        }],
        changes: vec![
            change(What::Upgraded, evil, Some("1"), Some(evil)),
            change(What::Added, "fine", None, Some("2")),
        ],
        ..StateReview::default()
    };
    let unusual = Unusual::Downgrade {
        repository: "debian".into(),
        name: evil.into(),
        old: evil.into(),
        new: "</style>".into(),
    };
    Review {
        version: 1,
        bundle: "hq.plant-7-e01-000001".into(),
        collector: "hq".into(),
        site: "plant-7".into(),
        created: "2026-11-20T13:30:00Z".into(),
        delivery: "full".into(),
        unusual: vec![unusual],
        largest: vec![Large {
            repository: "debian".into(),
            name: evil.into(),
            version: evil.into(),
            size: u64::MAX,
        }],
        states: vec![state],
        ..Review::default()
    }
}

#[test]
fn text_of_packages_is_text() {
    let page = String::from_utf8(render(&hostile()).unwrap()).unwrap();
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(!page.contains('\u{202e}'), "text is reordered");
    assert!(page.contains("\\u{202e}gpj.exe"));
    assert!(page.matches("&#60;script&#62;").count() + page.matches("&lt;script&gt;").count() >= 8, "{page}");
}

#[test]
fn what_has_no_ink_or_covers_other_text_is_written_out() {
    for hidden in "\u{fff9}\u{fffb}\u{a0}\u{2003}\u{2800}\u{3164}\u{fe0f}\u{2028}\u{ad}\u{e0041}\u{202e}\u{e000}\u{9b}\u{1b}".chars() {
        let text = shown(&format!("a{hidden}b"));
        assert_eq!(text, format!("a{}b", hidden.escape_unicode()));
    }
    // an accent is a letter's own, and two of them are none
    assert_eq!(shown("caf\u{e9} cafe\u{301} \u{43e} a b"), "caf\u{e9} cafe\u{301} \u{43e} a b");
    assert_eq!(shown("z\u{335}\u{336}\u{337}"), "z\u{335}\\u{336}\\u{337}");
}

#[test]
fn nothing_is_asked_for() {
    let page = String::from_utf8(render(&hostile()).unwrap()).unwrap();
    for word in ["http:", "https:", "src=", "url(", "@import", "<link", "<img", "style=\"", "onclick"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
}

#[test]
fn the_policy_names_the_style_and_the_script_that_are_there() {
    let page = String::from_utf8(render(&hostile()).unwrap()).unwrap();
    let inside = |tag: &str| {
        let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once(&format!("</{tag}>")).unwrap().0
    };
    for tag in ["style", "script"] {
        let digest = base64(&Sha256::digest(inside(tag)));
        assert!(page.contains(&format!("{tag}-src 'sha256-{digest}'")), "{tag}");
    }
}

#[test]
fn charts_have_a_size_where_no_style_gives_them_one() {
    let page = String::from_utf8(render(&hostile()).unwrap()).unwrap();
    assert_eq!(page.matches("<svg ").count(), page.matches("<svg width=\"").count());
    assert!(page.matches("<svg ").count() >= 7, "{page}");
}

#[test]
fn base64_is_the_one_that_browsers_read() {
    for (bytes, text) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{ff}", "w78=")]
    {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
}

#[test]
fn rows_beyond_what_a_page_holds_are_counted() {
    let mut review = hostile();
    let row = |n: usize| change(What::Added, &format!("p{n}"), None, Some("1"));
    for (count, hidden) in [(ROWS - 1, false), (ROWS, false), (ROWS + 1, true)] {
        review.states[0].changes = (0..count).map(row).collect();
        let page = String::from_utf8(render(&review).unwrap()).unwrap();
        assert_eq!(page.matches("<tr class=\"added\">").count(), count.min(ROWS));
        assert_eq!(page.contains("1 further package that"), hidden, "{count}");
    }
}

fn text(review: &Review) -> String {
    String::from_utf8(render(review).unwrap()).unwrap()
}

#[test]
fn who_signed_the_packages_is_said_beside_who_signed_the_metadata() {
    let mut review = hostile();
    let state = &mut review.states[0];
    state.format = "rpm".into();
    state.keys[0].packages = Since::Before;
    let page = text(&review);
    assert!(
        page.contains("<dt>Packages signed</dt><dd>The collector says that every package carries")
            && page.matches("ABCD").count() == 2
    );
    review.states[0].keys[0].packages = Since::Gone;
    assert!(text(&review).contains(
        "<dt>Packages signed</dt><dd class=\"warn\">No signature of the packages was verified this"
    ));
    review.states[0].keys[0].packages = Since::Never;
    assert!(text(&review).contains("<dt>Packages signed</dt><dd>No signature of the packages was verified."));
    // what Debian's packages never carry is not missed
    review.states[0].format = "apt".into();
    assert!(!text(&review).contains("Packages signed"));
}

#[test]
fn advisories_are_counted_where_everybody_looks() {
    let mut review = hostile();
    review.states[0].advisories_omitted = 1234;
    let page = text(&review);
    assert!(
        page.contains("<b>1,235</b> <span>advisories</span>") && page.contains(", 1,235 advisories, "),
        "{page}"
    );
    assert!(page.contains("<h3>Advisories: 1,235</h3>"));
    review.states[0].advisories_omitted = 0;
    assert!(text(&review).contains("<b>1</b> <span>advisory</span>"));
    review.states[0].advisories.clear();
    assert!(!text(&review).contains("advisory</span>"));
}

#[test]
fn rows_stand_as_people_count() {
    let mut review = hostile();
    let names = ["p-20", "p-1:x", "p-19", "p-1"];
    review.states[0].changes = names.map(|name| change(What::Added, name, None, Some("1"))).into();
    let page = text(&review);
    let at = |name: &str| page.find(&format!("<td>{name} <small>")).unwrap();
    assert!(["p-1", "p-1:x", "p-19", "p-20"].map(at).is_sorted());
    let goes = |name: &str| Unusual::Moved {
        name: name.into(),
        version: "1".into(),
        from: "a".into(),
        to: "b".into(),
    };
    review.unusual = names.map(goes).into();
    let page = text(&review);
    let at = |name: &str| page.find(&format!("<span>{name} 1 moves")).unwrap();
    assert!(["p-1", "p-1:x", "p-19", "p-20"].map(at).is_sorted());
}

#[test]
fn files_are_counted_where_they_are_known() {
    let mut review = hostile();
    for (out, said) in [(0, "0 files, 0 B</dd>"), (1, "; 1 file goes</dd>"), (2, "; 2 files go</dd>")] {
        review.states[0].files_out = out;
        assert!(text(&review).contains(said), "{said}");
    }
    review.compared = Some("hq.plant-7-e01-000000".into());
    let page = text(&review);
    assert!(!page.contains("Files that come") && page.contains("both bundles say"), "{page}");
}

#[test]
fn no_downgrade_is_hidden_behind_what_is_many() {
    let mut review = hostile();
    let many = StateReview {
        repository: "aaa".into(),
        current: true,
        changes: (0..=ROWS).map(|n| change(What::Replaced, &format!("p{n}"), Some("1"), Some("1"))).collect(),
        ..StateReview::default()
    };
    review.unusual = (0..=UNUSUAL)
        .map(|n| Unusual::Replaced {
            repository: "aaa".into(),
            name: format!("p{n}"),
            version: "1".into(),
            old: String::new(),
            new: String::new(),
        })
        .collect();
    let (repository, name) = ("zzz".to_owned(), "openssl".to_owned());
    review.unusual.push(Unusual::Downgrade { repository, name, old: "2".into(), new: "1".into() });
    let last = StateReview {
        repository: "zzz".into(),
        current: true,
        changes: vec![change(What::Downgraded, "openssl", Some("2"), Some("1"))],
        ..StateReview::default()
    };
    review.states = vec![many, last];
    let page = String::from_utf8(render(&review).unwrap()).unwrap();
    assert!(page.contains("zzz: openssl goes back from 2 to 1"));
    assert_eq!(page.matches("<tr class=\"downgraded\">").count(), 1);
    assert_eq!(page.matches("<tr class=\"replaced\">").count(), ROWS - 1);
    assert!(page.contains("And 2 more: see review.json."));
    assert!(page.contains("And 2 further packages that are not shown here. review.json names more of them."));
    let lines = crate::report::review::summary::lines(&review).join("\n");
    assert!(lines.contains("openssl goes back"), "{lines}");
}
