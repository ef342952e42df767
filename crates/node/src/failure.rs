//! Errors of the configuration as failures.

use hubless_transfer::sentence;

use crate::{
    api::{Failure, FailureKind, Remedy},
    config::ConfigError,
};

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(FailureKind::Usage, sentence(&error)).remedy(Remedy::ListKeys)
    }
}
