//! Joins what several copies of one journal still hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chantal_contract::Digest;

use super::{Line, Tail};
use crate::store::StoreError;

/// Follows the chain from its first entry through all `lines`, whichever copy they come from.
///
/// Each line names the one before it by hash, so there is one way only. Two that follow the same line are two histories
/// ([`StoreError::Diverged`]); a line that the chain does not reach means that one between is lost in every copy
/// ([`StoreError::Damaged`]). Nothing that any copy holds is left out.
pub(in crate::store) fn weave(
    lines: impl IntoIterator<Item = Line>,
    path: &Path,
) -> Result<Vec<Line>, StoreError> {
    let mut followers: BTreeMap<Digest, Line> = BTreeMap::new();
    let mut beyond = BTreeSet::new();
    for line in lines {
        beyond.insert(line.entry().number);
        match followers.get(&line.prev()) {
            Some(known) if *known == line => {}
            Some(known) => {
                let common = known.entry().number.saturating_sub(1);
                return Err(StoreError::Diverged { path: path.into(), common });
            }
            None => {
                followers.insert(line.prev(), line);
            }
        }
    }
    let mut chain = Vec::new();
    let mut last = Tail::NONE;
    while let Some(line) = followers.remove(&last.hash) {
        if line.entry().number != last.number + 1 {
            let place = format!("line {}", last.number + 1);
            return Err(StoreError::damaged(path, place, format!("it is numbered {}", line.entry().number)));
        }
        last = line.after(&last);
        chain.push(line);
    }
    match beyond.last() {
        Some(most) if *most > last.number => {
            let place = format!("line {}", last.number + 1);
            Err(StoreError::damaged(path, place, format!("no copy holds it, though there is line {most}")))
        }
        _ => Ok(chain),
    }
}
