//! A stranger with ssh-keygen, sha256sum, zstd and tar.

use std::process::{Command, Stdio};

use chantal_contract::limits::VOLUME_BYTES_LEAST;

use super::*;

/// Runs a command in a directory; none when the tool is missing and need not be there.
fn run(dir: &Path, stdin: Option<&Path>, command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first().unwrap();
    let input = stdin.map_or_else(Stdio::null, |path| fs::File::open(path).unwrap().into());
    match Command::new(program).args(arguments).current_dir(dir).stdin(input).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{command:?}: {told}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) if std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none() => {
            println!("skipped: {program}: {error}");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn ssh_keygen_sha256sum_zstd_and_tar_accept_a_bundle() {
    let (collector, _) = sides();
    let large = noise(1, 9_000_000);
    let text = b"some text ".repeat(200_000);
    collector.state("bookworm", &[("large", &large), ("text", &text), ("empty", b"")], 1);
    let written = collector.try_export(&["bookworm"], "none", VOLUME_BYTES_LEAST).unwrap().unwrap();
    let dir = &written.path;

    let allowed = collector.dir.path().join("allowed");
    fs::write(&allowed, format!("hq {}\n", collector.key.public())).unwrap();
    let signature = format!("signatures/collector-{}.sig", collector.key.fingerprint().short());
    let verify = |namespace: &str, signature: &str, file: &str| {
        let allowed = allowed.to_str().unwrap();
        let command =
            ["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "hq", "-n", namespace, "-s", signature];
        run(dir, Some(&dir.join(file)), &command)
    };
    verify("chantal-bundle", &signature, "manifest.json");
    let trust = format!("trust/0001-{}.sig", collector.key.fingerprint().short());
    verify("chantal-trust", &trust, "trust/0001.json");

    let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    assert!(!sums.contains("signatures/"));
    let expected = files(dir).keys().filter(|f| !f.starts_with("signatures/") && *f != "SHA256SUMS").count();
    assert_eq!(sums.lines().count(), expected);
    run(dir, None, &["sha256sum", "--strict", "-c", "SHA256SUMS"]);

    let unpacked = collector.dir.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let mut names = 0;
    run(dir, None, &["zstd", "-tq", "index.zst"]);
    for (number, _) in written.manifest.volumes() {
        let file = number.file_name();
        run(dir, None, &["zstd", "-tq", &file]);
        let Some(listing) = run(dir, None, &["tar", "--zstd", "-tf", &file]) else { return };
        names += listing.lines().count();
        run(dir, None, &["tar", "--zstd", "-xf", &file, "-C", unpacked.to_str().unwrap()]);
    }
    // Large in parts, text, empty, a key, a page.
    assert!(names >= 7, "{names}");
    let hex = digest_of(&large).hex();
    let parts = format!("cat blobs/sha256/{hex}.* | sha256sum");
    if let Some(sum) = run(&unpacked, None, &["sh", "-c", &parts]) {
        assert!(sum.starts_with(&hex), "{sum}");
    }
}

#[test]
fn the_index_is_text() {
    let (collector, _) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let written = collector.export(&["bookworm"], "none");
    let Some(text) = run(&written.path, None, &["zstd", "-dcq", "index.zst"]) else { return };
    let kinds: Vec<&str> = text.lines().map(|l| l.split('\t').next().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "chantal-index",
            "state",
            "=chantal-manifest",
            "+file",
            "evidence",
            "=chantal-evidence",
            "+key",
            "+page",
            "review",
            "signer",
            "file",
            "volume",
            "cell",
            "blob",
            "blob",
            "blob",
            "end"
        ]
    );
    assert_eq!(text.len() as u64, written.manifest.index.open_size);
}
