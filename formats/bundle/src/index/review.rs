//! What a state changes, for people: packages, advisories and upstream's keys (specification §7.1).
//!
//! ```text
//! review⇥BASE-PACKAGES⇥PACKAGES
//! signer⇥key|packages|signed⇥FINGERPRINT⇥-|=|+
//! -GROUP⇥KEY⇥SHA256⇥SIZE
//! +GROUP⇥KEY⇥SHA256⇥SIZE
//! =GROUP⇥KEY⇥SHA256⇥SIZE
//! file⇥PATH⇥listed|unread|stray⇥SHA256⇥SIZE⇥-|+
//! advisory⇥ID⇥KIND⇥SEVERITY⇥TITLE⇥REFERENCE REFERENCE…
//! ```

use chantal_contract::{
    Advisory, Digest, Fingerprint, Group, Key, Measured, RepoPath,
    limits::{ADVISORY_FIELD_BYTES, ADVISORY_REFERENCES, SIGNERS, SUMMARY_BYTES},
};

use super::line::{measured, number};

type Why = &'static str;

/// On which side of a change something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Only the base has it.
    Base,
    /// Both have it.
    Both,
    /// Only the new state has it.
    New,
}

impl Side {
    /// Returns the mark that a line begins or ends with.
    pub const fn mark(self) -> char {
        match self {
            Self::Base => '-',
            Self::Both => '=',
            Self::New => '+',
        }
    }

    /// Reads a mark.
    pub fn of_mark(mark: &str) -> Option<Self> {
        match mark {
            "-" => Some(Self::Base),
            "=" => Some(Self::Both),
            "+" => Some(Self::New),
            _ => None,
        }
    }
}

/// What an OpenPGP key of upstream is to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignerKind {
    /// It travels as evidence: a signature of metadata or of packages was verified with it.
    Key,
    /// It is one of those of which every package carries a good signature.
    Packages,
    /// A good signature of it over the metadata was found.
    Signed,
}

impl SignerKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Packages => "packages",
            Self::Signed => "signed",
        }
    }
}

/// A key of upstream, and on which side it is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer {
    /// What it is to the state.
    pub kind: SignerKind,
    /// Which key.
    pub key: Fingerprint,
    /// Where.
    pub side: Side,
}

/// A package as a review names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedPackage {
    /// Within what its versions follow each other.
    pub group: Group,
    /// Its identity.
    pub key: Key,
    /// The digest of its first file; none where upstream did not have it.
    pub sha256: Option<Digest>,
    /// The bytes of all its files.
    pub size: u64,
}

impl ListedPackage {
    /// Writes the line without its mark and LF.
    pub fn encode(&self) -> String {
        let digest = self.sha256.map_or_else(|| "-".to_owned(), |d| d.hex());
        format!("{}\t{}\t{digest}\t{}", self.group.encode(), self.key.encode(), self.size)
    }

    /// Reads a line without its mark and LF; there is one form only.
    pub fn parse(text: &str) -> Result<Self, Why> {
        let mut fields = text.split('\t');
        let mut field = || fields.next().ok_or("a field is missing");
        let group = Group::decode(field()?).ok_or("a package's group is not of its one form")?;
        let key = Key::decode(field()?).ok_or("a package's key is not of its one form")?;
        let sha256 = match field()? {
            "-" => None,
            text => Some(text.parse().map_err(|_| "a digest is not 64 lower-case hexadecimal digits")?),
        };
        let size = number(field()?)?;
        if fields.next().is_some() {
            return Err("it has too many fields");
        }
        if group.name.is_empty() || key.name.is_empty() || sha256.is_none() && size != 0 {
            return Err("a package has no name, or a size without a digest");
        }
        Ok(Self { group, key, sha256, size })
    }
}

/// Returns the part of a package's line that names its group.
pub fn group_of(text: &str) -> &str {
    text.split_once('\t').map_or(text, |(group, _)| group)
}

/// What a file that belongs to no package is to its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// An index lists it.
    Listed,
    /// It tells clients of packages, and another file was read in its place.
    Unread,
    /// Nothing that was read names it.
    Stray,
}

impl FileKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Unread => "unread",
            Self::Stray => "stray",
        }
    }
}

/// A file that belongs to no package, as a review names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path.
    pub path: RepoPath,
    /// What it is.
    pub kind: FileKind,
    /// Its bytes.
    pub measured: Measured,
}

impl ListedFile {
    /// Writes the line without its word, mark and LF.
    pub fn encode(&self) -> String {
        let Self { path, kind, measured } = self;
        format!("{path}\t{}\t{}\t{}", kind.name(), measured.sha256, measured.size)
    }

    /// Reads what [`ListedFile::encode`] wrote; there is one form only.
    pub fn parse(text: &str) -> Result<Self, Why> {
        let fields: Vec<&str> = text.split('\t').take(5).collect();
        let [path, kind, sha256, size] = fields.as_slice() else { return Err("a file has four fields") };
        let kind = match *kind {
            "listed" => FileKind::Listed,
            "unread" => FileKind::Unread,
            "stray" => FileKind::Stray,
            _ => return Err("a file is none of listed, unread, stray"),
        };
        let path = RepoPath::new(path).map_err(|_| "a path is none that a tree may hold")?;
        Ok(Self { path, kind, measured: measured(sha256, size)? })
    }
}

/// One line of what a state changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewLine {
    /// It begins: how many packages there were and are.
    Begin {
        /// In the base; 0 where there is none.
        base: u64,
        /// In the state.
        packages: u64,
    },
    /// A key of upstream.
    Signer(Signer),
    /// A package that only one side has; or the newest that both have, of each architecture, in a group of which one side has others.
    Package(Side, ListedPackage),
    /// A file of no package that only one side has, or has with these bytes.
    File(Side, ListedFile),
    /// An advisory that the base has not.
    Advisory(Advisory),
}

impl ReviewLine {
    /// Writes the line without its LF.
    pub fn encode(&self) -> String {
        match self {
            Self::Begin { base, packages } => format!("review\t{base}\t{packages}"),
            Self::Signer(Signer { kind, key, side }) => {
                format!("signer\t{}\t{key}\t{}", kind.name(), side.mark())
            }
            Self::Package(side, package) => format!("{}{}", side.mark(), package.encode()),
            Self::File(side, file) => format!("file\t{}\t{}", file.encode(), side.mark()),
            Self::Advisory(advisory) => format!("advisory\t{}", encode_advisory(advisory)),
        }
    }

    /// Reads a line of a package, mark and all.
    pub(super) fn parse_package(text: &str) -> Result<Self, Why> {
        let (mark, rest) = text.split_at_checked(1).ok_or("it is empty")?;
        let side = Side::of_mark(mark).ok_or("it has no mark")?;
        Ok(Self::Package(side, ListedPackage::parse(rest)?))
    }

    /// Reads any other line, given its first word and what follows.
    pub(super) fn parse(word: &str, rest: &str) -> Option<Result<Self, Why>> {
        match word {
            "review" => Some(begin(rest)),
            "signer" => Some(signer(rest)),
            "file" => Some(file(rest)),
            "advisory" => Some(parse_advisory(rest).map(Self::Advisory)),
            _ => None,
        }
    }
}

fn begin(rest: &str) -> Result<ReviewLine, Why> {
    let (base, packages) = rest.split_once('\t').ok_or("a field is missing")?;
    Ok(ReviewLine::Begin { base: number(base)?, packages: number(packages)? })
}

fn signer(rest: &str) -> Result<ReviewLine, Why> {
    let fields: Vec<&str> = rest.split('\t').take(4).collect();
    let [kind, key, mark] = fields.as_slice() else { return Err("a signer has three fields") };
    let kind = match *kind {
        "key" => SignerKind::Key,
        "packages" => SignerKind::Packages,
        "signed" => SignerKind::Signed,
        _ => return Err("a signer is none of key, packages, signed"),
    };
    let hex = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
    if key.is_empty() || key.len() > 64 || !key.bytes().all(hex) {
        return Err("a fingerprint is no upper-case hexadecimal number");
    }
    let side = Side::of_mark(mark).ok_or("a signer's mark is none of -, =, +")?;
    Ok(ReviewLine::Signer(Signer { kind, key: Fingerprint((*key).to_owned()), side }))
}

fn file(rest: &str) -> Result<ReviewLine, Why> {
    let (file, mark) = rest.rsplit_once('\t').ok_or("a field is missing")?;
    let side = Side::of_mark(mark).filter(|side| *side != Side::Both);
    Ok(ReviewLine::File(side.ok_or("a file's mark is none of -, +")?, ListedFile::parse(file)?))
}

/// Writes an advisory's fields, separated by TABs.
pub fn encode_advisory(advisory: &Advisory) -> String {
    let Advisory { id, kind, severity, title, references } = advisory;
    format!("{id}\t{kind}\t{severity}\t{title}\t{}", references.join(" "))
}

/// Reads an advisory's fields; there is one form only.
pub fn parse_advisory(text: &str) -> Result<Advisory, Why> {
    let fields: Vec<&str> = text.split('\t').take(6).collect();
    let [id, kind, severity, title, references] = fields.as_slice() else {
        return Err("an advisory has five fields");
    };
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("an advisory holds a control character");
    }
    if id.is_empty() || [id, kind, severity].iter().any(|f| f.len() > ADVISORY_FIELD_BYTES) {
        return Err("an advisory has no name, or one that is too long");
    }
    if title.len() > SUMMARY_BYTES {
        return Err("an advisory's title is too long");
    }
    let references: Vec<String> = match *references {
        "" => Vec::new(),
        some => some.split(' ').map(str::to_owned).collect(),
    };
    if references.len() > ADVISORY_REFERENCES
        || references.iter().any(|r| r.is_empty() || r.len() > ADVISORY_FIELD_BYTES)
        || !references.is_sorted_by(|a, b| a < b)
    {
        return Err("an advisory's references do not rise, or are too many");
    }
    Ok(Advisory {
        id: (*id).into(),
        kind: (*kind).into(),
        severity: (*severity).into(),
        title: (*title).into(),
        references,
    })
}

/// The order that the lines of one state's review keep.
#[derive(Debug, Default)]
pub(super) struct ReviewOrder {
    stage: Stage,
    signers: usize,
    last_signer: Option<(SignerKind, Fingerprint)>,
    group: String,
    last: String,
    /// The last package of the group that both sides have.
    kept: String,
    last_file: String,
    last_advisory: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Signers,
    Packages,
    Files,
    Advisories,
}

impl ReviewOrder {
    /// Takes the next line after the first.
    pub(super) fn take(&mut self, line: &ReviewLine) -> Result<(), Why> {
        let stage = match line {
            ReviewLine::Begin { .. } => return Err("a review begins within another"),
            ReviewLine::Signer(_) => Stage::Signers,
            ReviewLine::Package(..) => Stage::Packages,
            ReviewLine::File(..) => Stage::Files,
            ReviewLine::Advisory(_) => Stage::Advisories,
        };
        if stage < self.stage {
            return Err("signers, packages, files and advisories do not stand in this order");
        }
        self.stage = stage;
        match line {
            ReviewLine::Begin { .. } => Ok(()),
            ReviewLine::Signer(signer) => {
                let this = (signer.kind, signer.key.clone());
                if self.last_signer.as_ref().is_some_and(|last| *last >= this) {
                    return Err("the signers do not rise");
                }
                self.last_signer = Some(this);
                self.signers += 1;
                if self.signers > SIGNERS { Err("a state has too many signers") } else { Ok(()) }
            }
            ReviewLine::Package(side, package) => self.package(*side, &package.encode()),
            ReviewLine::File(_, file) => {
                // no file is on both sides with the same bytes
                let this = file.encode();
                if self.last_file >= this {
                    return Err("the files do not rise");
                }
                self.last_file = this;
                Ok(())
            }
            ReviewLine::Advisory(advisory) => {
                let this = encode_advisory(advisory);
                if self.last_advisory >= this {
                    return Err("the advisories do not rise");
                }
                self.last_advisory = this;
                Ok(())
            }
        }
    }

    fn package(&mut self, side: Side, text: &str) -> Result<(), Why> {
        let group = group_of(text);
        let begins = self.group != group;
        if begins && self.group.as_str() > group {
            return Err("the groups of packages do not rise");
        }
        match side {
            Side::Both if begins => return Err("a package that both sides have stands alone in its group"),
            Side::Both => {
                if self.kept.as_str() >= text {
                    return Err("the packages that both sides have do not rise");
                }
                text.clone_into(&mut self.kept);
                return Ok(());
            }
            Side::Base | Side::New => {}
        }
        if begins {
            self.kept.clear();
            group.clone_into(&mut self.group);
        } else if !self.kept.is_empty() {
            return Err("a line follows the package that both sides have");
        } else if self.last.as_str() >= text {
            return Err("the packages do not rise");
        }
        text.clone_into(&mut self.last);
        Ok(())
    }
}
