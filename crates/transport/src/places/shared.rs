use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use hubless_sync::lock;
use tokio_util::sync::CancellationToken;

use super::{Entry, PlaceId, Places, PlacesConfig, Prefix};

/// A table of places for tasks. Cheap to clone.
#[derive(Clone)]
pub struct SharedPlaces {
    state: Arc<Mutex<State>>,
}

struct State {
    places: Places,
    /// Reports to each owner that its place was given to another.
    lost: HashMap<PlaceId, CancellationToken>,
}

impl SharedPlaces {
    /// An empty table.
    pub fn new(config: PlacesConfig) -> Self {
        let state = State {
            places: Places::new(config),
            lost: HashMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Takes a place for a connection that came from this address; none if there is no room. The
    /// connection is idle at first.
    pub fn enter(&self, from: impl Into<Prefix>) -> Option<Place> {
        let mut state = self.state();
        let id = match state.places.enter(Instant::now(), from) {
            Entry::Admitted(id) => id,
            Entry::AdmittedInsteadOf(id, old) => {
                state.lost.remove(&old).inspect(CancellationToken::cancel);
                id
            }
            Entry::Refused => return None,
        };
        let lost = CancellationToken::new();
        state.lost.insert(id, lost.clone());
        Some(Place {
            shared: self.clone(),
            id,
            lost,
        })
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.state().places.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for SharedPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPlaces")
            .field("taken", &self.taken())
            .finish_non_exhaustive()
    }
}

/// The place of one connection; left when it is dropped.
#[derive(Debug)]
pub struct Place {
    shared: SharedPlaces,
    id: PlaceId,
    lost: CancellationToken,
}

impl Place {
    /// Cancelled when the place was given to another: the connection has to be closed.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Marks the connection as busy. False, and it stays idle, if only the reserve is left.
    pub fn busy(&self) -> bool {
        self.shared.state().places.busy(self.id)
    }

    /// Marks the connection as idle from now on.
    pub fn idle(&self) {
        self.shared.state().places.idle(self.id, Instant::now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.places.leave(self.id);
        state.lost.remove(&self.id);
    }
}
