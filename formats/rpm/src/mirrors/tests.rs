use chantal_contract::Algorithm;

use super::*;

fn texts(urls: &[Url]) -> Vec<&str> {
    urls.iter().map(Url::as_str).collect()
}

#[test]
fn a_mirror_list_is_lines_of_addresses() {
    let text = "# repo = x arch = y\n\nhttps://a.example.org/os\r\n  http://b.example.org/os/ \nrsync://c.example.org/os\n\
                not an address\nhttps://a.example.org/os/\nfile:///etc\n";
    let urls = parse_mirrorlist(text.as_bytes());
    assert_eq!(texts(&urls), ["https://a.example.org/os/", "http://b.example.org/os/"]);
    assert_eq!(parse_mirrorlist(b"<html>\xff</html>"), []);
    assert_eq!(parse_mirrorlist(b""), []);
}

#[test]
fn the_number_of_mirrors_keeps_its_limit() {
    let list = |n: usize| (0..n).map(|i| format!("https://m{i}.example.org/\n")).collect::<Vec<_>>().concat();
    for n in [MIRRORS - 1, MIRRORS] {
        assert_eq!(parse_mirrorlist(list(n).as_bytes()).len(), n);
    }
    assert_eq!(parse_mirrorlist(list(MIRRORS + 1).as_bytes()).len(), MIRRORS);
}

/// As MirrorManager writes it.
fn metalink() -> String {
    let [a, b] = ["0a", "0b"].map(|x| x.repeat(32));
    let weak = "0c".repeat(20);
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="repomd.xml">
   <mm0:timestamp>1700000000</mm0:timestamp>
   <size>6000</size>
   <verification><hash type="sha1">{weak}</hash><hash type="sha256">{a}</hash><hash type="future">zz</hash></verification>
   <mm0:alternates>
    <mm0:alternate><mm0:timestamp>1</mm0:timestamp><size>5000</size>
     <verification><hash type="sha256">{b}</hash></verification></mm0:alternate>
    <mm0:alternate><size>4000</size><verification><hash type="sha1">{weak}</hash></verification></mm0:alternate>
   </mm0:alternates>
   <resources maxconnections="1">
    <url protocol="http" type="http" location="DE" preference="90">http://slow.example.org/os/repodata/repomd.xml</url>
    <url protocol="rsync" type="rsync" preference="100">rsync://r.example.org/os/repodata/repomd.xml</url>
    <url protocol="https" type="https" location="DE" preference="100">https://fast.example.org/os/repodata/repomd.xml</url>
    <url protocol="https" preference="99">https://odd.example.org/elsewhere.xml</url>
   </resources>
  </file>
 </files>
</metalink>"#
    )
}

#[test]
fn a_metalink_binds_and_orders() {
    let found = parse_metalink(metalink().as_bytes()).unwrap();
    assert_eq!(texts(&found.urls), ["https://fast.example.org/os/", "http://slow.example.org/os/"]);
    let sizes: Vec<_> = found.accepted.iter().map(|e| e.size).collect();
    assert_eq!(sizes, [Some(6000), Some(5000)], "what only SHA-1 binds is not accepted");
    assert_eq!(found.accepted[0].checksums.len(), 2, "every known digest must match");
    assert_eq!(found.accepted[1].checksums[0].algorithm(), Algorithm::Sha256);
}

#[test]
fn a_metalink_without_proof_or_address_is_refused() {
    assert!(parse_metalink(metalink().replace("type=\"sha256\"", "type=\"future\"").as_bytes()).is_err());
    assert!(parse_metalink(metalink().replace("/repodata/repomd.xml<", "/x<").as_bytes()).is_err());
    assert!(parse_metalink(metalink().replace("\"repomd.xml\"", "\"other.xml\"").as_bytes()).is_err());
    assert!(parse_metalink(b"<html></html>").is_err());
    assert!(parse_metalink(b"").is_err());
    assert!(parse_metalink(b"<!DOCTYPE metalink [<!ENTITY x 'y'>]><metalink>&x;</metalink>").is_err());
}
