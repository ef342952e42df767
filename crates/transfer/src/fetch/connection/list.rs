//! A chunk list on its way, page by page.

use hubless_content::ChunkCv;
use hubless_fetch::FileNumber;

/// A list of which some pages came.
#[derive(Debug)]
pub(super) struct ListInProgress {
    file: FileNumber,
    count: u32,
    cvs: Vec<ChunkCv>,
}

impl ListInProgress {
    pub(super) fn new(file: FileNumber, count: u32) -> Self {
        Self {
            file,
            count,
            cvs: Vec::new(),
        }
    }

    pub(super) fn file(&self) -> FileNumber {
        self.file
    }

    /// Takes a page; `None` if it cannot be one.
    pub(super) fn take(&mut self, page: &[u8]) -> Option<()> {
        let values = page.len() / size_of::<ChunkCv>();
        let room = self.count as usize - self.cvs.len();
        if values == 0 || values > room || !page.len().is_multiple_of(size_of::<ChunkCv>()) {
            return None;
        }
        self.cvs.extend(
            page.chunks(size_of::<ChunkCv>())
                .filter_map(ChunkCv::from_slice),
        );
        Some(())
    }

    /// The first value of the next page; `None` if all came.
    pub(super) fn next(&self) -> Option<u32> {
        let have = self.cvs.len() as u32;
        (have < self.count).then_some(have)
    }

    /// The values of all pages.
    pub(super) fn finish(self) -> Vec<ChunkCv> {
        self.cvs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_cannot_be_are_refused() {
        let mut list = ListInProgress::new(FileNumber(0), 3);
        assert_eq!(list.take(&[]), None);
        assert_eq!(list.take(&[0; 33]), None);
        assert_eq!(list.take(&[0; 128]), None, "more than there are");
        assert_eq!(list.take(&[0; 64]), Some(()));
        assert_eq!(list.next(), Some(2));
        assert_eq!(list.take(&[0; 32]), Some(()));
        assert_eq!(list.next(), None);
    }
}
