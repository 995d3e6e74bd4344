//! loom models.
#![cfg(loom)]
