//! Walks over what the real tools write: packages of rpmbuild, signed by rpmsign, indexed by createrepo_c.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use chantal_contract::{
    Digest, Format, FormatError, Header, Line, Place, Policy, RepoPath, State, TreeError, VerifyError,
};

use crate::location::is_package;

use super::{Keyring, Unsigned, Upstream, tool};

const SPEC: &str = r#"
Name: sample
Epoch: 2
Version: 1.0^git~2
Release: 1
Summary: A <sample> & "more" 'quotes'
License: MIT and BSD
Group: Applications/System
Vendor: Example & Co
Packager: Somebody <somebody@example.org>
URL: https://www.example.org/?a=1&b=2
BuildArch: noarch
Provides: virtual = 3:4-5, other
Requires: bash >= 4, /bin/sh, /usr/bin/sample, dup, dup, virtual = 3:4-5
Requires: libc.so.6(GLIBC_2.4)(64bit), libc.so.6(GLIBC_2.17)(64bit), libc.so.6()(64bit)
Requires(pre): shadow-utils
Requires(preun): before-removal
Recommends: rec < 3
Suggests: sug
Supplements: (sup and b)
Enhances: enh > 2
Conflicts: con <= 5-6
Obsoletes: obs = 1
%description
Line one
 with <b> & more	tab

last line
%package bare
Summary: bare
License: MIT
%description bare
%post
echo hi
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc/sample.d %{buildroot}/usr/share/doc/s
echo x > %{buildroot}/usr/bin/sample
echo z > %{buildroot}/usr/share/doc/s/readme
echo q > "%{buildroot}/etc/with blank & amp"
echo y > %{buildroot}/etc/sample.conf
%files
/usr/bin/sample
%config /etc/sample.conf
"/etc/with blank & amp"
%dir /etc/sample.d
/usr/share/doc/s/readme
%ghost /etc/ghost.conf
%files bare
"#;

/// Runs a tool and wants it to succeed.
pub(super) fn run(command: &mut Command) -> Vec<u8> {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Builds the sample packages into `repo/`: two binary ones and their source; none where rpmbuild is missing.
pub(super) fn build(root: &Path, defines: &[&str]) -> Option<PathBuf> {
    tool("rpmbuild")?;
    let spec = root.join("sample.spec");
    std::fs::write(&spec, SPEC).unwrap();
    let mut command = Command::new("rpmbuild");
    command.arg("-ba").arg("--define").arg(format!("_topdir {}", root.join("top").display()));
    for define in defines {
        command.args(["--define", define]);
    }
    run(command.arg(&spec));
    let repo = root.join("repo");
    std::fs::create_dir_all(&repo).unwrap();
    for (name, bytes) in Upstream::of_directory(&root.join("top")).files {
        if is_package(&name.parse().unwrap()) {
            std::fs::write(repo.join(name.rsplit('/').next().unwrap()), bytes).unwrap();
        }
    }
    Some(repo)
}

fn sign(root: &Path, keyring: &Keyring, more: &[&str]) {
    let mut command = Command::new("rpmsign");
    command.args(["--define", "_gpg_name test@example.org", "--define"]);
    command.arg(format!("_gpg_path {}", keyring.home().display()));
    // some builds of rpm look for a gpg that is not there
    command
        .arg("--define")
        .arg(format!("__gpg {}", tool("gpg").unwrap().display()))
        .args(more)
        .arg("--addsign");
    for name in Upstream::of_directory(root).files.keys().filter(|n| is_package(&n.parse().unwrap())) {
        command.arg(root.join(name));
    }
    run(&mut command);
}

const BINARY: &str = "sample-1.0^git~2-1.noarch.rpm";

#[test]
fn reads_what_createrepo_writes_in_every_compression() {
    let Some(_) = tool("createrepo_c") else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(repo) = build(dir.path(), &[]) else { return };
    // createrepo_c writes names as they are, and dnf escapes them when it asks
    std::fs::copy(repo.join(BINARY), repo.join("sample odd+100%25#.noarch.rpm")).unwrap();
    for compression in ["gz", "xz", "bz2", "zstd"] {
        for checksum in ["sha256", "sha512", "sha1"] {
            let out = Command::new("createrepo_c")
                .args(["-q", "--general-compress-type", compression, "--checksum", checksum])
                .arg(&repo)
                .output()
                .unwrap();
            if !out.status.success() && compression == "zstd" {
                println!("skipped: this createrepo_c writes no zstd");
                continue;
            }
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            let upstream = Upstream::of_directory(&repo);
            let outcome = upstream.walk(&Unsigned(Policy::Off)).unwrap();
            let mut names: Vec<_> = outcome.packages.iter().map(|(p, _)| p.files[0].path.as_str()).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                [
                    "sample odd+100%25#.noarch.rpm",
                    BINARY,
                    "sample-1.0^git~2-1.src.rpm",
                    "sample-bare-1.0^git~2-1.noarch.rpm"
                ]
            );
            for (package, record) in &outcome.packages {
                let want = &package.files[0];
                let mut measurer = want.expect.measure();
                measurer.update(&upstream.files[want.path.as_str()]).unwrap();
                measurer.finish().unwrap();
                assert!(record.starts_with("<package") && record.ends_with("</package>"), "{record}");
            }
            assert!(outcome.coverage.date.is_some());
            let weak = checksum == "sha1";
            assert_eq!(
                outcome.notices.iter().any(|n| n.contains("weak digest")),
                weak,
                "{:?}",
                outcome.notices
            );
        }
    }
}

#[test]
fn writes_the_record_that_createrepo_writes() {
    let Some(_) = tool("createrepo_c") else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(repo) = build(dir.path(), &[]) else { return };
    run(Command::new("createrepo_c").arg("-q").arg(&repo));
    let upstream = Upstream::of_directory(&repo);
    let outcome = upstream.walk(&Unsigned(Policy::Off)).unwrap();
    assert_eq!(outcome.packages.len(), 3);
    let format = crate::Rpm::new(crate::RpmOptions::default());
    for (listed, record) in &outcome.packages {
        let name = listed.files[0].path.as_str();
        let mut file = std::io::Cursor::new(upstream.files[name].as_slice());
        let (package, written) = format.inspect(&RepoPath::new(name).unwrap(), &mut file).unwrap();
        // the file's own time is not in its bytes
        let time = |r: &str| {
            r.lines().find(|l| l.contains("<time ")).unwrap().split("build=").nth(1).unwrap().to_owned()
        };
        let rest = |r: &str| r.lines().filter(|l| !l.contains("<time ")).collect::<Vec<_>>().join("\n");
        let written = String::from_utf8(written).unwrap();
        assert_eq!(rest(&written), rest(record));
        assert_eq!(time(&written), time(record));
        assert_eq!(package.key, listed.key);
        assert_eq!(package.group, listed.group);
        assert_eq!(package.summary, listed.summary);
        let (found, listed) = (&package.files[0].expect, &listed.files[0].expect);
        assert_eq!((found.size, &found.checksums), (listed.size, &listed.checksums));
    }
}

#[test]
fn vets_what_rpmsign_signs() {
    let Some(_) = tool("rpmsign") else { return };
    for kind in ["rsa3072", "ed25519"] {
        let Some(keyring) = Keyring::new(kind) else { return };
        let Some(mut stranger) = Keyring::new(kind) else { return };
        let dir = tempfile::tempdir().unwrap();
        let Some(repo) = build(dir.path(), &[]) else { return };
        let upstream = Upstream::of_directory(&repo);
        let error = upstream.vet(BINARY, &keyring).unwrap_err();
        assert!(matches!(error, FormatError::Verify { source: VerifyError::Unsigned, .. }), "{error}");

        sign(&repo, &keyring, &[]);
        let mut upstream = Upstream::of_directory(&repo);
        let signed = upstream.files[BINARY].clone();
        for name in upstream.files.keys() {
            assert_eq!(upstream.vet(name, &keyring).unwrap().len(), 1, "{name}");
        }
        assert!(upstream.vet(BINARY, &stranger).unwrap_err().is_refusal());
        stranger.policy = Policy::IfPresent;
        assert!(upstream.vet(BINARY, &stranger).unwrap_err().is_refusal(), "one that is there must be good");
        assert_eq!(upstream.vet(BINARY, &Unsigned(Policy::IfPresent)).unwrap(), Vec::<String>::new());
        assert_eq!(upstream.vet(BINARY, &Unsigned(Policy::Off)).unwrap(), Vec::<String>::new());

        // any bit of header or payload; those of the signature header are signed by nobody
        let rpm = crate::file::Rpm::read(&BINARY.parse().unwrap(), &mut signed.as_slice()).unwrap();
        let (header, payload) =
            (usize::try_from(rpm.header_at).unwrap(), usize::try_from(rpm.payload_at).unwrap());
        let last = signed.len() - 1;
        for at in [header + 300, header.midpoint(payload), payload - 1, payload, payload.midpoint(last), last]
        {
            let mut tampered = signed.clone();
            tampered[at] ^= 1;
            upstream.files.insert(BINARY.into(), tampered);
            let error = upstream.vet(BINARY, &keyring).expect_err("a flipped bit");
            // a header may also break in form before its signature is looked at
            assert!(error.is_refusal() || at < payload, "byte {at}: {error}");
        }
        for cut in [0, 50, 96, header - 1, header + 7, payload - 1, last] {
            upstream.files.insert(BINARY.into(), signed[..cut].to_vec());
            assert!(upstream.vet(BINARY, &keyring).is_err(), "cut at {cut}");
        }
        let mut longer = signed.clone();
        longer.push(0);
        upstream.files.insert(BINARY.into(), longer);
        assert!(upstream.vet(BINARY, &keyring).unwrap_err().is_refusal(), "a byte behind the payload");
    }
}

#[test]
fn a_signed_repository_is_verified() {
    let Some(_) = tool("createrepo_c") else { return };
    let Some(keyring) = Keyring::new("rsa3072") else { return };
    let Some(stranger) = Keyring::new("rsa3072") else { return };
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("createrepo_c").arg("-q").arg(dir.path()));
    let mut upstream = Upstream::of_directory(dir.path());
    let signature = keyring.sign(&upstream.files[crate::REPOMD]);
    upstream = upstream.with(crate::SIGNATURE, signature).with("repodata/repomd.xml.key", keyring.public());
    let outcome = upstream.walk(&keyring).unwrap();
    assert_eq!(outcome.coverage.signers.len(), 1);
    assert_eq!(outcome.coverage.signed[0].as_str(), crate::REPOMD);
    assert!(upstream.walk(&stranger).unwrap_err().is_refusal());
    let mut tampered = upstream.clone();
    tampered.files.get_mut(crate::REPOMD).unwrap().push(b'\n');
    assert!(tampered.walk(&keyring).unwrap_err().is_refusal());
}

/// A mirrored tree as a state.
struct Published(PathBuf);

impl State for Published {
    fn header(&self) -> &Header {
        panic!("not asked for")
    }
    fn lines(&self, _: &mut dyn FnMut(&Line) -> Result<(), FormatError>) -> Result<(), FormatError> {
        panic!("not asked for")
    }
    fn record(&self, _: &Digest) -> Result<Vec<u8>, TreeError> {
        panic!("not asked for")
    }
    fn read(&self, path: &RepoPath, _: u64) -> Result<Vec<u8>, TreeError> {
        std::fs::read(self.0.join(path.as_str())).map_err(|_| TreeError::NoFile(path.clone()))
    }
}

/// Mirrors a signed repository into a directory: what the walk was fed, and what it wants of payloads.
fn mirror(repo: &Path, keyring: &Keyring, tree: &Path) {
    sign(repo, keyring, &[]);
    run(Command::new("createrepo_c").arg("-q").arg(repo));
    let mut upstream = Upstream::of_directory(repo);
    let signature = keyring.sign(&upstream.files[crate::REPOMD]);
    upstream = upstream.with(crate::SIGNATURE, signature).with("repodata/repomd.xml.key", keyring.public());
    let outcome = upstream.walk(keyring).unwrap();
    let payloads = outcome.packages.iter().flat_map(|(p, _)| &p.files).map(|w| w.path.to_string());
    for path in outcome.fed.iter().cloned().chain(payloads) {
        let target = tree.join(&path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, &upstream.files[&path]).unwrap();
    }
    std::fs::write(tree.join("keys.asc"), keyring.public()).unwrap();
}

#[test]
fn dnf_installs_from_a_mirror_with_every_check_on() {
    let (Some(_), Some(_)) = (tool("dnf"), tool("createrepo_c")) else { return };
    let Some(keyring) = Keyring::new("rsa3072") else { return };
    let Some(stranger) = Keyring::new("rsa3072") else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(repo) = build(dir.path(), &[]) else { return };
    let tree = dir.path().join("tree");
    mirror(&repo, &keyring, &tree);
    let place = Place {
        name: "mirror".into(),
        base: format!("file://{}", tree.display()),
        keys: Some("keys.asc".parse().unwrap()),
        metadata_signed: true,
        packages_signed: true,
        at: "2026-11-20T12:00:00Z".parse().unwrap(),
    };
    let format = crate::Rpm::new(crate::RpmOptions::default());
    let [file] = <[_; 1]>::try_from(format.set_up(&Published(tree.clone()), &place).unwrap()).unwrap();
    assert!(file.text.contains("\ngpgcheck=1\nrepo_gpgcheck=1\n"), "{}", file.text);
    let repos = dir.path().join("repos");
    std::fs::create_dir(&repos).unwrap();
    std::fs::write(repos.join(&file.name), file.text).unwrap();
    let dnf = |root: &str| {
        let at = |name: &str| dir.path().join(root).join(name).display().to_string();
        std::fs::create_dir_all(at("log")).unwrap();
        let mut command = Command::new("dnf");
        command.args(["-y", "--releasever=1", "--installroot", &at("root")]);
        for (option, value) in
            [("reposdir", repos.display().to_string()), ("cachedir", at("cache")), ("logdir", at("log"))]
        {
            command.arg(format!("--setopt={option}={value}"));
        }
        let out = command.args(["install", "sample-bare"]).output().unwrap();
        let said = [out.stdout, out.stderr].map(|o| String::from_utf8_lossy(&o).into_owned()).concat();
        (out.status.success(), said)
    };
    let (done, said) = dnf("one");
    if said.contains("superuser") && std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none() {
        println!("skipped: dnf installs for the superuser only");
        return;
    }
    assert!(done && said.contains("sample-bare-2:1.0^git~2-1.noarch"), "{said}");

    std::fs::write(tree.join("keys.asc"), stranger.public()).unwrap();
    let (done, said) = dnf("two");
    assert!(!done, "another's key: {said}");
}

#[test]
fn zypper_takes_a_mirror() {
    let (Some(_), Some(_), Some(_)) = (tool("zypper"), tool("createrepo_c"), tool("rpmsign")) else { return };
    let Some(keyring) = Keyring::new("rsa3072") else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(repo) = build(dir.path(), &[]) else { return };
    let (tree, root) = (dir.path().join("tree"), dir.path().join("root"));
    mirror(&repo, &keyring, &tree);
    let zypper = |arguments: &[&str]| {
        let mut command = Command::new("zypper");
        command
            .arg("--root")
            .arg(&root)
            .args(["--non-interactive", "--gpg-auto-import-keys"])
            .args(arguments);
        String::from_utf8(run(&mut command)).unwrap()
    };
    zypper(&["addrepo", &format!("file://{}", tree.display()), "mirror"]);
    zypper(&["refresh"]);
    let found = zypper(&["search", "--details", "sample-bare"]);
    assert!(found.contains("2:1.0^git~2-1"), "{found}");
}
