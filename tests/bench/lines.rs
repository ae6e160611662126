//! States of a million files: what every line of their manifests and indexes costs an export of little.

use std::{fmt::Write as _, fs, path::Path};

use chantal::store::{Event, Name, StateRef, Store};
use chantal_contract::{Digest, Entry, Header, Kind, Line, Measured, Mode, RepoPath, Role};

use crate::{
    command::{best, chantal, collector, run},
    fixtures::gzip,
    table::Row,
    upstream::{Packages, Packed, Upstream},
};

/// Different contents that the files share.
const CONTENTS: usize = 1_000;

/// Exports a state of `lines` files whole, and then one in which every hundredth has other bytes.
pub fn measure(dir: &Path, lines: usize) {
    let hq = collector(dir, &Upstream::new(&dir.join("up"), Packages::Listed, 1, Packed::Gzip));
    let media = dir.join("media");
    fs::create_dir_all(&media).unwrap();
    let export =
        |since| run(chantal(&hq).args(["export", "--to", "plant", "--since", since, "--out"]).arg(&media));
    let mut former = None;
    let store = Store::open(&hq.join("store")).unwrap();
    let contents: Vec<Measured> = {
        let batch = store.pool().batch().unwrap();
        let put = |n: usize| batch.put(format!("content {n} of some packages").as_bytes()).unwrap();
        let contents = (0..=CONTENTS).map(put).collect();
        batch.flush().unwrap();
        contents
    };
    let mut advance = |changed: usize| {
        former = Some(state(&store, lines, &contents, changed, former));
        let state = StateRef { manifest: former.unwrap(), evidence: None, date: None, valid_until: None };
        let event = Event::State { repository: Name::new("big").unwrap(), state, complete: true };
        store.journal().append(event, jiff::Timestamp::now()).unwrap();
    };
    advance(usize::MAX);
    let whole = export("none");
    Row::new(format!("export, {lines} lines of {CONTENTS} blobs"), whole).print();
    advance(100);
    let delta = export("last");
    Row::new("export of 1 % of the lines", delta).beside("export, the whole", whole).memory(256).print();
    let weighed = best(1, || run(chantal(&hq).arg("status")));
    Row::new("`status`, weighs the whole", weighed).print();
}

/// Writes a state of an APT mirror; every `changed`-th file has bytes that no other state has.
fn state(
    store: &Store,
    lines: usize,
    contents: &[Measured],
    changed: usize,
    former: Option<Digest>,
) -> Digest {
    let content = |n: usize| contents[if n.is_multiple_of(changed) { CONTENTS } else { n % CONTENTS }];
    let path = |n: usize| format!("pool/main/p/package-{n:07}/package-{n:07}_1.0-1_amd64.deb");
    let mut index = String::new();
    for n in 0..lines {
        let Measured { sha256, size } = content(n);
        write!(
            index,
            "Package: package-{n:07}\nVersion: 1.0-1\nArchitecture: amd64\nDescription: number {n} of many\nFilename: {}\nSize: {size}\nSHA256: {sha256}\n\n",
            path(n)
        )
        .unwrap();
    }
    let packed = gzip(index.as_bytes());
    let listed =
        |bytes: &[u8], name| format!(" {} {} main/binary-amd64/{name}\n", Digest::of(bytes), bytes.len());
    let release = format!(
        "Suite: stable\nCodename: stable\nDate: Fri, 20 Nov 2026 13:30:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n{}{}",
        listed(index.as_bytes(), "Packages"),
        listed(&packed, "Packages.gz")
    );
    let batch = store.pool().batch().unwrap();
    let indexes = [
        ("dists/stable/Release", batch.put(release.as_bytes()).unwrap()),
        ("dists/stable/main/binary-amd64/Packages.gz", batch.put(&packed).unwrap()),
    ];
    batch.flush().unwrap();
    let options =
        serde_json::json!({ "suites": ["stable"], "components": ["main"], "architectures": ["amd64"] });
    let header = Header { format: Kind::Apt, layout: 1, mode: Mode::Mirror, options };
    let mut manifest = store.manifests().writer(&header, former.as_ref()).unwrap();
    let mut line = |path: &str, measured, role| {
        let entry = Entry::Present { measured, role };
        manifest.line(&Line::File { path: RepoPath::new(path).unwrap(), entry }).unwrap();
    };
    for (path, measured) in indexes {
        line(path, measured, Role::Index);
    }
    for n in 0..lines {
        line(&path(n), content(n), Role::Payload);
    }
    manifest.finish().unwrap()
}
