//! Things at numbered places, as many as there are things: the memory of those that are gone goes back while others
//! stay. They are made where they lie, and stay there when a place is given up, so that nothing large is moved.
#![forbid(unsafe_code)]

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// A place. It stays where it is until it is vacated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(NonZeroU32);

impl Ticket {
    /// Where there is but one place.
    pub(crate) const ONLY: Ticket = Ticket(NonZeroU32::MIN);

    /// Counted from 1 on. What lies at more places than a `u32` counts takes more memory than there is.
    #[inline]
    fn new(block: usize, place: usize) -> Self {
        let number = NonZeroU32::new((block * BLOCK + place) as u32 + 1);
        Ticket(number.unwrap_or(NonZeroU32::MAX))
    }

    #[inline]
    fn block(self) -> usize {
        (self.0.get() - 1) as usize / BLOCK
    }

    #[inline]
    fn place(self) -> usize {
        (self.0.get() - 1) as usize % BLOCK
    }
}

/// See the module. The places lie in blocks of [`BLOCK`], so that nothing moves when there are more; a block that has
/// become empty is freed, but for one, so that who comes and goes at the edge of a block allocates nothing.
pub(crate) struct Places<T> {
    blocks: Vec<Block<T>>,
    /// No block before this one has a vacant place.
    vacant_from: usize,
    spare: Option<Things<T>>,
}

struct Block<T> {
    /// A bit for each place.
    occupied: u64,
    /// `None` while none is.
    things: Option<Things<T>>,
}

/// As many as [`BLOCK`].
type Things<T> = Box<[T]>;

/// As many as a word has bits.
const BLOCK: usize = u64::BITS as usize;

impl<T: Default> Places<T> {
    pub(crate) fn new() -> Self {
        Places {
            blocks: Vec::new(),
            vacant_from: 0,
            spare: None,
        }
    }

    /// Takes a place that is vacant. What lies there is a default, or what lay there when it was vacated.
    #[inline]
    pub(crate) fn occupy(&mut self) -> (Ticket, &mut T) {
        let mut blocks = self.blocks[self.vacant_from..].iter();
        self.vacant_from += match blocks.position(|block| block.occupied != u64::MAX) {
            Some(further) => further,
            None => {
                let further = self.blocks.len() - self.vacant_from;
                self.blocks.push(Block {
                    occupied: 0,
                    things: None,
                });
                further
            }
        };
        let block = &mut self.blocks[self.vacant_from];
        let place = block.occupied.trailing_ones() as usize;
        let things = block.things.get_or_insert_with(|| {
            let spare = self.spare.take();
            spare.unwrap_or_else(|| (0..BLOCK).map(|_| T::default()).collect())
        });
        block.occupied |= 1 << place;
        (Ticket::new(self.vacant_from, place), &mut things[place])
    }

    /// What lies at the place, if there is something.
    #[inline]
    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let block = self.blocks.get_mut(ticket.block())?;
        let place = ticket.place();
        let occupied = block.occupied & (1 << place) != 0;
        block
            .things
            .as_mut()
            .filter(|_| occupied)
            .map(|things| &mut things[place])
    }

    /// The place is vacant. What lies there stays until the place is occupied again.
    pub(crate) fn vacate(&mut self, ticket: Ticket) {
        let number = ticket.block();
        let Some(block) = self.blocks.get_mut(number) else {
            return;
        };
        block.occupied &= !(1 << ticket.place());
        self.vacant_from = self.vacant_from.min(number);
        if block.occupied == 0 {
            self.spare = block.things.take().or_else(|| self.spare.take());
            let used = self.blocks.iter().rposition(|block| block.occupied != 0);
            self.blocks.truncate(used.map_or(0, |last| last + 1));
            self.vacant_from = self.vacant_from.min(self.blocks.len());
            if self.blocks.capacity() > 4 * self.blocks.len() + 4 {
                self.blocks.shrink_to(2 * self.blocks.len());
            }
        }
    }
}

/// The caller has occupied the place, and not vacated it.
impl<T> Index<Ticket> for Places<T> {
    type Output = T;

    #[inline]
    fn index(&self, ticket: Ticket) -> &T {
        let things = self.blocks[ticket.block()].things.as_ref();
        let things = things.unwrap_or_else(|| unreachable!("a place that was given up"));
        &things[ticket.place()]
    }
}

impl<T> IndexMut<Ticket> for Places<T> {
    #[inline]
    fn index_mut(&mut self, ticket: Ticket) -> &mut T {
        let things = self.blocks[ticket.block()].things.as_mut();
        let things = things.unwrap_or_else(|| unreachable!("a place that was given up"));
        &mut things[ticket.place()]
    }
}

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use super::*;

    fn put(places: &mut Places<usize>, thing: usize) -> Ticket {
        let (ticket, place) = places.occupy();
        *place = thing;
        ticket
    }

    fn blocks_in_memory(places: &Places<usize>) -> usize {
        let used = places.blocks.iter().filter(|block| block.things.is_some());
        used.count() + usize::from(places.spare.is_some())
    }

    #[test]
    fn a_place_keeps_what_lies_there_until_it_is_taken_and_is_used_again() {
        let mut places = Places::new();
        let tickets: Vec<_> = (0..1000).map(|thing| put(&mut places, thing)).collect();
        for &ticket in tickets.iter().skip(1).step_by(3) {
            assert!(places.get_mut(ticket).is_some());
            places.vacate(ticket);
            assert!(places.get_mut(ticket).is_none());
        }
        let again = put(&mut places, 5000);
        assert_eq!(again, tickets[1], "the lowest that is vacant");
        for (number, &ticket) in tickets.iter().enumerate() {
            match number % 3 {
                1 if number > 1 => assert!(places.get_mut(ticket).is_none()),
                1 => assert_eq!(places[ticket], 5000),
                _ => assert_eq!(places[ticket], number),
            }
        }
        let occupied = places.blocks.iter().map(|block| block.occupied.count_ones());
        assert_eq!(occupied.sum::<u32>(), 1000 - 333 + 1);
    }

    #[test]
    fn memory_goes_back_though_one_stays() {
        for stays in [0, 31_999, 63_999] {
            let mut places = Places::new();
            let tickets: Vec<_> = (0..64_000).map(|thing| put(&mut places, thing)).collect();
            assert_eq!(blocks_in_memory(&places), 1000);
            for (number, &ticket) in tickets.iter().enumerate() {
                if number != stays {
                    places.vacate(ticket);
                }
            }
            assert!(blocks_in_memory(&places) <= 2);
            assert_eq!(places[tickets[stays]], stays);
            places.vacate(tickets[stays]);
            assert!(blocks_in_memory(&places) <= 1 && places.blocks.capacity() <= 8);
        }
    }

    #[test]
    fn who_comes_and_goes_at_the_edge_of_a_block_allocates_nothing() {
        let mut places = Places::new();
        for thing in 0..BLOCK {
            put(&mut places, thing);
        }
        let edge = put(&mut places, 0);
        places.vacate(edge);
        let spare = |places: &Places<usize>| places.spare.as_ref().map(|things| things.as_ptr());
        let before = spare(&places);
        assert!(before.is_some());
        for _ in 0..3 {
            let edge = put(&mut places, 0);
            places.vacate(edge);
            assert_eq!(spare(&places), before);
        }
    }
}
