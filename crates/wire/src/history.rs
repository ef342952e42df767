//! Pages of a history: revisions one after the other, each after its length.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::{
    error::FrameError,
    limits::{PAYLOAD_BYTES_MAX, REVISIONS_PER_RESPONSE_MAX},
};

/// A page of revisions that is being filled.
#[derive(Debug, Default)]
pub struct HistoryPage(BytesMut);

impl HistoryPage {
    /// Whether a revision of so many bytes fits a page at all.
    pub fn fits_alone(bytes: usize) -> bool {
        encoded_len_varint(bytes as u64).saturating_add(bytes) <= PAYLOAD_BYTES_MAX
    }

    /// Appends the bytes of a revision; false, and nothing is changed, if they do not fit any more.
    #[must_use]
    pub fn push(&mut self, revision: &[u8]) -> bool {
        let len = revision.len() as u64;
        let needed = encoded_len_varint(len).saturating_add(revision.len());
        if self.0.len().saturating_add(needed) > PAYLOAD_BYTES_MAX {
            return false;
        }
        encode_varint(len, &mut self.0);
        self.0.put_slice(revision);
        true
    }

    /// Takes what was appended, and leaves an empty page.
    pub fn take(&mut self) -> Bytes {
        self.0.split().freeze()
    }

    /// The bytes of each revision of a page.
    ///
    /// # Errors
    /// If the lengths do not fit the page, or it has more than [`REVISIONS_PER_RESPONSE_MAX`] revisions.
    /// Nothing is allocated from declared lengths.
    pub fn split(mut page: Bytes) -> Result<Vec<Bytes>, FrameError> {
        let rule = || FrameError::rule("a page of a history has whole revisions");
        let mut revisions = Vec::new();
        while !page.is_empty() {
            let len = prost::decode_length_delimiter(&mut page).map_err(|_| rule())?;
            let is_full = revisions.len() == REVISIONS_PER_RESPONSE_MAX;
            if len == 0 || len > page.len() || is_full {
                return Err(rule());
            }
            revisions.push(page.split_to(len));
        }
        Ok(revisions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_page_comes_out_of_it() {
        let (mut page, revisions) = (HistoryPage::default(), [vec![1], vec![2; 300]]);
        for revision in &revisions {
            assert!(page.push(revision));
        }
        assert_eq!(HistoryPage::split(page.take()).unwrap(), revisions);
        assert!(HistoryPage::split(page.take()).unwrap().is_empty());
    }

    #[test]
    fn a_page_takes_no_more_than_a_payload() {
        let mut page = HistoryPage::default();
        let largest = PAYLOAD_BYTES_MAX - 3;
        assert!(HistoryPage::fits_alone(largest) && !HistoryPage::fits_alone(largest + 1));
        assert!(!page.push(&vec![0; largest + 1]));
        assert!(page.push(&vec![0; largest]));
        assert!(!page.push(&[1]));
        assert_eq!(page.take().len(), PAYLOAD_BYTES_MAX);
    }

    #[test]
    fn lengths_that_do_not_fit_the_page_are_refused() {
        let declared = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        for wrong in [&[0][..], &[2, 1], &[0x80], &declared, &[1, 7, 3, 1]] {
            let page = Bytes::copy_from_slice(wrong);
            assert!(HistoryPage::split(page).is_err(), "{wrong:?}");
        }
        let of = |revisions| HistoryPage::split([1, 7].repeat(revisions).into());
        assert!(of(REVISIONS_PER_RESPONSE_MAX).is_ok());
        assert!(of(REVISIONS_PER_RESPONSE_MAX + 1).is_err());
    }
}
