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
pub const PROJECT_FILES: usize = 100_000;
/// Projects that one walk over PyPI asks for.
pub const PROJECTS: usize = 100_000;
/// Distinct requirements that one walk over PyPI follows.
pub const REQUIREMENTS: usize = 1_000_000;
/// Bytes of candidates that one walk over PyPI holds while it follows dependencies.
pub const CANDIDATE_BYTES: usize = 512 << 20;
/// Candidates and dependencies that one walk over PyPI judges, each counted for each requirement that it is judged for.
pub const JUDGEMENTS: u64 = 1 << 30;
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
pub const ARCHIVE_MEMBERS: usize = 200_000;
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
/// Bytes of an advisory's name, kind or severity.
pub const ADVISORY_FIELD_BYTES: usize = 256;
/// Vulnerabilities that one advisory names; further ones are not looked at.
pub const ADVISORY_REFERENCES: usize = 1_024;
/// Advisories of one repository.
pub const ADVISORIES: usize = 1_000_000;

/// Bytes of `<collector>.<site>`, so that a bundle's name fits the 64 characters of Joliet.
pub const STREAM_BYTES: usize = 49;
/// The highest epoch of a stream.
pub const EPOCH: u32 = 9_999;
/// The highest sequence of an epoch.
pub const SEQUENCE: u64 = 99_999_999;
/// Bytes of one trust document.
pub const TRUST_BYTES: usize = 256 << 10;
/// Keys, and revocations, of one trust document.
pub const TRUST_KEYS: usize = 256;
/// The highest version of a trust document.
pub const TRUST_VERSION: u32 = 9_999;
/// Signatures that are looked at over one document.
pub const SIGNATURES: usize = 64;
/// Bytes of one SSHSIG signature in its armour.
pub const SSHSIG_BYTES: usize = 4 << 10;
/// Bytes of a receipt without its signature.
pub const RECEIPT_BYTES: usize = 32 << 20;
/// Snapshots that one receipt lists.
pub const RECEIPT_STATES: usize = 20_480;
/// Bundles of which one receipt says what is missing.
pub const RECEIPT_MISSING: usize = 64;
/// Missing blobs that one receipt lists.
pub const RECEIPT_BLOBS: usize = 65_536;
/// Bytes of a bundle's `manifest.json`.
pub const BUNDLE_MANIFEST_BYTES: usize = 16 << 20;
/// Bytes of an origin proof: a manifest and a trust chain, with what JSON adds to a text inside a text.
pub const PROOF_BYTES: usize = 40 << 20;
/// Origin proofs of one bundle.
pub const ORIGINS: usize = 4_096;
/// Features that a bundle's manifest may require.
pub const BUNDLE_FEATURES: usize = 32;
/// Snapshots that one bundle carries.
pub const BUNDLE_STATES: usize = 4_096;
/// Snapshots that one bundle presumes beside its bases.
pub const BUNDLE_PRESUMED: usize = 16_384;
/// Names that one carried snapshot has.
pub const STATE_NAMES: usize = 1_024;
/// Volumes of one bundle.
pub const VOLUMES: u32 = 9_999;
/// Bytes of one volume.
pub const VOLUME_BYTES: u64 = 1 << 40;
/// The smallest volume that may be asked for, in bytes.
pub const VOLUME_BYTES_LEAST: u64 = 4 << 20;
/// Bytes of one member of a volume: what the eleven octal digits of a ustar header can say.
pub const MEMBER_BYTES: u64 = (8 << 30) - 1;
/// Parts that one blob is split into.
pub const BLOB_PARTS: u32 = 9_999;
/// Bytes of a bundle's `index.zst`.
pub const BUNDLE_INDEX_BYTES: u64 = 16 << 30;
/// Bytes of a bundle's index after decompression.
pub const BUNDLE_INDEX_OPEN_BYTES: u64 = 256 << 30;
/// Lines that name a key of upstream in the review of one state.
pub const SIGNERS: usize = 512;
/// Bytes of one group of packages in the review of one state: those of each package's key, and [`GROUP_PACKAGE_BYTES`] for it.
pub const GROUP_BYTES: usize = 64 << 20;
/// Bytes that a package of a group counts beside those of its key.
pub const GROUP_PACKAGE_BYTES: usize = 256;
/// Bytes of a bundle's `review.json`.
pub const REVIEW_JSON_BYTES: u64 = 256 << 20;
/// Bytes of a bundle's `REVIEW.html`.
pub const REVIEW_HTML_BYTES: u64 = 64 << 20;
/// The smallest cell, in bytes.
pub const CELL_BYTES_LEAST: u32 = 256 << 10;
/// The largest cell, in bytes.
pub const CELL_BYTES: u32 = 1 << 20;
/// Shards of one parity stripe, its recovery shards rounded up to a power of two.
pub const PARITY_SHARDS: u32 = 1_020;
/// Files that one parity group protects.
pub const PARITY_COVERS: usize = 100;
/// The highest number of a parity file.
pub const PARITY_FILES: u32 = 9_999;
/// Content bytes of one zstd frame in a volume.
pub const FRAME_BYTES: u64 = 8 << 20;
/// Bytes of a file of OpenPGP public keys.
pub const KEYRING_BYTES: u64 = 16 << 20;
/// OpenPGP signature packets that are looked at over one text.
pub const OPENPGP_SIGNATURES: usize = 32;
/// Entries of an RPM header's index (rpm's own `HEADER_TAGS_MAX`).
pub const RPM_HEADER_TAGS: u32 = 65_535;
/// Bytes of an RPM header's data; rpm allows 256 MiB, the largest that are known have some 20.
pub const RPM_HEADER_BYTES: u32 = 64 << 20;
/// Bytes of a `.treeinfo` and of the small files beside it.
pub const TREEINFO_BYTES: u64 = 4 << 20;
/// Mirrors that one mirror list or metalink names; further ones are not looked at.
pub const MIRRORS: usize = 1_000;
