//! Chooses what is named where not all can be: in turns, so that much of one kind hides nothing of another (specification §9.1).

use std::collections::BTreeMap;

use super::{Change, Review, Unusual, What};

/// Whether something asks for a decision, or is only to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It asks for a decision: it comes before everything that does not.
    Grave,
    /// It is to be known.
    Light,
}

/// What things have in common that take no turns among themselves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lot<P> {
    /// How much they matter.
    pub weight: Weight,
    /// Their kind's place in a turn.
    pub rank: usize,
    /// Where they are found: the place of that in a turn.
    pub place: P,
}

/// The things of one lot.
struct Pile<T> {
    /// Those that are kept, each with its text's bytes, in the order in which they came.
    kept: Vec<(usize, T)>,
    /// How many of them the present choice takes.
    taken: usize,
    omitted: u64,
}

impl<T> Default for Pile<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), taken: 0, omitted: 0 }
    }
}

/// Keeps of many things as many as there is room for.
///
/// The first thing of every lot comes before the second of any, grave ones before all others. What is kept ends before the first thing
/// that finds no room, in number or in bytes of text. Memory is bounded by the room, and not by what is put in.
pub struct Turns<P, T> {
    things: usize,
    text: usize,
    piles: BTreeMap<Lot<P>, Pile<T>>,
    kept: usize,
    kept_text: usize,
}

impl<P: Ord, T> Turns<P, T> {
    /// Has room for so many things, and so many bytes of their text.
    pub fn new(things: usize, text: usize) -> Self {
        Self { things, text, piles: BTreeMap::new(), kept: 0, kept_text: 0 }
    }

    /// Takes the next thing of a lot, whose text has so many bytes.
    pub fn push(&mut self, lot: Lot<P>, text: usize, thing: T) {
        let pile = self.piles.entry(lot).or_default();
        if pile.omitted > 0 {
            // one before it found no room already
            pile.omitted += 1;
            return;
        }
        pile.kept.push((text, thing));
        self.kept += 1;
        self.kept_text = self.kept_text.saturating_add(text);
        let over = |kept: usize, room: usize| kept > room.saturating_add(room / 4);
        if over(self.kept, self.things) || over(self.kept_text, self.text) {
            self.cut();
        }
    }

    /// Returns of each lot what is kept, in the order in which it came, and how many more there were.
    pub fn finish(mut self) -> impl Iterator<Item = (Lot<P>, Vec<T>, u64)> {
        self.cut();
        self.piles
            .into_iter()
            .map(|(lot, pile)| (lot, pile.kept.into_iter().map(|(_, thing)| thing).collect(), pile.omitted))
    }

    /// Gives up what has no room.
    fn cut(&mut self) {
        self.choose();
        (self.kept, self.kept_text) = (0, 0);
        for pile in self.piles.values_mut() {
            pile.omitted += pile.kept.len().saturating_sub(pile.taken) as u64;
            pile.kept.truncate(pile.taken);
            self.kept += pile.kept.len();
            self.kept_text += pile.kept.iter().map(|(text, _)| text).sum::<usize>();
        }
    }

    /// Lets the lots take turns until there is no room.
    fn choose(&mut self) {
        self.piles.values_mut().for_each(|pile| pile.taken = 0);
        let (mut things, mut text) = (self.things, self.text);
        for weight in [Weight::Grave, Weight::Light] {
            let of_weight = self.piles.iter_mut().filter(|(lot, _)| lot.weight == weight);
            let mut active: Vec<&mut Pile<T>> = of_weight.map(|(_, pile)| pile).collect();
            while !active.is_empty() {
                active.retain(|pile| pile.taken < pile.kept.len());
                for pile in &mut active {
                    let wanted = pile.kept.get(pile.taken).map_or(0, |(text, _)| *text);
                    let (Some(fewer), Some(less)) = (things.checked_sub(1), text.checked_sub(wanted)) else {
                        return;
                    };
                    (things, text) = (fewer, less);
                    pile.taken += 1;
                }
            }
        }
    }
}

impl Change {
    /// Returns among what it takes its turn where not all changes can be named; `state` is the number of its state.
    pub fn lot(&self, state: usize) -> Lot<usize> {
        let weight = match self.change {
            What::Downgraded | What::Replaced => Weight::Grave,
            What::Removed | What::Upgraded | What::Added => Weight::Light,
        };
        let rank = What::ALL.iter().position(|what| *what == self.change).unwrap_or(What::ALL.len());
        Lot { weight, rank, place: state }
    }
}

impl Unusual {
    /// Returns among what it takes its turn where not all unusual things can be named.
    pub fn lot(&self) -> Lot<&str> {
        let (rank, place) = match self {
            Self::SignatureGone { repository } => (0, repository),
            Self::KeyChanged { repository, .. } => (1, repository),
            Self::Downgrade { repository, .. } => (2, repository),
            Self::Replaced { repository, .. } => (3, repository),
            Self::FileReplaced { repository, .. } => (4, repository),
            Self::StrayFile { repository, .. } => (5, repository),
            Self::OddName { repository, .. } => (6, repository),
            Self::UnreadFile { repository, .. } => (7, repository),
            Self::Moved { to, .. } => (8, to),
            Self::NewRepository { repository } => (9, repository),
            Self::OnlyIn { repository, .. } => (10, repository),
            Self::Incomparable { repository } => (11, repository),
            Self::Unsigned { repository } => (12, repository),
            Self::DigestsOnly { repository } => (13, repository),
        };
        Lot { weight: if self.is_grave() { Weight::Grave } else { Weight::Light }, rank, place }
    }
}

impl Review {
    /// Returns what stands for all that is unusual where only so many things can be shown, in the order of the review.
    pub fn foremost(&self, count: usize) -> Vec<&Unusual> {
        let mut turns = Turns::new(count, usize::MAX);
        for unusual in &self.unusual {
            turns.push(unusual.lot(), 0, unusual);
        }
        turns.finish().flat_map(|(_, things, _)| things).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(weight: Weight, rank: usize, place: &'static str) -> Lot<&'static str> {
        Lot { weight, rank, place }
    }

    /// Says what is kept of so many things of each lot, in the order in which they are put in.
    fn kept(room: (usize, usize), lots: &[(Lot<&'static str>, u64)]) -> Vec<(usize, u64)> {
        let mut turns = Turns::new(room.0, room.1);
        for (lot, count) in lots {
            (0..*count).for_each(|n| turns.push(lot.clone(), 10, n));
        }
        let mut found: BTreeMap<_, _> = BTreeMap::new();
        for (lot, things, omitted) in turns.finish() {
            assert!(things.iter().copied().eq(0..things.len() as u64), "the first ones stay, in order");
            found.insert(lot, (things.len(), omitted));
        }
        lots.iter().map(|(lot, _)| found[lot]).collect()
    }

    #[test]
    fn much_of_one_kind_hides_nothing_of_another() {
        use Weight::{Grave, Light};
        let (mass, rare, other) = (lot(Grave, 1, "a"), lot(Grave, 0, "z"), lot(Grave, 1, "z"));
        let note = lot(Light, 2, "a");
        // whatever comes first
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let all = [(mass.clone(), 1_000_000), (rare.clone(), 3), (other.clone(), 2), (note.clone(), 50)];
            let lots: Vec<_> = order.iter().map(|n: &usize| all[*n].clone()).collect();
            let found = kept((100, usize::MAX), &lots);
            let of = |lot: &Lot<_>| found[lots.iter().position(|(l, _)| l == lot).unwrap()];
            assert_eq!(of(&rare), (3, 0));
            assert_eq!(of(&other), (2, 0));
            assert_eq!(of(&mass), (95, 999_905));
            assert_eq!(of(&note), (0, 50), "what is to be known comes after all that asks for a decision");
        }
        // two that are many share
        assert_eq!(kept((101, 10_000), &[(mass.clone(), 500), (rare.clone(), 500)]), [(50, 450), (51, 449)]);
        // room of n things takes n, and not one more
        for (count, expected) in [(99, (99, 0)), (100, (100, 0)), (101, (100, 1))] {
            assert_eq!(kept((100, usize::MAX), &[(mass.clone(), count)]), [expected]);
            assert_eq!(kept((usize::MAX, 1000), &[(mass.clone(), count)]), [expected], "by text");
        }
    }

    #[test]
    fn memory_is_bounded_by_the_room() {
        let mut turns = Turns::new(1000, usize::MAX);
        for n in 0..100_000_usize {
            turns.push(lot(Weight::Grave, n % 7, "a"), 1, n);
            assert!(turns.kept <= 1250);
        }
    }
}
