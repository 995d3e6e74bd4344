//! What a process takes, as Linux tells it; `None` where the system does not say it this way.
#![forbid(unsafe_code)]

use std::fs;

/// Bytes of a process's memory that are resident.
#[must_use]
pub fn resident_bytes(process: u32) -> Option<u64> {
    resident_in(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

/// What the `status` of a process says of it.
fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How many descriptors a process has open.
#[must_use]
pub fn open_descriptors(process: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// Nanoseconds that the threads of a process have run so far.
#[must_use]
pub fn cpu_nanos(process: u32) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::resident_in;

    #[test]
    fn what_linux_says_of_a_process_is_understood() {
        let status = "VmHWM:\t  90 kB\nVmRSS:\t    12 kB\nThreads:\t1\n";
        assert_eq!(resident_in(status), Some(12 * 1024));
        assert_eq!(resident_in("Threads:\t1\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_memory_time_and_descriptors() {
        let process = std::process::id();
        assert!(super::resident_bytes(process).is_some_and(|bytes| bytes > 100_000));
        assert!(super::cpu_nanos(process).is_some());
        assert!(super::open_descriptors(process).is_some_and(|open| open >= 3));
    }
}
