//! What bad clients send: frames that are malformed or odd, good ones with changes, and what each must bring.
//!
//! The wire format: a little-endian `u32` length, 1 to 32,768, and as many bytes of payload.
#![forbid(unsafe_code)]

pub mod corpus;
pub mod expected;
pub mod mutation;
