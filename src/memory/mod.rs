//! The memory of a pool: where its buffers lie, and which pages of it go back to the operating system.

pub(crate) mod decay;
mod pages;
pub(crate) mod region;
pub(crate) mod trim_plan;
