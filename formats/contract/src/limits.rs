//! Every limit that a parser of upstream input keeps, in one place.
//!
//! A limit is the largest value that is still accepted; tests probe it at n−1, n and n+1.

/// Bytes of a path inside a repository.
pub const PATH_BYTES: usize = 1024;
/// Bytes of one segment of such a path (what ext4, XFS and NTFS can hold).
pub const SEGMENT_BYTES: usize = 255;
/// Bytes of a name of a repository, view, site or snapshot.
pub const NAME_BYTES: usize = 64;
/// Bytes of a trust anchor such as `InRelease`, `repomd.xml` or a project page's list of projects.
pub const ANCHOR_BYTES: u64 = 64 << 20;
/// Bytes of a detached signature, armoured or not.
pub const SIGNATURE_BYTES: u64 = 1 << 20;
/// Bytes of one index as transferred.
pub const INDEX_BYTES: u64 = 2 << 30;
/// Bytes of one index after decompression.
pub const INDEX_OPEN_BYTES: u64 = 8 << 30;
/// Bytes of one payload file (a package, an installer image).
pub const PAYLOAD_BYTES: u64 = 64 << 30;
/// Bytes of one record (a stanza, a `<package>` element, a JSON object) in an index.
pub const RECORD_BYTES: usize = 4 << 20;
/// Bytes of one line of a manifest.
pub const MANIFEST_LINE_BYTES: usize = 64 << 10;
/// Depth of nested XML elements.
pub const XML_DEPTH: usize = 32;
/// Attributes of one XML element.
pub const XML_ATTRIBUTES: usize = 256;
/// Packages of one repository.
pub const PACKAGES: usize = 4_000_000;
/// Files that one `Release` or `repomd.xml` lists.
pub const LISTED_INDEXES: usize = 200_000;
/// Memory that an xz decoder may take, in bytes.
pub const XZ_MEMORY: u64 = 128 << 20;
/// Logarithm of the window that a zstd decoder may take (2^27 bytes: what `zstd -d` allows by default).
pub const ZSTD_WINDOW_LOG: u32 = 27;
/// How many times larger than its input a decoded stream may be, once it has passed [`RATIO_FREE_BYTES`].
pub const RATIO: u64 = 2_000;
/// Decoded bytes below which the ratio is not looked at.
pub const RATIO_FREE_BYTES: u64 = 64 << 20;
/// Files that one project page of PyPI lists.
pub const PROJECT_FILES: usize = 200_000;
/// Projects that one walk over PyPI asks for.
pub const PROJECTS: usize = 100_000;
/// Distinct requirements that one walk over PyPI follows.
pub const REQUIREMENTS: usize = 1_000_000;
/// Bytes of candidates that one walk over PyPI holds while it follows dependencies.
pub const CANDIDATE_BYTES: usize = 512 << 20;
/// Bytes of one HTML tag.
pub const HTML_TAG_BYTES: usize = 64 << 10;
/// Bytes of a wheel's METADATA or an sdist's PKG-INFO.
pub const METADATA_BYTES: u64 = 8 << 20;
/// Bytes of a PEP 740 provenance document.
pub const PROVENANCE_BYTES: u64 = 8 << 20;
/// Bytes of one requirement (PEP 508).
pub const REQUIREMENT_BYTES: usize = 16 << 10;
/// Depth of nested parentheses in a marker.
pub const MARKER_DEPTH: usize = 32;
/// Depth of requirements files that name each other.
pub const REQUIREMENTS_DEPTH: usize = 16;
/// Lines of all requirements files that one names, itself included.
pub const REQUIREMENTS_LINES: usize = 200_000;
/// Members of a wheel or an sdist.
pub const ARCHIVE_MEMBERS: usize = 500_000;
/// Bytes of a wheel's central directory.
pub const ZIP_DIRECTORY_BYTES: u64 = 128 << 20;
/// Decoded bytes of an sdist that are read in search of its PKG-INFO.
pub const SDIST_OPEN_BYTES: u64 = 4 << 30;
/// Python environments of one repository.
pub const ENVIRONMENTS: usize = 64;
/// Fields of one APT `Release` file.
pub const RELEASE_FIELDS: usize = 1_000;
/// Bytes of a package's name, version or architecture in an APT index.
pub const KEY_FIELD_BYTES: usize = 1_024;
/// Bytes of a package's one-line summary; what is longer is cut.
pub const SUMMARY_BYTES: usize = 512;
/// Members of a `.deb`.
pub const DEB_MEMBERS: usize = 64;
/// Bytes of a `.deb`'s control archive after decompression.
pub const CONTROL_OPEN_BYTES: u64 = 64 << 20;
/// Entries of a `.deb`'s control archive.
pub const CONTROL_ENTRIES: usize = 10_000;
