//! The free list of [`LockFreePool`](crate::LockFreePool): several tagged Treiber stacks.

pub(crate) mod shards;
mod tagged_index;
mod treiber;
