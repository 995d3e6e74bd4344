//! Wakers that panic: a user's fault, which is to reach neither the pool nor what releases.

use std::panic::resume_unwind;
use std::ptr::without_provenance;
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::thread;

/// Where a waker panics. It says nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Wake = 1,
    Clone = 2,
    Drop = 3,
}

impl Place {
    pub(crate) const ALL: [Place; 3] = [Place::Wake, Place::Clone, Place::Drop];
}

static FUNCTIONS: RawWakerVTable = RawWakerVTable::new(
    |place| {
        panic_if(place, Place::Clone);
        RawWaker::new(place, &FUNCTIONS)
    },
    |place| panic_if(place, Place::Wake),
    |place| panic_if(place, Place::Wake),
    |place| panic_if(place, Place::Drop),
);

fn panic_if(place: *const (), panics: Place) {
    // A second panic would end the process.
    if place.addr() == panics as usize && !thread::panicking() {
        resume_unwind(Box::new(panics));
    }
}

/// A waker that panics at `place`, and so do its clones. Which one is all that it carries.
pub(crate) fn panicking_waker(place: Place) -> Waker {
    // SAFETY: the functions neither own nor share anything, so they may be called as often and on whatever thread one
    // likes.
    unsafe { Waker::from_raw(RawWaker::new(without_provenance(place as usize), &FUNCTIONS)) }
}
