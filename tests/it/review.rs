//! What a bundle changes, as a person sees it: the page in a real browser, the approval, the comparison of two bundles.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use chantal::report::review::{Change, Counts, Review, StateReview, What, page};

use crate::{
    clients::{have, ok},
    world::{Site, World},
};

/// Looks at a page through a frame of 390 and one of 1280 pixels, searches it, and writes what it found into its own body.
const LOOKER: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body><iframe id="phone" width="390" height="800" src="page.html"></iframe>
<iframe id="desk" width="1280" height="800" src="page.html"></iframe><script>
const found = {}, began = performance.now();
const tell = () => { document.body.innerHTML = '<pre id="found">' + JSON.stringify(found) + '</pre>'; };
window.addEventListener('load', () => {
  found.opened = Math.round(performance.now() - began);
  // rows are laid out when they come into view: all of them have to fit
  for (const id of ['phone', 'desk'])
    for (const part of document.getElementById(id).contentDocument.querySelectorAll('tbody')) part.style.contentVisibility = 'visible';
  for (const id of ['phone', 'desk']) {
    const view = document.getElementById(id), root = view.contentDocument.documentElement;
    found[id] = { width: view.contentWindow.innerWidth, scroll: root.scrollWidth, rows: root.querySelectorAll('table.changes tbody tr').length,
      blank: [...root.querySelectorAll('.changes td:empty')].filter(cell => cell.getClientRects().length).length,
      requests: view.contentWindow.performance.getEntriesByType('resource').length,
      styled: view.contentWindow.getComputedStyle(root.querySelector('.tiles')).display, search: !root.querySelector('.find').hidden };
  }
  const page = document.getElementById('desk').contentDocument, input = page.querySelector('.find input');
  input.value = 'NEEDLE 2.0'; input.dispatchEvent(new Event('input'));
  setTimeout(() => { found.needle = page.querySelectorAll('table.changes tbody tr:not([hidden])').length; found.said = page.querySelector('.find output').textContent; tell(); }, 400);
});
</script>"#;

fn chromium(profile: &Path) -> Command {
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--allow-file-access-from-files",
    ]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command
}

/// Opens a page and returns what the looker found, with the time that the whole program took.
fn look(dir: &Path, page: &[u8]) -> (serde_json::Value, Duration) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("page.html"), page).unwrap();
    fs::write(dir.join("look.html"), LOOKER).unwrap();
    let began = Instant::now();
    let mut command = chromium(&dir.join("profile"));
    command.args(["--virtual-time-budget=60000", "--dump-dom"]);
    let dom = ok(command.arg(format!("file://{}", dir.join("look.html").display())));
    let found = dom.split_once("<pre id=\"found\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let found = found.unwrap_or_else(|| panic!("the page was not looked at:\n{dom}")).0.replace("&amp;", "&");
    (serde_json::from_str(&found).unwrap(), began.elapsed())
}

#[track_caller]
fn expect_good(found: &serde_json::Value, rows: usize) {
    for (id, width) in [("phone", 390), ("desk", 1280)] {
        let view = &found[id];
        assert_eq!(view["width"], width, "{found}");
        assert!(view["scroll"].as_u64().unwrap() <= width, "{id} scrolls sideways: {found}");
        assert_eq!(view["rows"], rows, "{found}");
        assert!(id == "desk" || view["blank"] == 0, "rows of the phone have lines without text: {found}");
        assert_eq!(view["requests"], 0, "the page asks for something: {found}");
        assert_eq!(view["styled"], "grid", "the policy shuts the style out: {found}");
        assert_eq!(view["search"], true, "the policy shuts the script out: {found}");
    }
}

/// A review with so many changed packages, long names and versions among them.
fn large(count: usize) -> Review {
    let change = |n: usize| {
        let what = [What::Upgraded, What::Added, What::Removed, What::Downgraded, What::Replaced][n % 5];
        let name = match n % 97 {
            0 => format!("a-very-long-name-of-a-package-{}-{n}", "without-any-blank".repeat(9)),
            _ => format!("package-{n}"),
        };
        Change {
            change: what,
            name: if n == 4321 { "needle".into() } else { name },
            architecture: "amd64".into(),
            old: (what != What::Added).then(|| format!("1:{n}.0-1+deb12u1")),
            new: (what != What::Removed).then(|| if n == 4321 { "2.0".into() } else { format!("1:{n}.1-1") }),
            size: 1000 * n as u64,
            sha256: Some("0".repeat(64)),
        }
    };
    let changes: Vec<Change> = (0..count).map(change).collect();
    let mut counts = Counts::default();
    for change in &changes {
        counts.count(change.change);
    }
    let state = StateReview {
        repository: "bookworm".into(),
        format: "apt".into(),
        mode: "mirror".into(),
        current: true,
        incremental: true,
        counts,
        changes,
        ..StateReview::default()
    };
    Review {
        version: 1,
        bundle: "hq.plant-7-e01-000042".into(),
        collector: "hq".into(),
        site: "plant-7".into(),
        created: "2026-11-20T13:30:00Z".into(),
        delivery: "assumed".into(),
        counts,
        states: vec![state],
        ..Review::default()
    }
}

#[test]
fn a_page_of_twenty_thousand_packages_opens_searches_and_fits_a_phone() {
    if !have("chromium") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_, empty) = look(&dir.path().join("empty"), &page::render(&large(1)).unwrap());
    let (found, whole) = look(&dir.path().join("full"), &page::render(&large(20_000)).unwrap());
    expect_good(&found, 20_000);
    assert_eq!(found["needle"], 1, "{found}");
    assert_eq!(found["said"], "1 of 20,000", "{found}");
    // two frames of it at once, a laden machine: the bound is ten times what one page may take
    let opened = whole.saturating_sub(empty);
    eprintln!("20,000 packages, twice at once: {opened:?} over a page of one; {found}");
    assert!(opened < Duration::from_secs(20), "{opened:?}");
}

#[test]
fn the_page_of_a_bundle_says_what_it_brings() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    world.upstreams.grow();
    world.upstreams.rpm.document(
        "updateinfo",
        "<updates><update type=\"security\"><id>RHSA-1</id><title>hello &lt;script&gt;</title><severity>Important</severity>\
         <references><reference type=\"cve\" id=\"CVE-2026-1\"/></references></update></updates>",
    );
    world.upstreams.apt.remove("greeting");
    world.upstreams.publish();
    let second = world.deliver(2);
    let read = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let review: serde_json::Value = serde_json::from_str(&read(&second, "review.json")).unwrap();
    assert_eq!(review["chantal-review"], 1);
    let state = |name: &str| {
        let states = review["states"].as_array().unwrap();
        states.iter().find(|state| state["repository"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    let changes = |name: &str| -> Vec<String> {
        let mut all = Vec::new();
        for change in state(name)["changes"].as_array().unwrap() {
            let word = |member: &str| change[member].as_str().unwrap_or("-").to_owned();
            let mut line = String::new();
            write!(line, "{} {} {} {}", word("change"), word("name"), word("old"), word("new")).unwrap();
            all.push(line);
        }
        all
    };
    assert_eq!(changes("debian"), ["removed greeting 1:2.0 -", "upgraded hello 1.0-1 1.1-1"]);
    // the fixture signs anew: what was there has other bytes under its name, where a second has passed
    let mut tools = changes("tools");
    tools.retain(|line| !line.starts_with("replaced"));
    assert_eq!(tools, ["upgraded hello 0:1.0-1 0:1.1-1"]);
    assert_eq!(changes("wheels"), ["upgraded hello-world 1.0 1.1"]);
    assert_eq!(state("tools")["advisories"][0]["references"], serde_json::json!(["CVE-2026-1"]));
    assert_eq!(state("debian")["proven"], "signed");
    assert_eq!(state("wheels")["proven"], "digests");
    let fingerprint = state("debian")["keys"][0]["fingerprint"].as_str().unwrap().to_owned();
    let html = read(&second, "REVIEW.html");
    for text in ["1.1-1", "digests over TLS", &fingerprint, "hq.plant-7-e01-000002"] {
        assert!(html.contains(text), "{text}");
    }
    assert!(read(&first, "REVIEW.html").contains("new here"));
    if have("chromium") {
        let dir = tempfile::tempdir().unwrap();
        let (found, _) = look(dir.path(), html.as_bytes());
        expect_good(
            &found,
            review["states"].as_array().unwrap().iter().map(|s| s["changes"].as_array().unwrap().len()).sum(),
        );
    }
}

#[test]
fn an_officer_approves_and_two_bundles_are_compared() {
    let mut world = World::with_files();
    let office = Site::receiver(&world.dir.path().join("office"), "office");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (hq_key, officer) = (world.dir.path().join("hq.pub"), world.dir.path().join("officer.pub"));
    fs::write(&officer, office.ok(["key", "show"])).unwrap();
    let fingerprint = |file: &Path| {
        let said = ok(Command::new("ssh-keygen").arg("-lf").arg(file));
        said.split(' ').nth(1).unwrap().to_owned()
    };
    office.ok(["trust", "add", &path(&hq_key), "--fingerprint", &fingerprint(&hq_key)]);
    let key = fingerprint(&officer);
    world.hq.ok(["trust", "add", &path(&officer), "--role", "approver", "--fingerprint", &key, "--yes"]);
    world.hq.ok(["trust", "threshold", "--approvers", "1", "--yes"]);
    let first = world.deliver(1);
    let said = world.plant.fails(3, ["import", &path(&first)]);
    assert!(said.contains("0 of 1 approver") && said.contains("chantal bundle approve"), "{said}");
    // nobody is there to be asked
    let said = office.fails(2, ["bundle", "approve", &path(&first)]);
    assert!(said.contains("new repository") && said.contains("--yes"), "{said}");
    // a key that is no approver's
    let said = world.hq.fails(3, ["bundle", "approve", &path(&first), "--yes"]);
    assert!(said.contains("is no approver"), "{said}");
    let said = office.ok(["bundle", "approve", &path(&first), "--yes"]);
    assert!(said.contains("REVIEW.html") && said.contains("2 added"), "{said}");
    assert!(office.ok(["audit", "show"]).contains("approved"));
    world.receive(&first);
    assert!(world.plant.ok(["audit", "show"]).contains(&format!("approved by {}", fingerprint(&officer))));

    world.upstreams.grow();
    let second = world.deliver(2);
    let elsewhere = world.dir.path().join("approver-elsewhere.sig");
    office.ok(["bundle", "approve", &path(&second), "--yes", "--out", &path(&elsewhere)]);
    world.plant.fails(3, ["import", &path(&second)]);
    world.plant.ok(["import", &path(&second), &path(&elsewhere)]);

    let page = world.dir.path().join("diff.html");
    let said = office.ok(["bundle", "diff", &path(&first), &path(&second), "--html", &path(&page)]);
    assert!(said.contains("upgraded    hello 1.0-1 -> 1.1-1"), "{said}");
    assert!(fs::read_to_string(&page).unwrap().contains("Comparison of two bundles"));
    let back = office.ok(["bundle", "diff", &path(&second), &path(&first), "--json"]);
    let back: serde_json::Value = serde_json::from_str(&back).unwrap();
    assert_eq!(
        (&back["counts"]["downgraded"], &back["counts"]["upgraded"]),
        (&3.into(), &0.into()),
        "{back}"
    );
    let same = office.ok(["bundle", "diff", &path(&first), &path(&first), "--json"]);
    assert!(same.contains("\"changes\":[]") && !same.contains("\"change\":"), "{same}");
}

#[test]
fn the_next_review_is_made_after_gc_took_the_former_packages() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    world.receive(&first);
    world.upstreams.apt.remove("greeting");
    world.upstreams.grow();
    world.hq.ok(["sync"]);
    let said = world.hq.ok(["gc", "--grace", "0s", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(report["blobs"].as_u64().unwrap() >= 1, "the package that is gone is still here: {said}");
    let second = world.deliver(2);
    let review = fs::read_to_string(second.join("review.json")).unwrap();
    assert!(review.contains("\"change\": \"removed\"") && review.contains("greeting"), "{review}");
    world.receive(&second);
}
