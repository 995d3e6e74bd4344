//! The memory of a pool: where its buffers lie, and which pages of it go back to the operating system.

pub(crate) mod decay;
pub(crate) mod layout;
pub(crate) mod pages;
pub(crate) mod region;
pub(crate) mod trim_plan;

/// The allocator has no room for so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory {
    pub(crate) bytes: usize,
}

/// An empty vector with room for `count` values.
pub(crate) fn vec_for<T>(count: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut room = Vec::new();
    let bytes = count.saturating_mul(size_of::<T>());
    match room.try_reserve_exact(count) {
        Ok(()) => Ok(room),
        Err(_) => Err(OutOfMemory { bytes }),
    }
}
