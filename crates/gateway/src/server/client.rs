//! What a connection reports to the table of places: whether its client may have to give way.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hubless_node::Place;

/// The client of one connection, and the place that it has.
pub(super) struct Client {
    place: Place,
    /// A request has come, and its answer has not gone out yet.
    is_asking: AtomicBool,
}

impl Client {
    /// One that has asked nothing yet.
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            is_asking: AtomicBool::new(false),
        }
    }

    /// A request has come, which is under way until the value is dropped; and whether there was
    /// a place for it beside the reserve.
    pub(super) fn begin(self: &Arc<Self>) -> (UnderWay, bool) {
        self.is_asking.store(true, Ordering::Relaxed);
        (UnderWay(self.clone()), self.place.busy())
    }

    /// The client has let the node wait: it may have to give way, though its request is under way.
    pub(super) fn stalls(&self) {
        self.place.idle();
    }

    /// It goes on.
    pub(super) fn goes_on(&self) {
        if self.is_asking.load(Ordering::Relaxed) {
            // If only the reserve is left, it is served on, and can lose its place.
            self.place.busy();
        }
    }
}

/// A request under way.
pub(super) struct UnderWay(Arc<Client>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.is_asking.store(false, Ordering::Relaxed);
        self.0.place.idle();
    }
}
