//! Splits a sequence of OpenPGP packets (RFC 9580 §4), keeping every packet's own bytes.

use pgp::packet::{Packet, PacketHeader};
use pgp::types::Tag;

/// One packet.
pub(super) struct Raw<'a> {
    /// What it says that it is.
    pub tag: Tag,
    /// Header and body as they stand.
    pub bytes: &'a [u8],
    header: PacketHeader,
    body: &'a [u8],
}

impl Raw<'_> {
    /// Reads the packet; `None` where its version or algorithm is unknown, or its body is not of its form.
    pub fn parse(&self) -> Option<Packet> {
        Packet::from_reader(self.header, self.body).ok()
    }
}

/// Iterates over packets; a cut or unbounded one ends the sequence with an error.
pub(super) fn split(bytes: &[u8]) -> impl Iterator<Item = Result<Raw<'_>, &'static str>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = one(rest);
        rest = next.as_ref().map_or(&[], |(_, after)| after);
        Some(next.map(|(raw, _)| raw))
    })
}

fn one(rest: &[u8]) -> Result<(Raw<'_>, &[u8]), &'static str> {
    let mut behind = rest;
    let header =
        PacketHeader::try_from_reader(&mut behind).map_err(|_| "it holds something else than packets")?;
    let length = header.packet_length().maybe_len().ok_or("a packet does not say its length")?;
    let (body, after) = usize::try_from(length)
        .ok()
        .and_then(|length| behind.split_at_checked(length))
        .ok_or("a packet is cut off")?;
    let (bytes, _) = rest.split_at(rest.len() - after.len());
    Ok((Raw { tag: header.tag(), bytes, header, body }, after))
}
