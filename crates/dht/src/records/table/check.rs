//! What must hold of a table at all times.

use super::{AnnounceKey, Shares, Slot, Table, Times};

impl Table {
    /// Asserts that all sets agree and no quota is exceeded.
    pub(in crate::records) fn check(&self) {
        let by_provider = self
            .records
            .keys()
            .map(|(key, slot)| (*slot, *key))
            .collect();
        assert_eq!(self.by_provider, by_provider);
        let by_expiry = self
            .records
            .iter()
            .map(|((key, slot), t)| (t.bucket(), *key, *slot));
        assert_eq!(self.by_expiry, by_expiry.collect());
        let (mut records, mut providers) = (Shares::default(), Shares::default());
        for (id, slot) in &self.slots {
            let provider = self.provider(*slot).unwrap();
            let held = self.by_provider.iter().filter(|(s, _)| s == slot).count();
            assert_eq!((&provider.id, provider.records as usize), (id, held));
            assert!(held > 0 && provider.records <= self.config.records_per_peer_max);
            assert!(
                self.members
                    .contains(&(provider.group, provider.records, *slot))
            );
            records.add(provider.group, provider.records);
            providers.add(provider.group, 1);
        }
        assert_eq!(self.record_shares.order, records.order);
        assert_eq!(self.provider_shares.order, providers.order);
        assert_eq!(self.members.len(), self.slots.len());
        assert_eq!(
            self.providers.len(),
            self.slots.len() + self.free_slots.len()
        );
        assert!(self.slots.len() <= self.config.providers_max);
        assert!(self.records.len() <= self.config.foreign_records_max);
        for (key, _) in self.records.keys() {
            assert!(self.holders(*key).count() <= self.config.providers_per_key_max);
        }
    }

    /// Bytes of one record in all sets, before what the trees leave empty.
    pub(in crate::records) const RECORD_BYTES: usize = size_of::<((AnnounceKey, Slot), Times)>()
        + size_of::<(Slot, AnnounceKey)>()
        + size_of::<(u32, AnnounceKey, Slot)>();
}
