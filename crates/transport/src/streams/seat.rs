use std::sync::{Arc, Mutex, MutexGuard};

use hubless_sync::lock;

use crate::places::Place;

/// The place of a connection that the other side began, and how many keep it busy. One that this
/// side began has none.
#[derive(Debug, Default)]
pub(super) struct Seat {
    place: Option<Place>,
    busy: Mutex<usize>,
}

impl Seat {
    pub(super) fn of(place: Place) -> Self {
        Self {
            place: Some(place),
            busy: Mutex::default(),
        }
    }

    pub(super) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub(super) fn busy(seat: &Arc<Self>) -> Busy {
        let mut busy = seat.count();
        *busy += 1;
        if let Some(place) = &seat.place {
            place.busy();
        }
        drop(busy);
        Busy {
            seat: Arc::clone(seat),
        }
    }

    pub(super) fn was_used(&self) {
        let busy = self.count();
        if let Some(place) = self.place.as_ref().filter(|_| *busy == 0) {
            place.idle();
        }
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        lock(&self.busy)
    }
}

/// Keeps a connection busy until it is dropped.
#[derive(Debug)]
pub struct Busy {
    seat: Arc<Seat>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = self.seat.count();
        *busy -= 1;
        if let Some(place) = self.seat.place.as_ref().filter(|_| *busy == 0) {
            place.idle();
        }
    }
}
