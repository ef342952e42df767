//! What a source reports to have, page by page.

use std::ops::Range;

use hubless_content::{ChunkSet, ModelChunk};
use hubless_scheduler::{Input, SourceId};
use hubless_wire::{Response, Scope};

use crate::{layout::Layout, types::End};

/// The answers to one ask for availability.
#[derive(Debug)]
pub struct Availability {
    scope: Scope,
    /// Bytes of the bitmap, as they come.
    bytes: Vec<u8>,
    known: bool,
}

impl Availability {
    /// Before the first answer.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            bytes: Vec::new(),
            known: false,
        }
    }

    /// What was asked about.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Where the scope's chunks are in the model.
    fn ranges(&self, layout: &Layout) -> Vec<Range<ModelChunk>> {
        match self.scope {
            Scope::Content(_) => std::iter::once(layout.all()).collect(),
            Scope::File(file) => layout.ranges_of(file).collect(),
        }
    }

    /// Takes an answer; returns what it means for the scheduler.
    ///
    /// # Errors
    /// [`End::Misbehaved`] if the answer does not fit the model.
    pub fn take(
        &mut self,
        source: SourceId,
        layout: &Layout,
        answer: Response,
        payload: &[u8],
    ) -> Result<Vec<Input>, End> {
        let ranges = self.ranges(layout);
        let Some(len) = ranges.first().map(|range| range.end.0 - range.start.0) else {
            return Ok(Vec::new()); // a file of another model
        };
        match answer {
            Response::Availability { total, .. } if total != len => Err(End::Misbehaved),
            Response::Availability { complete: true, .. } => {
                self.known = true;
                Ok(match self.scope {
                    Scope::Content(_) => vec![Input::SourceComplete(source)],
                    Scope::File(_) => vec![Input::SourceGained(source, ranges)],
                })
            }
            Response::Availability { first, .. } => self.page(source, &ranges, len, first, payload),
            Response::Have(news) | Response::OnTheWay(news)
                if news.iter().any(|news| news.end > len) =>
            {
                Err(End::Misbehaved)
            }
            Response::Have(gained) if self.known => {
                Ok(vec![Input::SourceGained(source, shifted(&gained, &ranges))])
            }
            Response::OnTheWay(sent) if self.known => {
                Ok(vec![Input::OnTheWay(shifted(&sent, &ranges))])
            }
            _ => Err(End::Misbehaved),
        }
    }

    fn page(
        &mut self,
        source: SourceId,
        ranges: &[Range<ModelChunk>],
        len: u32,
        first: u32,
        payload: &[u8],
    ) -> Result<Vec<Input>, End> {
        let bytes = len.div_ceil(8) as usize;
        if self.known || first as usize != self.bytes.len() * 8 || payload.is_empty() {
            return Err(End::Misbehaved);
        }
        self.bytes.extend_from_slice(payload);
        if self.bytes.len() < bytes {
            return Ok(Vec::new());
        }
        let set =
            ChunkSet::from_bytes(len, &std::mem::take(&mut self.bytes)).ok_or(End::Misbehaved)?;
        self.known = true;
        Ok(vec![match self.scope {
            Scope::Content(_) => Input::SourceHas(source, set),
            Scope::File(_) => {
                Input::SourceGained(source, shifted(&set.ranges().collect::<Vec<_>>(), ranges))
            }
        }])
    }
}

/// Ranges inside a scope as ranges of the model, once for each place of the scope.
fn shifted(inside: &[Range<u32>], places: &[Range<ModelChunk>]) -> Vec<Range<ModelChunk>> {
    let shift = |place: &Range<ModelChunk>| {
        let start = place.start;
        inside
            .iter()
            .map(move |range| start.plus(range.start)..start.plus(range.end))
            .collect::<Vec<_>>()
    };
    places.iter().flat_map(shift).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hubless_content::{CHUNK_SIZE, FileHash, Manifest, ManifestEntry};

    use super::*;
    use crate::target::Target;

    const ME: SourceId = SourceId(1);

    /// Three files: 1 chunk, then twice the same 3 chunks.
    fn layout() -> Layout {
        let entry = |path: &str, chunks: u64, fill| ManifestEntry {
            path: path.parse().unwrap(),
            size: chunks * CHUNK_SIZE as u64,
            hash: FileHash::new([fill; 32]),
        };
        let manifest =
            Manifest::new(vec![entry("a", 1, 1), entry("b", 3, 2), entry("c", 3, 2)]).unwrap();
        let target = Target::Model(manifest.content_hash());
        Layout::new(target, Arc::new(manifest), |_| true).unwrap()
    }

    fn chunks(numbers: Range<u32>) -> Range<ModelChunk> {
        ModelChunk(numbers.start)..ModelChunk(numbers.end)
    }

    fn of_model(layout: &Layout) -> Availability {
        Availability::new(layout.target.scope())
    }

    #[test]
    fn a_bitmap_then_news() {
        let layout = layout();
        let mut availability = of_model(&layout);
        let page = Response::Availability {
            first: 0,
            total: 7,
            complete: false,
        };
        let mut has = ChunkSet::empty(7);
        has.insert_range(0..2);
        let inputs = availability.take(ME, &layout, page, &[0b11]).unwrap();
        assert_eq!(inputs, [Input::SourceHas(ME, has)]);
        let have = Response::Have(std::iter::once(5..7).collect());
        let inputs = availability.take(ME, &layout, have, &[]).unwrap();
        assert_eq!(inputs, [Input::SourceGained(ME, vec![chunks(5..7)])]);
    }

    #[test]
    fn what_a_source_sends_to_others_is_no_gain_of_it() {
        let layout = layout();
        let mut availability = of_model(&layout);
        let sent = || Response::OnTheWay(std::iter::once(5..7).collect());
        let early = availability.take(ME, &layout, sent(), &[]);
        assert_eq!(early, Err(End::Misbehaved), "before it said what it has");
        let all = Response::Availability {
            first: 0,
            total: 7,
            complete: true,
        };
        availability.take(ME, &layout, all, &[]).unwrap();
        let inputs = availability.take(ME, &layout, sent(), &[]).unwrap();
        assert_eq!(inputs, [Input::OnTheWay(vec![chunks(5..7)])]);
        let beyond = Response::OnTheWay(std::iter::once(6..8).collect());
        let beyond = availability.take(ME, &layout, beyond, &[]);
        assert_eq!(beyond, Err(End::Misbehaved));
    }

    #[test]
    fn a_file_counts_for_all_its_places() {
        let layout = layout();
        let mut availability = Availability::new(Scope::File(FileHash::new([2; 32])));
        let complete = Response::Availability {
            first: 0,
            total: 3,
            complete: true,
        };
        let inputs = availability.take(ME, &layout, complete, &[]).unwrap();
        assert_eq!(
            inputs,
            [Input::SourceGained(ME, vec![chunks(1..4), chunks(4..7)])]
        );
    }

    #[test]
    fn an_answer_that_does_not_fit_the_model_is_misbehaviour() {
        let layout = layout();
        let lies = [
            (
                Response::Availability {
                    first: 0,
                    total: 8,
                    complete: true,
                },
                &[][..],
            ),
            (
                Response::Availability {
                    first: 8,
                    total: 7,
                    complete: false,
                },
                &[1],
            ),
            (
                Response::Availability {
                    first: 0,
                    total: 7,
                    complete: false,
                },
                &[],
            ),
            (
                Response::Availability {
                    first: 0,
                    total: 7,
                    complete: false,
                },
                &[0x80],
            ),
            (
                Response::Availability {
                    first: 0,
                    total: 7,
                    complete: false,
                },
                &[1, 0],
            ),
            (Response::Have(std::iter::once(0..1).collect()), &[]),
            (Response::Malformed, &[]),
        ];
        for (answer, payload) in lies {
            let taken = of_model(&layout).take(ME, &layout, answer.clone(), payload);
            assert_eq!(taken, Err(End::Misbehaved), "{answer:?}");
        }
        let mut complete = of_model(&layout);
        let all = Response::Availability {
            first: 0,
            total: 7,
            complete: true,
        };
        complete.take(ME, &layout, all, &[]).unwrap();
        let beyond = Response::Have(std::iter::once(6..8).collect());
        assert_eq!(
            complete.take(ME, &layout, beyond, &[]),
            Err(End::Misbehaved)
        );
        let again = Response::Availability {
            first: 0,
            total: 7,
            complete: false,
        };
        assert_eq!(
            complete.take(ME, &layout, again, &[1]),
            Err(End::Misbehaved)
        );
    }
}
