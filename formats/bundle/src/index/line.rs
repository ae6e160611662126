//! The lines of an index whose fields are separated by TABs, and the order that they keep.

use std::num::NonZeroU32;

use chantal_contract::{
    Digest, Measured, Name,
    limits::{BLOB_PARTS, MEMBER_BYTES, PAYLOAD_BYTES},
};

use super::{
    Member, MemberPart, Totals, VolumeEntry,
    review::{ReviewLine, ReviewOrder},
};
use crate::name::VolumeNumber;

/// A line of an index that is no line of a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IndexLine {
    State { repository: Name, manifest: Digest, base: Option<Digest> },
    Evidence { list: Digest, base: Option<Digest> },
    Review(ReviewLine),
    Record(Measured),
    Volume(VolumeEntry),
    Cell(Digest),
    Member(Member),
    End(Totals),
}

type Why = &'static str;

impl IndexLine {
    pub(super) fn parse(text: &str) -> Result<Self, Why> {
        if let Some((word, rest)) = text.split_once('\t')
            && let Some(line) = ReviewLine::parse(word, rest)
        {
            return line.map(Self::Review);
        }
        let mut fields = text.split('\t');
        let mut field = || fields.next().ok_or("a field is missing");
        let line = match field()? {
            "state" => {
                let repository = field()?.parse().map_err(|_| "the repository's name is none")?;
                Self::State { repository, manifest: digest(field()?)?, base: base(field()?)? }
            }
            "evidence" => Self::Evidence { list: digest(field()?)?, base: base(field()?)? },
            "record" => Self::Record(measured(field()?, field()?)?),
            "volume" => {
                let number = VolumeNumber::new(number(field()?)?)
                    .map_err(|_| "the volume's number is out of range")?;
                let size = self::number(field()?)?;
                Self::Volume(VolumeEntry { number, measured: Measured { sha256: digest(field()?)?, size } })
            }
            "cell" => Self::Cell(digest(field()?)?),
            "blob" => Self::Member(Member { blob: measured(field()?, field()?)?, part: None }),
            "part" => {
                let blob = measured(field()?, field()?)?;
                let (nth, of) = (number(field()?)?, number(field()?)?);
                let part = MemberPart {
                    number: u32::try_from(nth).map_err(|_| "the part's number is out of range")?,
                    of: u32::try_from(of).map_err(|_| "the number of parts is out of range")?,
                    measured: measured(field()?, field()?)?,
                };
                Self::Member(Member { blob, part: Some(part) })
            }
            "end" => {
                let mut count = || number(field()?);
                Self::End(Totals { states: count()?, records: count()?, volumes: count()?, blobs: count()? })
            }
            _ => return Err("it begins with none of the words that lines begin with"),
        };
        if fields.next().is_some() { Err("it has too many fields") } else { Ok(line) }
    }

    pub(super) fn encode(&self) -> String {
        let base = |base: &Option<Digest>| base.map_or_else(|| "-".to_owned(), |b| b.hex());
        match self {
            Self::State { repository, manifest, base: from } => {
                format!("state\t{repository}\t{manifest}\t{}", base(from))
            }
            Self::Evidence { list, base: from } => format!("evidence\t{list}\t{}", base(from)),
            Self::Review(line) => line.encode(),
            Self::Record(record) => format!("record\t{}\t{}", record.sha256, record.size),
            Self::Volume(VolumeEntry { number, measured }) => {
                format!("volume\t{number}\t{}\t{}", measured.size, measured.sha256)
            }
            Self::Cell(cell) => format!("cell\t{cell}"),
            Self::Member(Member { blob, part: None }) => format!("blob\t{}\t{}", blob.sha256, blob.size),
            Self::Member(Member { blob, part: Some(part) }) => format!(
                "part\t{}\t{}\t{}\t{}\t{}\t{}",
                blob.sha256, blob.size, part.number, part.of, part.measured.sha256, part.measured.size
            ),
            Self::End(totals) => {
                format!("end\t{}\t{}\t{}\t{}", totals.states, totals.records, totals.volumes, totals.blobs)
            }
        }
    }
}

fn digest(text: &str) -> Result<Digest, Why> {
    text.parse().map_err(|_| "a digest is not 64 lower-case hexadecimal digits")
}

fn base(text: &str) -> Result<Option<Digest>, Why> {
    if text == "-" { Ok(None) } else { digest(text).map(Some) }
}

pub(super) fn number(text: &str) -> Result<u64, Why> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or("a number is no plain decimal number")
}

pub(super) fn measured(sha256: &str, size: &str) -> Result<Measured, Why> {
    Ok(Measured { sha256: digest(sha256)?, size: number(size)? })
}

/// The grammar of an index: what may follow what. Writer and reader keep the same one.
#[derive(Debug)]
pub(super) struct Order {
    cell: NonZeroU32,
    place: Place,
    totals: Totals,
    review: ReviewOrder,
    last_record: Option<Digest>,
    cells_left: u64,
    last_member: Option<Member>,
    /// Bytes of the blob in parts that were seen so far.
    seen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// A delta was announced and its first line is due.
    First {
        evidence: bool,
    },
    Delta {
        evidence: bool,
    },
    Review,
    Records,
    Volume,
    End,
}

impl Order {
    pub(super) fn new(cell: NonZeroU32) -> Self {
        Self {
            cell,
            place: Place::Start,
            totals: Totals::default(),
            review: ReviewOrder::default(),
            last_record: None,
            cells_left: 0,
            last_member: None,
            seen: 0,
        }
    }

    /// Tells whether the next line belongs to a delta if it begins with a mark.
    pub(super) fn in_delta(&self) -> bool {
        matches!(self.place, Place::First { .. } | Place::Delta { .. })
    }

    /// Tells whether the next line belongs to a review if it begins with a mark.
    pub(super) fn in_review(&self) -> bool {
        self.place == Place::Review
    }

    pub(super) fn ended(&self) -> bool {
        self.place == Place::End
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Takes the first line of what a delta builds.
    pub(super) fn first(&mut self) -> Result<(), Why> {
        let Place::First { evidence } = self.place else {
            return Err("a first line stands where none is due");
        };
        self.place = Place::Delta { evidence };
        Ok(())
    }

    /// Takes a line of a delta, given the one before it.
    pub(super) fn edit(&mut self, last: &str, line: &str) -> Result<(), Why> {
        if !matches!(self.place, Place::Delta { .. }) {
            return Err("a line of a delta stands where none is due");
        }
        if line.is_empty() || last >= line {
            return Err("the lines of a delta do not rise");
        }
        Ok(())
    }

    /// Takes any other line.
    pub(super) fn line(&mut self, line: &IndexLine) -> Result<(), Why> {
        let before_records = matches!(self.place, Place::Start | Place::Review);
        let before_volumes = before_records || self.place == Place::Records;
        match line {
            IndexLine::State { .. } if before_records => {
                self.totals.states += 1;
                self.place = Place::First { evidence: false };
                Ok(())
            }
            IndexLine::Evidence { .. } if self.place == (Place::Delta { evidence: false }) => {
                self.place = Place::First { evidence: true };
                Ok(())
            }
            IndexLine::Review(ReviewLine::Begin { .. }) if matches!(self.place, Place::Delta { .. }) => {
                self.review = ReviewOrder::default();
                self.place = Place::Review;
                Ok(())
            }
            IndexLine::Review(line) if self.place == Place::Review => self.review.take(line),
            IndexLine::Record(record) if before_volumes => {
                if self.last_record.replace(record.sha256).is_some_and(|last| last >= record.sha256) {
                    return Err("the records do not rise");
                }
                self.totals.records += 1;
                self.place = Place::Records;
                Ok(())
            }
            IndexLine::Volume(volume) if before_volumes || self.at_volume_end() => {
                if u64::from(volume.number.get()) != self.totals.volumes + 1 {
                    return Err("the volumes do not count from 1");
                }
                if volume.measured.size == 0 {
                    return Err("a volume is empty");
                }
                self.totals.volumes += 1;
                self.cells_left = volume.measured.size.div_ceil(u64::from(self.cell.get()));
                self.place = Place::Volume;
                Ok(())
            }
            IndexLine::Cell(_) if self.place == Place::Volume && self.cells_left > 0 => {
                self.cells_left -= 1;
                Ok(())
            }
            IndexLine::Member(member) if self.at_volume_end() => self.member(member),
            IndexLine::End(totals) if before_volumes || self.at_volume_end() => {
                if self.part_is_open() {
                    return Err("a blob's last part is missing");
                }
                if *totals != self.totals {
                    return Err("the totals are others than were counted");
                }
                self.place = Place::End;
                Ok(())
            }
            _ => Err("it stands where no such line may"),
        }
    }

    /// In a volume whose cells are all there: members, the next volume or the end may follow.
    fn at_volume_end(&self) -> bool {
        self.place == Place::Volume && self.cells_left == 0
    }

    fn part_is_open(&self) -> bool {
        self.last_member.and_then(|m| m.part).is_some_and(|p| p.number < p.of)
    }

    fn member(&mut self, member: &Member) -> Result<(), Why> {
        let content = member.content();
        if content.size > MEMBER_BYTES {
            return Err("a member is larger than a tar header can say");
        }
        if member.blob.size > PAYLOAD_BYTES {
            return Err("a blob is larger than payloads are");
        }
        let continues = self.part_is_open();
        let last = self.last_member.replace(*member);
        match member.part {
            Some(part) if continues => {
                let follows = last.is_some_and(|l| {
                    l.blob == member.blob
                        && l.part.is_some_and(|p| p.of == part.of && p.number + 1 == part.number)
                });
                if !follows {
                    return Err("a blob's parts do not follow each other");
                }
            }
            None if continues => return Err("a blob's parts do not follow each other"),
            _ => {
                if last.is_some_and(|l| l.blob.sha256 >= member.blob.sha256) {
                    return Err("the blobs do not rise");
                }
                self.totals.blobs += 1;
                self.seen = 0;
            }
        }
        let Some(part) = member.part else { return Ok(()) };
        if !(2..=BLOB_PARTS).contains(&part.of) || part.number > part.of || part.measured.size == 0 {
            return Err("a blob's parts do not count from 1, or are fewer than two");
        }
        if !continues && part.number != 1 {
            return Err("a blob's parts do not count from 1, or are fewer than two");
        }
        self.seen = self.seen.saturating_add(part.measured.size);
        let fits =
            if part.number == part.of { self.seen == member.blob.size } else { self.seen < member.blob.size };
        if fits { Ok(()) } else { Err("a blob's parts do not make up its size") }
    }
}
