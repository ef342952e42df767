//! Long work reports its progress, and asks whether to go on.

/// How far long work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes done.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Files done.
    pub files_done: u64,
    /// Files in all.
    pub files_total: u64,
}

/// Watches long work. Called from several threads, about once a MiB: be quick.
pub trait Observer: Sync {
    /// It is this far now.
    fn progress(&self, progress: Progress) {
        let _ = progress;
    }

    /// Whether it should stop; it then ends with [`StoreError::Cancelled`](crate::StoreError).
    fn cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing and never stops.
impl Observer for () {}
