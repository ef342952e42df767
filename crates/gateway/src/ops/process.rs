//! What the system says of this process, under the names that all exporters use for it.

use std::{fs, time::Duration};

/// Clock ticks in a second in `/proc/<pid>/stat`: fixed in what Linux shows to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the system says of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// Time on processors, in user and system mode.
    pub(super) cpu: Duration,
    /// Bytes of memory that are in use.
    pub(super) resident_bytes: u64,
    /// Open file descriptors.
    pub(super) open_fds: u64,
}

impl Process {
    /// Reads `/proc`; `None` where there is none.
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let [user, kernel] = ticks(&stat)?;
        Some(Self {
            cpu: Duration::from_secs_f64((user + kernel) / TICKS_PER_SECOND),
            resident_bytes: field(&status, "VmRSS:")? * 1024,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        })
    }
}

/// Ticks in user mode and in system mode: fields 14 and 15. The second field is a name in brackets,
/// which may hold anything.
fn ticks(stat: &str) -> Option<[f64; 2]> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some([number(14)?, number(15)?])
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_way_is_skipped() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
        assert_eq!(ticks(stat), Some([11.0, 12.0]));
        assert_eq!(ticks("7 (a"), None);
        assert_eq!(field("x 1\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
    }

    #[test]
    fn this_process_is_running() {
        let process = Process::read().expect("Linux has /proc");
        assert!(process.resident_bytes > 1 << 20 && process.open_fds > 2);
    }
}
