//! How to use the crate, from the choice of a pool to running it in production. Each page stands for itself; its
//! examples are compiled and run with the tests.
//!
//! 1. [`choosing`]: which pool for what.
//! 2. [`sizing`]: how many buffers, of what size.
//! 3. [`renting_late`]: a buffer while there is something to read, and not before; frames.
//! 4. [`large_messages`]: what is larger than a buffer.
//! 5. [`waiting`]: what to do when all are lent; back-pressure; budgets.
//! 6. [`bad_clients`]: clients that promise and do not send, stall, or do not read: shares, and the heap.
//! 7. [`wiping`]: what the next holder could see, and how to make sure that it is nothing.
//! 8. [`operating`]: figures, which line holds what, growing and trimming.
//! 9. [`integrating`]: with tokio, compio, bytes, hyper, io_uring, and pools of your own.
//! 10. [`limits`]: what a pool does not buy.
//! 11. [`how_it_works`]: what happens between acquire and release.
//! 12. [`glossary`]: the words.
#![forbid(unsafe_code)]

#[doc = include_str!("choosing.md")]
pub mod choosing {}
#[doc = include_str!("sizing.md")]
pub mod sizing {}
#[doc = include_str!("renting_late.md")]
pub mod renting_late {}
#[doc = include_str!("large_messages.md")]
pub mod large_messages {}
#[doc = include_str!("waiting.md")]
pub mod waiting {}
#[doc = include_str!("bad_clients.md")]
pub mod bad_clients {}
#[doc = include_str!("wiping.md")]
pub mod wiping {}
#[doc = include_str!("operating.md")]
pub mod operating {}
#[doc = include_str!("integrating.md")]
pub mod integrating {}
#[doc = include_str!("limits.md")]
pub mod limits {}
#[doc = include_str!("how_it_works.md")]
pub mod how_it_works {}
#[doc = include_str!("glossary.md")]
pub mod glossary {}
