//! One accept loop for all listeners: it pauses when it cannot accept, and each connection has a place
//! in a table ([`SharedPlaces`]), which one client cannot fill for itself.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use hubless_network::{Place, SharedPlaces};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// The pause after a connection could not be accepted. File descriptors run out for as long as
/// other connections live; without a pause the loop would spin on errors.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// The time from one logged error to the next: ten errors a second would fill the log.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// A listening socket.
pub trait Listen {
    /// The type of its connections.
    type Stream: Send + 'static;

    /// The next connection, and the address of its client.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, IpAddr)>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, IpAddr)> {
        let (stream, address) = Self::accept(self).await?;
        Ok((stream, address.ip()))
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, IpAddr)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, Ipv4Addr::LOCALHOST.into()))
    }
}

/// Accepts connections until it is cancelled, and returns those that are still served then. `name`
/// is the listener's name in the log.
pub async fn run<L, F>(
    name: &'static str,
    listener: L,
    places: &SharedPlaces,
    cancel: &CancellationToken,
    serve: impl Fn(L::Stream, Place) -> F,
) -> JoinSet<()>
where
    L: Listen,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut errors = ErrorLog::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => return connections,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, address)) => {
                // Without a place the connection is closed: `stream` is dropped.
                if let Some(place) = places.enter(address) {
                    let lost = place.lost().clone();
                    let served = serve(stream, place);
                    connections.spawn(async move {
                        tokio::select! {
                            () = served => {}
                            () = lost.cancelled() => {}
                        }
                    });
                }
            }
            Err(error) => {
                if let Some(before) = errors.note(Instant::now()) {
                    tracing::warn!(%error, name, before, "cannot accept a connection");
                }
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// Limits the logged errors to one in [`LOG_EVERY`].
#[derive(Default)]
struct ErrorLog {
    logged: Option<Instant>,
    silent: u64,
}

impl ErrorLog {
    /// Records an error. If it is to be logged, returns the number of unlogged errors before it.
    fn note(&mut self, now: Instant) -> Option<u64> {
        if self.logged.is_some_and(|at| now < at + LOG_EVERY) {
            self.silent += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use hubless_network::PlacesConfig;

    use super::*;

    #[test]
    fn of_many_errors_few_are_logged() {
        let (mut log, start) = (ErrorLog::default(), Instant::now());
        assert_eq!(log.note(start), Some(0));
        for tenth in 1..300 {
            assert_eq!(log.note(start + ERROR_PAUSE * tenth), None);
        }
        assert_eq!(log.note(start + LOG_EVERY), Some(299));
        assert_eq!(log.note(start + LOG_EVERY + ERROR_PAUSE), None);
    }

    /// A listener of a process that has no descriptors left.
    struct Exhausted(Arc<AtomicU64>);

    impl Listen for Exhausted {
        type Stream = ();

        async fn accept(&self) -> io::Result<((), IpAddr)> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(io::Error::from_raw_os_error(24))
        }
    }

    #[tokio::test]
    async fn a_loop_that_cannot_accept_pauses() {
        const PAUSES: u64 = 3;
        let (calls, cancel) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (stop, began) = (cancel.clone(), Instant::now());
        tokio::spawn(async move {
            tokio::time::sleep(ERROR_PAUSE * PAUSES as u32).await;
            stop.cancel();
        });
        let places = SharedPlaces::new(PlacesConfig::new(1));
        let listener = Exhausted(calls.clone());
        run("test", listener, &places, &cancel, |(), _| async {}).await;
        let pauses = began.elapsed().as_millis() / ERROR_PAUSE.as_millis();
        let calls = u128::from(calls.load(Ordering::Relaxed));
        assert!(calls <= pauses + 1, "{calls} calls in {pauses} pauses");
    }
}
