//! shuttle models of the public pools: four to eight threads that do a little of everything, in schedules chosen at
//! random. Where loom runs every schedule of two or three threads, these run some of the many schedules of
//! compositions that are too large for that. They know no weak memory; that is loom's part.
//!
//! Each model runs under three schedulers: at random; by priorities that change a few times in a run (S. Burckhardt
//! and others, *A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs*, 2010); and at random with the
//! threads weighted by how much each has left to do. A run that fails prints its schedule, for `shuttle::replay`.
//!
//! Each model checks that no buffer is lent twice, that what a holder wrote stays, that every request that waits is
//! served or told why not (shuttle reports a deadlock), and that in the end all buffers are there and all figures
//! are exact, where the crate's are.
//!
//! `POOLBUF_SHUTTLE_ITERATIONS` is how many schedules each scheduler runs of each model; each model prints how many
//! it ran.

extern crate poolbuf_shuttle as poolbuf;

mod budget;
mod explore;
mod ledger;
mod lending;
mod many;
mod opening;
mod pools;
mod resizing;
mod waiting;
