//! Errors of the configuration as failures.

use hubless_transfer::sentence;

use crate::{
    api::{Failure, FailureKind},
    config::ConfigError,
};

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(FailureKind::Usage, sentence(&error))
            .hint("`hubless config show --origin` lists all keys")
    }
}
