//! Numbers of header tags, as `rpmtag.h` names them. Two numbers mean other things in the signature header.

/// The region of a signature header (`RPMTAG_HEADERSIGNATURES`).
pub const REGION_SIGNATURES: u32 = 62;
/// The region of a main header (`RPMTAG_HEADERIMMUTABLE`).
pub const REGION_IMMUTABLE: u32 = 63;

/// Signature header: a DSA or EdDSA signature over the main header (`RPMSIGTAG_DSA`).
pub const SIG_DSA: u32 = 267;
/// Signature header: an RSA signature over the main header (`RPMSIGTAG_RSA`).
pub const SIG_RSA: u32 = 268;
/// Signature header: the size of the payload decompressed, 64 bits (`RPMSIGTAG_LONGARCHIVESIZE`).
pub const SIG_LONG_ARCHIVE_SIZE: u32 = 271;
/// Signature header: signatures over the main header in base64, one a string (`RPMSIGTAG_OPENPGP`, rpm 6).
pub const SIG_OPENPGP: u32 = 278;
/// Signature header: an RSA signature over main header and payload (`RPMSIGTAG_PGP`).
pub const SIG_PGP: u32 = 1002;
/// Signature header: a DSA signature over main header and payload (`RPMSIGTAG_GPG`).
pub const SIG_GPG: u32 = 1005;
/// Signature header: the size of the payload decompressed (`RPMSIGTAG_PAYLOADSIZE`).
pub const SIG_PAYLOAD_SIZE: u32 = 1007;

/// The name.
pub const NAME: u32 = 1000;
/// The version.
pub const VERSION: u32 = 1001;
/// The release.
pub const RELEASE: u32 = 1002;
/// The epoch.
pub const EPOCH: u32 = 1003;
/// One line for people.
pub const SUMMARY: u32 = 1004;
/// More for people.
pub const DESCRIPTION: u32 = 1005;
/// When it was built, in seconds since 1970.
pub const BUILD_TIME: u32 = 1006;
/// Where it was built.
pub const BUILD_HOST: u32 = 1007;
/// Bytes once installed.
pub const SIZE: u32 = 1009;
/// Who distributes it.
pub const VENDOR: u32 = 1011;
/// Its licence.
pub const LICENSE: u32 = 1014;
/// Who packaged it.
pub const PACKAGER: u32 = 1015;
/// What it belongs to.
pub const GROUP: u32 = 1016;
/// Where it comes from.
pub const URL: u32 = 1020;
/// The architecture.
pub const ARCH: u32 = 1022;
/// Paths of its files, in the days before they were split.
pub const OLD_FILE_NAMES: u32 = 1027;
/// Modes of its files.
pub const FILE_MODES: u32 = 1030;
/// Flags of its files.
pub const FILE_FLAGS: u32 = 1037;
/// The source package it was built from; none makes it a source package itself.
pub const SOURCE_RPM: u32 = 1044;
/// The size of the payload decompressed.
pub const ARCHIVE_SIZE: u32 = 1046;
/// What it provides.
pub const PROVIDE_NAME: u32 = 1047;
/// Flags of what it requires.
pub const REQUIRE_FLAGS: u32 = 1048;
/// What it requires.
pub const REQUIRE_NAME: u32 = 1049;
/// Versions of what it requires.
pub const REQUIRE_VERSION: u32 = 1050;
/// Sources that may not be distributed.
pub const NO_SOURCE: u32 = 1051;
/// Patches that may not be distributed.
pub const NO_PATCH: u32 = 1052;
/// Flags of what it conflicts with.
pub const CONFLICT_FLAGS: u32 = 1053;
/// What it conflicts with.
pub const CONFLICT_NAME: u32 = 1054;
/// Versions of what it conflicts with.
pub const CONFLICT_VERSION: u32 = 1055;
/// What it obsoletes.
pub const OBSOLETE_NAME: u32 = 1090;
/// Flags of what it provides.
pub const PROVIDE_FLAGS: u32 = 1112;
/// Versions of what it provides.
pub const PROVIDE_VERSION: u32 = 1113;
/// Flags of what it obsoletes.
pub const OBSOLETE_FLAGS: u32 = 1114;
/// Versions of what it obsoletes.
pub const OBSOLETE_VERSION: u32 = 1115;
/// For each file, which directory it is in.
pub const DIR_INDEXES: u32 = 1116;
/// Names of its files.
pub const BASE_NAMES: u32 = 1117;
/// Directories of its files.
pub const DIR_NAMES: u32 = 1118;
/// Bytes once installed, 64 bits.
pub const LONG_SIZE: u32 = 5009;
/// What it recommends; version and flags follow.
pub const RECOMMEND_NAME: u32 = 5046;
/// What it suggests; version and flags follow.
pub const SUGGEST_NAME: u32 = 5049;
/// What it supplements; version and flags follow.
pub const SUPPLEMENT_NAME: u32 = 5052;
/// What it enhances; version and flags follow.
pub const ENHANCE_NAME: u32 = 5055;
/// The digest of the payload as it stands in the file, in hexadecimal digits.
pub const PAYLOAD_DIGEST: u32 = 5092;
/// The hash function of that digest, as RFC 9580 §9.5 numbers them.
pub const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
