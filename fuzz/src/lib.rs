//! What the fuzz targets run: the arbitrary operations of `tests/state_machine.rs`, whose code this is.

#[path = "../../tests/state_machine/any_pool.rs"]
mod any_pool;
#[path = "../../tests/state_machine/bell.rs"]
mod bell;
#[path = "../../tests/state_machine/held.rs"]
mod held;
#[path = "../../tests/state_machine/model.rs"]
mod model;
#[path = "../../tests/state_machine/one_thread.rs"]
mod one_thread;
#[path = "../../tests/state_machine/operation.rs"]
mod operation;
#[path = "../../tests/state_machine/own_memory.rs"]
mod own_memory;
#[path = "../../tests/state_machine/setup.rs"]
mod setup;
#[path = "../../tests/state_machine/several_threads.rs"]
mod several_threads;

/// Arbitrary operations of one thread, compared with a model.
pub fn operations(data: &[u8]) {
    one_thread::run(data);
}

/// Arbitrary operations of several threads at once.
pub fn threads(data: &[u8]) {
    several_threads::run(data);
}
