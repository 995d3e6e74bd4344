//! What a pool says: figures and advice, who holds what, errors.
#![forbid(unsafe_code)]

pub(crate) mod budget_stats;
pub(crate) mod error;
pub(crate) mod health;
pub(crate) mod holders;
pub(crate) mod name;
pub(crate) mod stats;
