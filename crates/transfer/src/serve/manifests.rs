//! A cache of encoded manifests, whose pages are requested one after the other.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use hubless_content::{ContentHash, Manifest};
use hubless_sync::lock;

/// Limit of cached bytes; one manifest is kept whatever its size. Most have less than 1 MiB.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most recently requested manifests.
#[derive(Debug, Clone, Default)]
pub(super) struct EncodedManifests(Arc<Mutex<VecDeque<(ContentHash, Bytes)>>>);

impl EncodedManifests {
    pub(super) fn get(&self, content: ContentHash) -> Option<Bytes> {
        let kept = lock(&self.0);
        kept.iter()
            .find(|(hash, _)| *hash == content)
            .map(|(_, bytes)| bytes.clone())
    }

    pub(super) fn insert(&self, content: ContentHash, manifest: &Manifest) -> Bytes {
        let bytes = Bytes::from(manifest.encode());
        let mut kept = lock(&self.0);
        kept.retain(|(hash, _)| *hash != content);
        kept.push_front((content, bytes.clone()));
        while kept.len() > 1 && kept.iter().map(|(_, b)| b.len()).sum::<usize>() > KEPT_BYTES_MAX {
            kept.pop_back();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use hubless_content::{FileHash, ManifestEntry};

    use super::*;

    #[test]
    fn old_manifests_make_room() {
        let kept = EncodedManifests::default();
        let manifest = |n: u8| {
            let entries = (0..40_000u32).map(|file| ManifestEntry {
                path: format!("{n}/{}/{file}", "x".repeat(180)).parse().unwrap(),
                size: 1,
                hash: FileHash::new([n; 32]),
            });
            Manifest::new(entries.collect()).unwrap()
        };
        for n in 0..3 {
            kept.insert(ContentHash::new([n; 32]), &manifest(n));
        }
        assert!(
            kept.get(ContentHash::new([0; 32])).is_none(),
            "9 MB each: no room for two"
        );
        assert!(kept.get(ContentHash::new([2; 32])).is_some());
    }
}
