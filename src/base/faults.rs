//! Failures of the system that a test wants to see. Only in a build with `--cfg poolbuf_faults`, by the environment
//! variable `POOLBUF_FAULT`; any other build has none of this.
#![forbid(unsafe_code)]

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `no-barrier`: the system offers no barrier across threads.
    NoBarrier,
    /// `barrier-withdrawn`: it offers one, and fails whenever it is asked for it.
    BarrierWithdrawn,
    /// `barrier-empty`: it offers one that does nothing. Nothing can hold then: the barrier's own test must fail.
    BarrierEmpty,
    /// `no-discard`: it takes no page back.
    NoDiscard,
    /// `discard-garbles`: it takes pages back, and what is in them then is anything.
    DiscardGarbles,
    /// `no-thread-locals`: as for a thread at its end, whose thread-locals are gone.
    NoThreadLocals,
}

/// Whether `fault` is to be had.
#[cfg(not(poolbuf_faults))]
#[inline(always)]
pub(crate) fn injected(_fault: Fault) -> bool {
    false
}

/// Whether `fault` is to be had.
#[cfg(poolbuf_faults)]
pub(crate) fn injected(fault: Fault) -> bool {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Option<Fault>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("POOLBUF_FAULT").unwrap_or_default();
        match &*name {
            "no-barrier" => Some(Fault::NoBarrier),
            "barrier-withdrawn" => Some(Fault::BarrierWithdrawn),
            "barrier-empty" => Some(Fault::BarrierEmpty),
            "no-discard" => Some(Fault::NoDiscard),
            "discard-garbles" => Some(Fault::DiscardGarbles),
            "no-thread-locals" => Some(Fault::NoThreadLocals),
            // A test that asks for a fault that does not exist would check nothing.
            _ => {
                assert!(name.is_empty(), "unknown fault {name}");
                None
            }
        }
    });
    *chosen == Some(fault)
}
