//! What another process takes, as Linux tells it.
#![forbid(unsafe_code)]

use std::fs;

/// Bytes of a process's memory that are resident; `None` where the system does not say it this way.
pub(crate) fn resident_bytes(process: u32) -> Option<u64> {
    resident_in(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

/// What the `status` of a process says of it.
pub(crate) fn resident_in(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How many descriptors a process has open; `None` where the system does not say it this way.
pub(crate) fn open_descriptors(process: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// Nanoseconds that the threads of a process have run so far.
pub(crate) fn cpu_nanos(process: u32) -> Option<u64> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let mut nanos = 0;
    for thread in threads {
        let path = thread.ok()?.path().join("schedstat");
        // A thread that has just ended has no file any more.
        if let Ok(times) = fs::read_to_string(path) {
            nanos += times.split(' ').next()?.parse::<u64>().ok()?;
        }
    }
    Some(nanos)
}
