//! No pool: a fresh `Vec::with_capacity` each time, from whichever allocator the binary has.

use super::write_vector;
use crate::strategy::{BUFFER_SIZE, Strategy};

/// Its name for the figures; under which allocator, the binary says.
pub(crate) const ALLOCATOR: &str = "vec";

pub(crate) struct FreshVector;

impl Strategy for FreshVector {
    type Guard<'a> = Vec<u8>;

    const ID: &'static str = ALLOCATOR;
    const LABEL: &'static str = "`Vec`";

    fn new(_buffers: usize) -> Self {
        FreshVector
    }

    #[inline(always)]
    fn acquire(&self) -> Vec<u8> {
        Vec::with_capacity(BUFFER_SIZE)
    }

    #[inline(always)]
    fn write(guard: &mut Vec<u8>, message: &[u8]) -> *const u8 {
        write_vector(guard, message)
    }
}
