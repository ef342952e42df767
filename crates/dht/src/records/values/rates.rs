//! How many signatures are verified for strangers.
//!
//! One took 120 to 300 microseconds in a build without optimization on a busy machine, so the limit for all is
//! at most about half of a core. And as nodes that put heads cost nothing but their addresses, each network has a limit of its
//! own: what one floods with leaves room for others.

use std::collections::HashMap;

use super::{Stamp, ValueRefused};
use crate::records::shares::Group;

/// Of one network: twenty puts of known publishers a second, or four records of the largest size at once.
const OF_NETWORK: Rate = Rate::new(20, 240);

/// Of all networks.
const OF_ALL: Rate = Rate::new(2_000, 2_000);

/// Networks whose rates are remembered: each until its burst is free again, some seconds.
const NETWORKS_MAX: usize = 16_384;

const MICROSECONDS: u64 = 1_000_000;

/// A bucket of `burst` signatures that is filled steadily. Its state is one number: the moment at which it is
/// full again, in microseconds.
struct Rate {
    each: u64,
    burst: u64,
}

impl Rate {
    const fn new(a_second: u64, burst: u64) -> Self {
        let each = MICROSECONDS / a_second;
        Self {
            each,
            burst: burst * each,
        }
    }

    /// The state after `count` are taken; `None` if there are not as many.
    fn take(&self, full_at: u64, count: u64, now: u64) -> Option<u64> {
        let after = full_at
            .max(now)
            .saturating_add(self.each.saturating_mul(count));
        (after <= now.saturating_add(self.burst)).then_some(after)
    }
}

/// What was verified lately.
#[derive(Default)]
pub(super) struct Rates {
    all: u64,
    networks: HashMap<Group, u64>,
}

impl Rates {
    /// Whether `count` signatures may be verified now for a peer of `network`; then they count as
    /// verified.
    pub(super) fn admit(
        &mut self,
        network: Group,
        count: usize,
        now: Stamp,
    ) -> Result<(), ValueRefused> {
        let (now, count) = (u64::from(now.0) * MICROSECONDS, count as u64);
        let full_at = self.networks.get(&network).copied();
        let of_network = OF_NETWORK
            .take(full_at.unwrap_or(0), count, now)
            .ok_or(ValueRefused::TooOften)?;
        let all = OF_ALL
            .take(self.all, count, now)
            .ok_or(ValueRefused::Busy)?;
        if full_at.is_none() && self.networks.len() >= NETWORKS_MAX {
            self.networks.retain(|_, full_at| *full_at > now);
            if self.networks.len() >= NETWORKS_MAX {
                return Err(ValueRefused::Busy);
            }
        }
        self.networks.insert(network, of_network);
        self.all = all;
        Ok(())
    }
}
