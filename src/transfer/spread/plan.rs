//! Which file goes onto which medium: pure.

use chantal_bundle::Manifest;

/// What a file takes of a medium is a multiple of this, in bytes: the largest cluster that is common on FAT.
const CLUSTER: u64 = 64 << 10;

/// A volume or a parity file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The parity group that it belongs to, and how many shards of a stripe go with it.
    pub member: Option<(usize, u64)>,
}

/// Lists the volumes of a bundle, then its parity files; `parity-0000` protects the index and lies beside it on each medium.
pub(super) fn items(manifest: &Manifest) -> Vec<Item> {
    let groups = manifest.volume_parity();
    let volumes = manifest.volumes().map(|(number, file)| {
        let member = groups.iter().enumerate().find_map(|(group, protection)| {
            Some((group, protection.layout.cost(protection.file_of(number)?)))
        });
        Item { name: number.file_name(), size: file.size.get(), member }
    });
    let parity = groups.iter().enumerate().flat_map(|(group, protection)| {
        protection.layout.recovery_files().iter().enumerate().filter_map(move |(n, shards)| {
            let (name, size) = (protection.parity(n)?.file_name(), protection.layout.parity_bytes(n));
            Some(Item { name, size, member: Some((group, u64::from(*shards))) })
        })
    });
    volumes.chain(parity).collect()
}

/// Returns how many bytes a file takes of a medium.
pub(super) fn taken(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(CLUSTER).unwrap_or(u64::MAX)
}

/// A medium: the bytes that are left on it, and which files lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub room: u64,
    pub held: Vec<usize>,
    /// Whether an earlier run finished it: nothing is added.
    pub there: bool,
}

impl Slot {
    /// An empty medium.
    pub fn new(room: u64) -> Self {
        Self { room, held: Vec::new(), there: false }
    }

    /// One that was finished before.
    pub fn there(held: Vec<usize>) -> Self {
        Self { room: 0, held, there: true }
    }

    /// Counts what of a group goes with this medium, in shards of a stripe.
    pub fn cost(&self, items: &[Item], group: usize) -> u64 {
        let members = self.held.iter().filter_map(|held| items.get(*held)?.member);
        members.filter(|(of, _)| *of == group).map(|(_, cost)| cost).sum()
    }

    fn take(&mut self, at: usize, item: &Item) {
        self.room = self.room.saturating_sub(taken(item.size));
        self.held.push(at);
    }
}

/// Gives every file that lies nowhere yet a medium; names the first that fits on none.
///
/// With parity, each goes where the least of its group lies, so that a lost medium costs every group as little as can be; where that
/// does not fit, and without parity, media are filled one after the other.
pub(super) fn fill(items: &[Item], slots: &[Slot]) -> Result<Vec<Slot>, usize> {
    let level = |slot: &Slot, item: &Item| item.member.map_or(0, |(group, _)| slot.cost(items, group));
    fill_by(items, slots, level).or_else(|_| fill_by(items, slots, |_, _| 0))
}

fn fill_by(items: &[Item], slots: &[Slot], level: impl Fn(&Slot, &Item) -> u64) -> Result<Vec<Slot>, usize> {
    let mut slots = slots.to_vec();
    for (at, item) in items.iter().enumerate() {
        if slots.iter().any(|slot| slot.held.contains(&at)) {
            continue;
        }
        let fits = slots.iter_mut().filter(|slot| slot.room >= taken(item.size));
        fits.min_by_key(|slot| level(slot, item)).ok_or(at)?.take(at, item);
    }
    Ok(slots)
}

/// Finds how few media like `empty` suffice beside those that are there, and fills them.
pub(super) fn fewest(items: &[Item], mut slots: Vec<Slot>, empty: &Slot) -> Result<Vec<Slot>, usize> {
    if slots.is_empty() {
        slots.push(empty.clone());
    }
    loop {
        match fill(items, &slots) {
            // One that is too large for an empty medium stays so.
            Err(at) if items.get(at).is_some_and(|item| taken(item.size) <= empty.room) => {
                slots.push(empty.clone());
            }
            result => return result,
        }
    }
}

/// Tells whether parity makes up for the loss of a medium: of every group it takes no more than the others can recover.
pub(super) fn is_spare(items: &[Item], manifest: &Manifest, slot: &Slot) -> bool {
    let protected = slot.held.iter().all(|held| items.get(*held).is_none_or(|item| item.member.is_some()));
    let mut groups = manifest.volume_parity().into_iter().enumerate();
    protected && groups.all(|(group, p)| slot.cost(items, group) <= p.layout.recovery() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, size: u64, member: Option<(usize, u64)>) -> Item {
        Item { name: name.into(), size, member }
    }

    fn held(slots: &[Slot]) -> Vec<Vec<usize>> {
        slots.iter().map(|slot| slot.held.clone()).collect()
    }

    #[test]
    fn media_are_filled_one_after_the_other_by_whole_clusters() {
        let items: Vec<Item> = (0..5).map(|n| item(&n.to_string(), CLUSTER + 1, None)).collect();
        let slots = fill(&items, &[Slot::new(4 * CLUSTER), Slot::new(7 * CLUSTER)]).unwrap();
        assert_eq!(held(&slots), [vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(slots.iter().map(|s| s.room).collect::<Vec<_>>(), [0, CLUSTER]);
        let short = [Slot::new(4 * CLUSTER - 1), Slot::new(7 * CLUSTER)];
        assert_eq!(fill(&items, &short), Err(4));
        assert_eq!(taken(0), CLUSTER);
        assert_eq!(taken(CLUSTER), CLUSTER);
        assert_eq!(taken(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_smaller_file_uses_what_a_larger_one_left() {
        let items = [item("a", 3 * CLUSTER, None), item("b", 2 * CLUSTER, None), item("c", CLUSTER, None)];
        let slots = fill(&items, &[Slot::new(4 * CLUSTER), Slot::new(2 * CLUSTER)]).unwrap();
        assert_eq!(held(&slots), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn protected_files_go_where_the_least_of_their_group_lies() {
        let protected = |n: usize| item(&n.to_string(), CLUSTER, Some((0, 4)));
        let items: Vec<Item> = (0..6).map(protected).collect();
        let slots = fill(&items, &vec![Slot::new(100 * CLUSTER); 3]).unwrap();
        assert_eq!(held(&slots), [vec![0, 3], vec![1, 4], vec![2, 5]]);
        assert_eq!(slots[0].cost(&items, 0), 8);
        assert_eq!(slots[0].cost(&items, 1), 0);
        // where that wastes too much room, it is not done
        let large = [
            item("s", CLUSTER, Some((0, 1))),
            item("t", CLUSTER, Some((0, 1))),
            item("l", 4 * CLUSTER, Some((0, 9))),
        ];
        let slots = fill(&large, &[Slot::new(2 * CLUSTER), Slot::new(4 * CLUSTER)]).unwrap();
        assert_eq!(held(&slots), [vec![0, 1], vec![2]]);
    }

    #[test]
    fn what_lies_there_stays_and_as_few_media_as_can_be_are_made() {
        let items: Vec<Item> = (0..4).map(|n| item(&n.to_string(), CLUSTER, None)).collect();
        let slots = fill(&items, &[Slot::there(vec![2]), Slot::new(9 * CLUSTER)]).unwrap();
        assert_eq!(held(&slots), [vec![2], vec![0, 1, 3]]);
        let media = |items: &[Item], room: u64| fewest(items, Vec::new(), &Slot::new(room)).map(|s| s.len());
        assert_eq!(media(&items, 4 * CLUSTER), Ok(1));
        assert_eq!(media(&items, 2 * CLUSTER), Ok(2));
        assert_eq!(media(&items, CLUSTER), Ok(4));
        assert_eq!(media(&items, CLUSTER - 1), Err(0));
        assert_eq!(media(&[], CLUSTER), Ok(1), "an empty bundle has its small files");
        let slots = fewest(&items, vec![Slot::there(vec![1, 3])], &Slot::new(CLUSTER)).unwrap();
        assert_eq!(held(&slots), [vec![1, 3], vec![0], vec![2]]);
    }
}
