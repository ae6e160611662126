//! The `<package>` element of `primary.xml` for a package file, as `createrepo_c` writes it.
//!
//! What looks odd is its way: requirements on rpm's own features, on what the package provides itself, and on its own
//! files are left out; of the many requirements on `libc.so.6` only the newest is kept; only files that others are likely to
//! require by path are listed (`/etc/`, `…bin/…`, `/usr/lib/sendmail`).

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use chantal_contract::{Measured, RepoPath, Version};

use super::{Header, Rpm, inspect::Identity, tag};
use crate::version::{Parts, compare};

/// Flags of a dependency: how versions compare, in the lowest bits.
const SENSE: u32 = 0xe;
/// Flags of a dependency that must be met before scriptlets run (prerequisite, `pre`, `post`).
const BEFORE: u32 = 1 << 6 | 1 << 9 | 1 << 10;
/// The flag of a file that the package owns and does not bring.
const GHOST: u32 = 1 << 6;
/// The bits of a mode that say what kind of file it is.
const KIND: u16 = 0o170_000;
/// What they are for a directory.
const DIRECTORY: u16 = 0o040_000;

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Dependency {
    name: String,
    flags: u32,
    version: String,
}

/// Writes the element, without a line end behind it.
pub(super) fn write(name: &RepoPath, rpm: &Rpm, identity: &Identity, measured: Measured) -> String {
    let header = &rpm.header;
    let text = |number| escape(&header.text(number).unwrap_or_default(), false);
    let built = header.int32s(tag::BUILD_TIME).next().unwrap_or(0);
    let installed = size(header, tag::SIZE, tag::LONG_SIZE);
    let archive = match size(&rpm.signature, tag::SIG_PAYLOAD_SIZE, tag::SIG_LONG_ARCHIVE_SIZE) {
        0 => size(header, tag::ARCHIVE_SIZE, tag::SIG_LONG_ARCHIVE_SIZE),
        found => found,
    };
    let attribute = |value: &str| escape(value, true);
    let mut out = String::from("<package type=\"rpm\">\n");
    let _ = write!(
        out,
        "  <name>{}</name>\n  <arch>{}</arch>\n  <version epoch=\"{}\" ver=\"{}\" rel=\"{}\"/>\n  \
         <checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>\n  <summary>{}</summary>\n  \
         <description>{}</description>\n  <packager>{}</packager>\n  <url>{}</url>\n  \
         <time file=\"{built}\" build=\"{built}\"/>\n  \
         <size package=\"{}\" installed=\"{installed}\" archive=\"{archive}\"/>\n  <location href=\"{}\"/>\n  <format>\n",
        escape(&identity.name, false),
        escape(&identity.arch, false),
        identity.epoch,
        attribute(&identity.version),
        attribute(&identity.release),
        measured.sha256,
        text(tag::SUMMARY),
        text(tag::DESCRIPTION),
        text(tag::PACKAGER),
        text(tag::URL),
        measured.size,
        attribute(name.as_str()),
    );
    for (element, number) in [
        ("license", tag::LICENSE),
        ("vendor", tag::VENDOR),
        ("group", tag::GROUP),
        ("buildhost", tag::BUILD_HOST),
        ("sourcerpm", tag::SOURCE_RPM),
    ] {
        let _ = writeln!(out, "    <rpm:{element}>{}</rpm:{element}>", text(number));
    }
    let _ = writeln!(out, "    <rpm:header-range start=\"{}\" end=\"{}\"/>", rpm.header_at, rpm.payload_at);
    relations(&mut out, header);
    for file in files(header).iter().filter(|f| is_primary(&f.path)) {
        let kind = file.kind.map(|kind| format!(" type=\"{kind}\"")).unwrap_or_default();
        let _ = writeln!(out, "    <file{kind}>{}</file>", escape(&file.path, false));
    }
    out.push_str("  </format>\n</package>");
    out
}

/// Returns a size of 32 bits or, where it would not fit, of 64.
fn size(header: &Header, short: u32, long: u32) -> u64 {
    header.int64s(long).next().or_else(|| header.int32s(short).next().map(u64::from)).unwrap_or(0)
}

/// Writes what the package provides, requires, and so on, each kind where there is any.
fn relations(out: &mut String, header: &Header) {
    let of = |name, flags, version| dependencies(header, name, flags, version);
    let behind = |name: u32| of(name, name + 2, name + 1);
    let provides = of(tag::PROVIDE_NAME, tag::PROVIDE_FLAGS, tag::PROVIDE_VERSION);
    let requires = requirements(
        of(tag::REQUIRE_NAME, tag::REQUIRE_FLAGS, tag::REQUIRE_VERSION),
        &provides,
        &files(header).into_iter().map(|f| f.path).collect(),
    );
    let conflicts = of(tag::CONFLICT_NAME, tag::CONFLICT_FLAGS, tag::CONFLICT_VERSION);
    let obsoletes = of(tag::OBSOLETE_NAME, tag::OBSOLETE_FLAGS, tag::OBSOLETE_VERSION);
    for (element, list) in [
        ("provides", provides),
        ("requires", requires),
        ("conflicts", conflicts),
        ("obsoletes", obsoletes),
        ("suggests", behind(tag::SUGGEST_NAME)),
        ("enhances", behind(tag::ENHANCE_NAME)),
        ("recommends", behind(tag::RECOMMEND_NAME)),
        ("supplements", behind(tag::SUPPLEMENT_NAME)),
    ] {
        if list.is_empty() {
            continue;
        }
        let _ = writeln!(out, "    <rpm:{element}>");
        for dependency in &list {
            entry(out, dependency, element == "requires");
        }
        let _ = writeln!(out, "    </rpm:{element}>");
    }
}

fn entry(out: &mut String, dependency: &Dependency, required: bool) {
    let _ = write!(out, "      <rpm:entry name=\"{}\"", escape(&dependency.name, true));
    let sense = match dependency.flags & SENSE {
        2 => "LT",
        4 => "GT",
        8 => "EQ",
        10 => "LE",
        12 => "GE",
        _ => "",
    };
    if !sense.is_empty() {
        let _ = write!(out, " flags=\"{sense}\"");
        let Parts { epoch, version, release } = Parts::of(&dependency.version);
        let _ = write!(out, " epoch=\"{epoch}\" ver=\"{}\"", escape(version, true));
        if !release.is_empty() {
            let _ = write!(out, " rel=\"{}\"", escape(release, true));
        }
    }
    if required && dependency.flags & BEFORE != 0 {
        out.push_str(" pre=\"1\"");
    }
    out.push_str("/>\n");
}

/// Reads three parallel tags.
fn dependencies(header: &Header, name: u32, flags: u32, version: u32) -> Vec<Dependency> {
    let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
    let flags = header.int32s(flags).chain(std::iter::repeat(0));
    let versions = header.strings(version).chain(std::iter::repeat(&b""[..]));
    let names = header.strings(name);
    names
        .zip(flags.zip(versions))
        .map(|(n, (flags, v))| Dependency { name: text(n), flags, version: text(v) })
        .collect()
}

/// Leaves out the requirements that `createrepo_c` leaves out.
fn requirements(
    all: Vec<Dependency>,
    provides: &[Dependency],
    own_files: &HashSet<String>,
) -> Vec<Dependency> {
    let sensed = |d: &Dependency| (d.name.clone(), d.flags & SENSE, d.version.clone());
    let provided: HashSet<_> = provides.iter().map(sensed).collect();
    let mut last: HashMap<String, Dependency> = HashMap::new();
    let mut libc: Option<Dependency> = None;
    let mut kept = Vec::new();
    for mut dependency in all {
        dependency.flags &= SENSE | BEFORE;
        let own = dependency.name.starts_with('/')
            && is_primary(&dependency.name)
            && own_files.contains(&dependency.name);
        if own || dependency.name.starts_with("rpmlib(") || provided.contains(&sensed(&dependency)) {
            continue;
        }
        let before = dependency.flags & BEFORE != 0;
        let same = last.get(&dependency.name).is_some_and(|former| {
            sensed(former) == sensed(&dependency) && (former.flags & BEFORE != 0) == before
        });
        if same {
            continue;
        }
        last.insert(dependency.name.clone(), dependency.clone());
        if dependency.name.starts_with("libc.so.6") {
            let newer = libc
                .as_ref()
                .is_none_or(|l| compare(&symbol_version(&l.name), &symbol_version(&dependency.name)).is_lt());
            if newer {
                libc = Some(dependency);
            }
            continue;
        }
        kept.push(dependency);
    }
    kept.extend(libc);
    kept
}

/// Returns `2.17` of `libc.so.6(GLIBC_2.17)(64bit)`.
fn symbol_version(name: &str) -> Version {
    let inside =
        name.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inside, _)| inside);
    Version(inside.rsplit('_').next().unwrap_or_default().into())
}

/// A file of the package.
struct File {
    path: String,
    kind: Option<&'static str>,
}

/// Returns the package's files in the header's order.
fn files(header: &Header) -> Vec<File> {
    let modes = header.int16s(tag::FILE_MODES).chain(std::iter::repeat(0));
    let flags = header.int32s(tag::FILE_FLAGS).chain(std::iter::repeat(0));
    let kinds = modes.zip(flags).map(|(mode, flags)| {
        let ghost = (flags & GHOST != 0).then_some("ghost");
        if mode & KIND == DIRECTORY { Some("dir") } else { ghost }
    });
    paths(header).into_iter().zip(kinds).map(|(path, kind)| File { path, kind }).collect()
}

fn paths(header: &Header) -> Vec<String> {
    let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
    if !header.has(tag::BASE_NAMES) {
        return header.strings(tag::OLD_FILE_NAMES).map(text).collect();
    }
    let directories: Vec<&[u8]> = header.strings(tag::DIR_NAMES).collect();
    let directory = |index: u32| directories.get(index as usize).copied().unwrap_or_default();
    let indexes = header.int32s(tag::DIR_INDEXES);
    header.strings(tag::BASE_NAMES).zip(indexes).map(|(base, at)| text(directory(at)) + &text(base)).collect()
}

/// Tells whether others are likely to require a file by its path.
fn is_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path == "/usr/lib/sendmail" || path.contains("bin/")
}

/// Writes text as XML does; control characters that XML 1.0 cannot hold are left out.
fn escape(text: &str, attribute: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() && c < ' ' => {}
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}
