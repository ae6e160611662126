//! Walks over repositories written by hand.

use chantal_contract::{Absent, Algorithm, At, Checksum, Digest, Policy};

use super::{Unsigned, Upstream, driver::gzip};
use crate::RpmOptions;

/// One `<data>` of `repomd.xml`.
pub(crate) fn data(kind: &str, href: &str, bytes: &[u8], open: &[u8]) -> String {
    format!(
        "<data type=\"{kind}\"><checksum type=\"sha256\">{}</checksum><open-checksum type=\"sha256\">{}</open-checksum>\
         <location href=\"{href}\"/><timestamp>1700000000.5</timestamp><size>{}</size><open-size>{}</open-size></data>",
        Digest::of(bytes),
        Digest::of(open),
        bytes.len(),
        open.len()
    )
}

pub(crate) fn repomd(data: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\">\
         <revision>1600000000</revision>{data}</repomd>"
    )
}

pub(crate) fn primary(packages: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" \
         xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"1\">\n{packages}\n</metadata>"
    )
}

/// A package as primary lists it; the checksum is that of its href.
pub(crate) fn package(name: &str, version: &str, arch: &str, href: &str) -> String {
    format!(
        "<package type=\"rpm\">\n  <name>{name}</name><arch>{arch}</arch><version epoch=\"0\" ver=\"{version}\" \
         rel=\"1\"/><checksum type=\"sha256\" pkgid=\"YES\">{}</checksum><summary>About &lt;{name}&gt; &amp; \
         co</summary><description><![CDATA[</package>]]></description><size package=\"7\"/>\
         <location href=\"{href}\"/><format><rpm:license>MIT</rpm:license></format></package>",
        Digest::of(href.as_bytes())
    )
}

/// A repository of a primary and whatever else.
pub(crate) fn upstream(packages: &str, more: &[(&str, &str, &[u8])]) -> Upstream {
    let plain = primary(packages).into_bytes();
    let packed = gzip(&plain);
    let mut listed = data("primary", "repodata/p.xml.gz", &packed, &plain);
    let mut upstream = Upstream::default().with("repodata/p.xml.gz", packed);
    for (kind, href, bytes) in more {
        listed += &data(kind, href, bytes, bytes);
        upstream = upstream.with(href, *bytes);
    }
    upstream.with("repodata/repomd.xml", repomd(&listed))
}

const OFF: Unsigned = Unsigned(Policy::Off);

#[test]
fn carries_every_listed_file_and_reads_packages() {
    let one = package("nginx", "1.0^git~2", "x86_64", "Packages/n/nginx-1.0^git~2-1.x86_64.rpm");
    let mut upstream = upstream(
        &one,
        &[
            ("filelists", "repodata/f.xml", b"not read"),
            ("modules", "repodata/m.yaml", b"stream: 2.10\n"),
            ("group_gz", "repodata/g.xml.gz", b"not read"),
            ("updateinfo", "repodata/u.xml", b"<updates/>"),
            ("productid", "repodata/productid", b"not read"),
            ("primary_db", "repodata/p.sqlite.bz2", b"not read"),
            ("primary_zck", "repodata/p.zck", b"not read"),
            ("invented-tomorrow", "repodata/x", b"not read"),
        ],
    );
    for backwards in [false, true] {
        upstream.backwards = backwards;
        let outcome = upstream.walk(&OFF).unwrap();
        let mut fed = outcome.fed.clone();
        fed.sort();
        let all: Vec<String> = upstream.files.keys().cloned().collect();
        assert_eq!(fed, all, "every file of upstream, once");
        let [(package, record)] = outcome.packages.as_slice() else { panic!("{:?}", outcome.keys()) };
        assert_eq!(package.key.to_string(), "nginx 0:1.0^git~2-1 x86_64");
        assert_eq!(package.group.name, "nginx.x86_64");
        assert_eq!(package.summary, "About <nginx> & co");
        assert_eq!(record, &one, "byte for byte");
        let [want] = package.files.as_slice() else { panic!("one file") };
        assert_eq!(want.path.as_str(), "Packages/n/nginx-1.0^git~2-1.x86_64.rpm");
        assert_eq!((want.expect.size, &want.absent, &want.at), (Some(7), &Absent::Fatal, &At::Relative));
        assert_eq!(want.expect.sha256(), Some(Digest::of(want.path.as_str().as_bytes())));
        assert_eq!(outcome.coverage.date.unwrap().as_second(), 1_700_000_000);
        assert_eq!(outcome.notices, Vec::<String>::new());
        let mut unread = outcome.unread.clone();
        unread.sort();
        assert_eq!(unread, ["repodata/p.sqlite.bz2", "repodata/p.zck"], "clients may read them instead");
    }
}

#[test]
fn both_of_one_nevra_survive() {
    let same = package("a", "1", "noarch", "x/a.rpm");
    let packages = [
        package("a", "1", "noarch", "a.rpm"),
        same.clone(),
        same.replace("x/a.rpm", "y/a.rpm"),
        same.clone(),
        package("a", "1", "x86_64", "b.rpm"),
    ];
    let outcome = upstream(&packages.concat(), &[]).walk(&OFF).unwrap();
    let checksum = format!("sha256:{}", Digest::of(b"x/a.rpm"));
    assert_eq!(
        outcome.keys(),
        [
            "a 0:1-1 noarch".to_owned(),
            format!("a 0:1-1 noarch {checksum}"),
            format!("a 0:1-1 noarch {checksum} y/a.rpm"),
            "a 0:1-1 x86_64".to_owned(),
        ]
    );
    assert_eq!(outcome.notices, ["repodata/repomd.xml: 1 packages are listed twice in every respect"]);
}

#[test]
fn sources_and_deltas_are_switches() {
    let packages = package("a", "1", "src", "a.src.rpm") + &package("b", "1", "nosrc", "b.nosrc.rpm");
    let deltas = format!(
        "<prestodelta><newpackage name=\"a\" epoch=\"0\" version=\"1\" release=\"1\" arch=\"x\"><delta oldepoch=\"0\">\
         <filename>drpms/a.drpm</filename><sequence>s</sequence><size>9</size><checksum type=\"sha512\">{}</checksum>\
         </delta></newpackage></prestodelta>",
        "0f".repeat(64)
    );
    let upstream = upstream(&packages, &[("prestodelta", "repodata/d.xml", deltas.as_bytes())]);
    let outcome = upstream.walk(&OFF).unwrap();
    assert_eq!(outcome.keys(), ["a 0:1-1 src", "b 0:1-1 nosrc"]);
    let delta = outcome.file("drpms/a.drpm");
    assert_eq!((delta.expect.size, &delta.absent), (Some(9), &Absent::Allowed));
    assert_eq!(delta.expect.checksums, [Checksum::new(Algorithm::Sha512, &[15; 64]).unwrap()]);

    let options = RpmOptions { sources: false, deltas: false, ..RpmOptions::default() };
    let outcome = upstream.walk_with(options, &OFF).unwrap();
    assert_eq!((outcome.packages.len(), outcome.files.len()), (0, 0));
}

#[test]
fn a_listed_file_that_is_missing_is_told_and_recorded() {
    let mut upstream = upstream(
        &package("a", "1", "noarch", "a.rpm"),
        &[("prestodelta", "repodata/d.xml", b"<prestodelta/>")],
    );
    upstream.files.remove("repodata/d.xml");
    let outcome = upstream.walk(&OFF).unwrap();
    assert_eq!(outcome.keys(), ["a 0:1-1 noarch"], "the rest is finished");
    assert_eq!(outcome.notices, ["repodata/d.xml: is listed by repomd.xml and not there"]);
    assert_eq!(outcome.file("repodata/d.xml").absent, Absent::Fatal);
    upstream.files.remove("repodata/p.xml.gz");
    assert!(upstream.walk(&OFF).is_err(), "without primary there is nothing to mirror");
}

#[test]
fn a_primary_that_is_listed_under_another_type_first_is_read() {
    let text = primary(&package("a", "1", "noarch", "a.rpm")).into_bytes();
    let listed = data("other", "repodata/p", &text, &text) + &data("primary", "repodata/p", &text, &text);
    let upstream = Upstream::default().with("repodata/p", text).with("repodata/repomd.xml", repomd(&listed));
    let outcome = upstream.walk(&OFF).unwrap();
    assert_eq!(outcome.keys(), ["a 0:1-1 noarch"]);
    assert_eq!(outcome.fed, ["repodata/repomd.xml", "repodata/p"], "fetched once");
}

#[test]
fn weak_digests_are_told() {
    let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    let mut packages = String::new();
    for (name, kind) in [("a", "sha"), ("b", "sha1")] {
        let one = package(name, "1", "noarch", &format!("{name}.rpm"));
        let sha256 = Digest::of(format!("{name}.rpm").as_bytes()).hex();
        packages += &one.replace("type=\"sha256\"", &format!("type=\"{kind}\"")).replace(&sha256, sha1);
    }
    let strong = package("c", "1", "noarch", "c.rpm");
    packages += &strong
        .replace("type=\"sha256\"", "type=\"sha512\"")
        .replace(&Digest::of(b"c.rpm").hex(), &"ab".repeat(64));
    let outcome = upstream(&packages, &[]).walk(&OFF).unwrap();
    let algorithms: Vec<_> =
        outcome.packages.iter().map(|(p, _)| p.files[0].expect.checksums[0].algorithm()).collect();
    assert_eq!(algorithms, [Algorithm::Sha1, Algorithm::Sha1, Algorithm::Sha512]);
    assert_eq!(
        outcome.notices,
        ["repodata/repomd.xml: 2 packages are bound by a weak digest only (SHA-1 or MD5)"]
    );
}

#[test]
fn other_hosts_are_followed_and_told() {
    let there = package("a", "1", "noarch", "p/a.rpm")
        .replace("<location ", "<location xml:base=\"https://other.example.org/base\" ");
    let outcome = upstream(&there, &[]).walk(&OFF).unwrap();
    let want = &outcome.packages[0].0.files[0];
    assert_eq!(want.path.as_str(), "p/a.rpm");
    assert!(
        matches!(&want.at, At::Absolute(url) if url.as_str() == "https://other.example.org/base/p/a.rpm")
    );
    assert_eq!(outcome.notices.len(), 1);
    assert!(
        outcome.notices[0].contains("1 packages lie on `https://other.example.org`"),
        "{:?}",
        outcome.notices
    );
}

#[test]
fn an_installer_tree_comes_along() {
    let images = Digest::of(b"kernel");
    let tree = format!(
        "[checksums]\nimages/boot.iso = sha256:{images}\nrepodata/repomd.xml = sha256:{images}\n\
         [images-x86_64]\nkernel = images/vmlinuz\nboot.iso = images/boot.iso\n[stage2]\nmainimage = images/install.img\n[tree]\narch = x86_64\n"
    );
    let extra = format!(
        "{{\"header\":{{\"version\":\"1.0\"}},\"data\":[{{\"file\":\"EULA\",\"size\":6,\
         \"checksums\":{{\"sha256\":\"{images}\"}}}}]}}"
    );
    let upstream = upstream("", &[]).with(".treeinfo", tree).with("extra_files.json", extra);
    let outcome = upstream.walk(&OFF).unwrap();
    let files: Vec<_> = outcome.files.iter().map(|w| (w.path.as_str(), w.absent.clone())).collect();
    assert_eq!(
        files,
        [
            ("images/boot.iso", Absent::Fatal),
            ("images/install.img", Absent::Allowed),
            ("images/vmlinuz", Absent::Allowed),
            (".discinfo", Absent::Allowed),
            ("media.repo", Absent::Allowed),
            ("EULA", Absent::Fatal),
        ]
    );
    assert_eq!(outcome.file("images/boot.iso").expect.sha256(), Some(images));
    assert_eq!(outcome.file("EULA").expect.size, Some(6));

    let options = RpmOptions { treeinfo: false, ..RpmOptions::default() };
    assert_eq!(upstream.walk_with(options, &OFF).unwrap().files.len(), 0);
}

#[test]
fn a_signature_is_asked_for_as_the_policy_says() {
    let mut upstream = upstream("", &[]);
    assert!(upstream.walk(&Unsigned(Policy::IfPresent)).is_ok());
    let error = upstream.walk(&Unsigned(Policy::Require)).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("no signature"), "{error}");
    upstream =
        upstream.with("repodata/repomd.xml.asc", "a signature").with("repodata/repomd.xml.key", "a key");
    let outcome = upstream.walk(&Unsigned(Policy::IfPresent)).unwrap();
    assert!(outcome.notices[0].contains("no keys are configured"), "{:?}", outcome.notices);
    assert!(outcome.fed.contains(&"repodata/repomd.xml.key".to_owned()));
    assert!(upstream.walk(&Unsigned(Policy::Require)).unwrap_err().is_refusal());
    assert_eq!(upstream.walk(&OFF).unwrap().notices, Vec::<String>::new());
}
