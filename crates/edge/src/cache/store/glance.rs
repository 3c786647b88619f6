//! What the index itself knows of an object: whoever goes through the whole store leaves its memory alone.
//!
//! Each object lies somewhere else: to look at a hundred thousand of them is to wait for memory a hundred
//! thousand times. What a purge by tag asks for stands side by side in the index instead.

use std::num::NonZeroU64;

use super::Object;
use crate::cache::tags::Tag;
use crate::exchange::Encoding;

/// Tags that are known one by one.
const FEW: usize = 4;
/// Bits of an id: it counts what is stored and purged, a million a second for eighteen thousand years.
const ID_BITS: u32 = 59;
const STANDING_BITS: u32 = 2;
/// In place of a number of tags: of so many it is only known which the object does not bear.
const MANY: u64 = 7;

/// What an object is to those who count answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It counts.
    Answer,
    /// It counts if it can be found.
    Variant,
    /// Its answer counts.
    Encoding,
}

/// What is known of a tag and an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bears {
    Yes,
    No,
    /// The object must be asked.
    Maybe,
}

/// An object at a glance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glance {
    /// Its id, above that what it is to those who count, above that how many tags it has. Never zero, so
    /// that the index needs no mark beside it.
    packed: NonZeroU64,
    /// Of few tags half of each: one object in four thousand million is taken for one that bears another
    /// tag, and then too much is purged, never too little. Of many, two bits in 128 for each.
    tags: [u32; FEW],
}

impl Glance {
    pub(super) fn of(object: &Object) -> Glance {
        let standing = match object.encoding() {
            Encoding::Identity if object.is_variant() => 2,
            Encoding::Identity => 1,
            _ => 3,
        };
        Glance::new(object.id, standing, object.tags())
    }

    fn new(id: u64, standing: u64, all: impl Iterator<Item = Tag>) -> Glance {
        let (mut tags, mut filter, mut known) = ([0; FEW], [0; FEW], 0);
        for tag in all {
            if let Some(place) = tags.get_mut(known) {
                *place = half(tag);
            }
            for (word, bit) in bits(tag) {
                filter[word] |= bit;
            }
            known += 1;
        }
        let (known, tags) = if known <= FEW { (known as u64, tags) } else { (MANY, filter) };
        let id = id & ((1 << ID_BITS) - 1);
        let packed = id | (standing << ID_BITS) | (known << (ID_BITS + STANDING_BITS));
        Glance { packed: NonZeroU64::new(packed).expect("no standing is 0"), tags }
    }

    pub(super) fn id(&self) -> u64 {
        self.packed.get() & ((1 << ID_BITS) - 1)
    }

    pub(super) fn standing(&self) -> Standing {
        match (self.packed.get() >> ID_BITS) & 3 {
            1 => Standing::Answer,
            2 => Standing::Variant,
            _ => Standing::Encoding,
        }
    }

    pub(super) fn bears(&self, tag: Tag) -> Bears {
        let known = self.packed.get() >> (ID_BITS + STANDING_BITS);
        if known == MANY {
            let may = bits(tag).iter().all(|(word, bit)| self.tags[*word] & bit != 0);
            return if may { Bears::Maybe } else { Bears::No };
        }
        let half = half(tag);
        let is_there = (0..known).zip(self.tags).any(|(_, it)| it == half);
        if is_there { Bears::Yes } else { Bears::No }
    }
}

fn half(tag: Tag) -> u32 {
    u32::from_le_bytes(*tag.to_bytes().first_chunk().expect("a tag has eight bytes"))
}

/// The words and the bits in them that a tag sets in a filter.
fn bits(tag: Tag) -> [(usize, u32); 2] {
    let [first, second, ..] = tag.to_bytes();
    [first, second].map(|byte| (usize::from(byte / 32) % FEW, 1 << (byte % 32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u32) -> Tag {
        Tag::of(format!("tag-{n}").as_bytes())
    }

    #[test]
    fn few_tags_are_known_and_many_are_ruled_out() {
        for (count, most) in [(0, 0), (1, 0), (4, 0), (5, 40), (20, 250), (1_000, 1_000)] {
            let glance = Glance::new(1, 1, (0..count).map(tag));
            let expected = if count <= 4 { Bears::Yes } else { Bears::Maybe };
            assert!((0..count).all(|n| glance.bears(tag(n)) == expected), "of {count}");
            let others = (1_000..2_000).filter(|n| glance.bears(tag(*n)) != Bears::No).count();
            assert!(others <= most, "of {count}: {others} of 1,000 others");
        }
    }

    #[test]
    fn an_id_and_a_standing_come_back() {
        for (word, standing) in
            [(1, Standing::Answer), (2, Standing::Variant), (3, Standing::Encoding)]
        {
            for id in [0, 1, 77, (1 << ID_BITS) - 1] {
                for tags in [0, 3, 9] {
                    let glance = Glance::new(id, word, (0..tags).map(tag));
                    assert_eq!((glance.id(), glance.standing()), (id, standing), "{id} {tags}");
                }
            }
        }
    }
}
