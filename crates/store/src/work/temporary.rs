//! Names of files that an export has not finished, and what is left of killed exports.

use std::time::{SystemTime, UNIX_EPOCH};

use hubless_disk::{Dir, EntryKind};

const TEMPORARY_PREFIX: &str = ".hubless-";

/// A temporary file that did not change for so long belongs to no export that runs: between its
/// first byte and its name there is nothing but writing and syncing. Seconds.
const TEMPORARY_AGE_MIN: i64 = 3600;

/// Whether a file of this name is what an export left, or writes just now.
pub(crate) fn is_temporary(name: &str) -> bool {
    let end = TEMPORARY_PREFIX.len();
    let (Some(prefix), Some(rest)) = (name.get(..end), name.get(end..)) else {
        return false;
    };
    let is_number = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    prefix.eq_ignore_ascii_case(TEMPORARY_PREFIX) && !rest.is_empty() && rest.bytes().all(is_number)
}

/// A name that no other export uses, in this process or another.
pub(super) fn temporary_name() -> String {
    format!("{TEMPORARY_PREFIX}{:032x}", rand::random::<u128>())
}

/// Removes what exports that were killed have left in a directory; what cannot be removed stays.
pub(super) fn sweep(directory: &dyn Dir) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    for name in directory.names().unwrap_or_default() {
        let is_left = name.to_str().is_some_and(is_temporary)
            && matches!(directory.entry(&name), Ok(Some(entry))
                if entry.kind == EntryKind::File
                    && now.saturating_sub(entry.signature.changed) >= TEMPORARY_AGE_MIN);
        if is_left {
            let _ = directory.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_exports_make_are_temporary() {
        assert!(is_temporary(&temporary_name()));
        assert!(is_temporary(&temporary_name().to_uppercase()));
        assert!(is_temporary(".hubless-17-2"), "of earlier versions");
        for name in [
            ".hubless-",
            ".hubless-notes",
            "hubless-17-2",
            ".hubless",
            "äöü",
        ] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
