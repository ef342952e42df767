//! Which process has a file locked, as far as the system says.

use rustix::fs::{major, minor};

use crate::signature::Signature;

/// Where Linux lists the locks of all processes.
const LOCKS: &str = "/proc/locks";

/// The id of the process that has the file with this signature locked. `None` if the system does not
/// say: it is not Linux, the process runs in another container, or the file system numbers its files
/// in another way there.
pub fn process_that_locks(file: Signature) -> Option<u32> {
    find(&std::fs::read_to_string(LOCKS).ok()?, file)
}

/// Finds the process in lines like `1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF`. A process that
/// waits for a lock has an arrow behind the number.
fn find(locks: &str, file: Signature) -> Option<u32> {
    let (major, minor, inode) = (major(file.device), minor(file.device), file.inode);
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, process, at, ..] if at == place => process.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_has_the_lock_is_found_among_those_that_wait() {
        let locks = "1: FLOCK  ADVISORY  WRITE 11 fd:00:99 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 12 fd:00:1234 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 13 fd:00:1234 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF\n";
        let file = |inode| Signature {
            device: rustix::fs::makedev(0xfd, 0),
            inode,
            ..Signature::default()
        };
        assert_eq!(find(locks, file(1234)), Some(4711));
        assert_eq!(find(locks, file(1235)), None);
    }
}
