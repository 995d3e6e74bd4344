//! The free list of [`LockFreePool`](crate::LockFreePool): several tagged Treiber stacks.
#![forbid(unsafe_code)]

pub(crate) mod shards;
mod tagged_index;
mod treiber;
