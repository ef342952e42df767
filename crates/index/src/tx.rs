//! Why a transaction of redb failed, and panics of redb as errors.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

/// Why a transaction failed.
#[derive(Debug)]
pub(crate) enum TxError {
    Redb(redb::Error),
    /// A value is not what this program writes; holds what it should have been.
    Malformed(&'static str),
    /// The index was opened to read.
    ReadOnly,
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for TxError {
            fn from(error: redb::$error) -> Self {
                Self::Redb(error.into())
            }
        })*
    };
}

from_redb!(
    DatabaseError,
    TransactionError,
    TableError,
    StorageError,
    CommitError
);

pub(crate) type TxResult<T> = Result<T, TxError>;

/// redb panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

thread_local! {
    /// Whether a panic of this thread becomes an error, so that it is not to be printed.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it ends there, and is logged instead of printed.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if IS_CAUGHT.get() {
                tracing::debug!(%panic, "the index made its reader panic");
            } else {
                before(panic);
            }
        }));
    });
    let was_caught = IS_CAUGHT.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(was_caught);
    outcome.map_err(|_| Panicked)
}
