//! The side that accepted the stream: one reading task and one writing task a stream, and one for
//! every request in work.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use futures::{
    AsyncReadExt as _,
    io::{ReadHalf, WriteHalf},
};
use hubless_memory::Buffers;
use hubless_sync::Counter;
use hubless_transport::{
    places::{Place, PlacesConfig, SharedPlaces},
    streams::{Busy, Duplex, Link, Opened},
};
use hubless_wire::{Body, Frame, FrameHead, REQUESTS_PER_STREAM_MAX, Request, Response};
use libp2p::PeerId;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{self, AbortHandle, JoinError, JoinSet},
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, error, info_span};

use super::{
    ExchangeError, ExchangeService, Reply, Violation, hello,
    reader::FrameReader,
    writer::{FrameWriter, forward},
};
use crate::shaping::shaper::Shapers;

/// Streams that one peer may hold open: for each of two fetches three lanes, and a stream beside each.
const STREAMS_PER_PEER_MAX: usize = 12;

/// Responses that wait to be written, for one stream: 1 MiB of chunks keeps the writer busy while
/// the next one is read from disk.
const RESPONSES_QUEUED_MAX: usize = 4;

/// Requests for chunks that the service has at once, for one stream. It decides the order in which
/// peers are served, and holds a chunk in memory only for those; the others wait in a queue of a few
/// bytes each.
const CHUNK_REQUESTS_AT_ONCE_MAX: usize = 16;

/// Other requests in work at once, for one stream: mostly subscriptions to availability.
const OTHER_REQUESTS_AT_ONCE_MAX: usize = 64;

/// Other requests in work at once, in all.
const OTHER_REQUESTS_MAX: usize = 16 * 1024;

/// Back-off sent in `Busy` to a peer over its request limit.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// How long the last responses to a peer that broke a rule may take.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a peer that broke a rule may take to read which.
const LINGER_TIME: Duration = Duration::from_millis(500);

/// The id in the response to a request of which no id could be read.
const UNREADABLE_REQUEST: u64 = u64::MAX;

/// Serves inbound streams. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    context: Arc<Context>,
    violations: mpsc::Sender<Violation>,
    tasks: TaskTracker,
}

struct Context {
    service: Arc<dyn ExchangeService>,
    shapers: Shapers,
    other_requests: Arc<Semaphore>,
    places: SharedPlaces,
    streams: Counter<PeerId>,
}

impl Server {
    /// `streams`: those that all peers together may hold open.
    pub(crate) fn new(
        streams: u32,
        service: Arc<dyn ExchangeService>,
        shapers: Shapers,
        violations: mpsc::Sender<Violation>,
        tasks: TaskTracker,
    ) -> Self {
        let context = Context {
            service,
            shapers,
            other_requests: Arc::new(Semaphore::new(OTHER_REQUESTS_MAX)),
            places: SharedPlaces::new(PlacesConfig::new(streams as usize)),
            streams: Counter::default(),
        };
        Self {
            context: Arc::new(context),
            violations,
            tasks,
        }
    }

    /// Serves a stream, or drops it if there are too many. One that has rested for long may give way
    /// to another.
    pub(crate) fn accept(&self, peer: PeerId, opened: Opened) {
        let Some(one_of_peer) = self.context.streams.add_below(peer, STREAMS_PER_PEER_MAX) else {
            debug!(%peer, "refused a stream: the peer has too many");
            return;
        };
        let Some(place) = self.context.places.enter(opened.link.from) else {
            debug!(%peer, "refused a stream: no place is free for its network");
            return;
        };
        let context = Arc::clone(&self.context);
        let violations = self.violations.clone();
        let serve = async move {
            let (closed, lost) = (opened.link.closed.clone(), place.lost().clone());
            let serve = serve(peer, opened, place, &context);
            let serve = closed.run_until_cancelled(serve);
            let outcome = lost.run_until_cancelled(serve).await;
            drop(one_of_peer);
            if outcome.is_none() {
                debug!("closed a stream that rested: another needed its place");
            }
            let Some(Some(Err(rule))) = outcome else {
                return;
            };
            debug!(
                error = &rule as &dyn std::error::Error,
                "an inbound stream ended"
            );
            // Without a receiver the node is stopping and closes all connections.
            if rule.is_violation() && violations.send(Violation { peer, rule }).await.is_err() {
                debug!("the node is stopping");
            }
        };
        self.tasks
            .spawn(serve.instrument(info_span!("responses", %peer)));
    }
}

/// Serves one stream to its end. Dropping the future ends everything that belongs to it.
async fn serve(
    peer: PeerId,
    Opened { stream, link }: Opened,
    place: Place,
    context: &Context,
) -> Result<(), ExchangeError> {
    let carrier = link.carrier;
    let (read, write) = stream.split();
    let mut reader = FrameReader::new(
        read,
        peer,
        context.shapers.down.on(carrier),
        Buffers::default(),
    );
    let mut writer = FrameWriter::new(write, peer, context.shapers.up.on(carrier));
    if hello::exchange(peer, &mut reader, &mut writer)
        .await?
        .is_none()
    {
        return Ok(());
    }
    let (queue, responses) = mpsc::channel(RESPONSES_QUEUED_MAX);
    let mut writing = JoinSet::new();
    writing.spawn(write_responses(writer, responses));

    let mut requests = Requests::new(peer, context, queue, Activity::new(place, link));
    let outcome = tokio::select! {
        outcome = requests.run(&mut reader) => outcome,
        written = writing.join_next() => return finished(peer, written),
    };
    let farewell = async {
        requests.end(&outcome).await;
        writing.join_next().await
    };
    if tokio::time::timeout(FAREWELL_TIME_MAX, farewell)
        .await
        .is_err()
    {
        debug!("the peer left its last responses unread");
    } else if is_violation(&outcome) {
        // A connection that is closed at once may be reset, and the reason lost on its way. A
        // peer that has read the reason closes the stream; do not wait longer for others.
        let _ = tokio::time::timeout(LINGER_TIME, reader.drain()).await;
    }
    outcome
}

fn is_violation(outcome: &Result<(), ExchangeError>) -> bool {
    outcome.as_ref().is_err_and(ExchangeError::is_violation)
}

/// The writing task ended first: the connection failed, or the peer reads too slowly.
fn finished(
    peer: PeerId,
    written: Option<Result<io::Result<()>, JoinError>>,
) -> Result<(), ExchangeError> {
    match written {
        Some(Ok(Err(source))) => Err(ExchangeError::io(peer, source)),
        Some(Err(error)) => Err(ExchangeError::io(peer, io::Error::other(error))),
        Some(Ok(Ok(()))) | None => Ok(()),
    }
}

async fn write_responses(
    mut writer: FrameWriter<WriteHalf<Box<dyn Duplex>>>,
    mut responses: mpsc::Receiver<Frame>,
) -> io::Result<()> {
    forward(&mut writer, &mut responses).await?;
    writer.close().await
}

/// What keeps the places of a stream and of its connection: requests for chunks. Any other request
/// makes them the last to give way; a subscription that is open for days does not.
struct Activity {
    place: Place,
    link: Link,
    busy: Option<Busy>,
}

impl Activity {
    fn new(place: Place, link: Link) -> Self {
        Self {
            place,
            link,
            busy: None,
        }
    }

    /// A request came, or the last one for chunks ended.
    fn changed(&mut self, has_chunk_requests: bool) {
        if !has_chunk_requests {
            self.busy = None;
            self.place.idle();
            self.link.was_used();
        } else if self.busy.is_none() {
            self.busy = Some(self.link.busy());
            self.place.busy();
        }
    }
}

/// The requests of one stream: in work, or waiting for one that is.
struct Requests<'a> {
    peer: PeerId,
    context: &'a Context,
    responses: mpsc::Sender<Frame>,
    activity: Activity,
    /// Requests for chunks that wait until fewer are in work.
    waiting: VecDeque<(u64, Request)>,
    tasks: JoinSet<()>,
    /// By task, also the cancelled ones until they are gone.
    in_work: HashMap<task::Id, InWork>,
    /// By the requester's id, without the cancelled ones.
    open: HashMap<u64, AbortHandle>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct InWork {
    id: u64,
    is_chunks: bool,
}

impl<'a> Requests<'a> {
    fn new(
        peer: PeerId,
        context: &'a Context,
        responses: mpsc::Sender<Frame>,
        activity: Activity,
    ) -> Self {
        Self {
            peer,
            context,
            responses,
            activity,
            waiting: VecDeque::new(),
            tasks: JoinSet::new(),
            in_work: HashMap::new(),
            open: HashMap::new(),
        }
    }

    /// Takes requests until the peer closes its side or breaks a rule.
    async fn run(
        &mut self,
        reader: &mut FrameReader<ReadHalf<Box<dyn Duplex>>>,
    ) -> Result<(), ExchangeError> {
        loop {
            tokio::select! {
                frame = reader.next() => {
                    let frame = frame.map_err(|error| ExchangeError::read(self.peer, error))?;
                    let Some((head, _)) = frame else { return Ok(()) };
                    self.frame(head).await?;
                    self.activity.changed(self.count(true) > 0);
                }
                Some(done) = self.tasks.join_next_with_id() => {
                    let was_chunks = self.count(true) > 0;
                    self.done(done).await;
                    let is_chunks = self.count(true) > 0;
                    if was_chunks != is_chunks {
                        self.activity.changed(is_chunks);
                    }
                }
            }
        }
    }

    /// Ends all work, and reports a broken rule to the peer.
    async fn end(mut self, outcome: &Result<(), ExchangeError>) {
        self.tasks.shutdown().await;
        if is_violation(outcome) {
            self.send(UNREADABLE_REQUEST, Response::Malformed).await;
        }
    }

    async fn frame(&mut self, head: FrameHead) -> Result<(), ExchangeError> {
        let unexpected = |rule| {
            Err(ExchangeError::Unexpected {
                peer: self.peer,
                rule,
            })
        };
        match head.body {
            Body::Request(Request::Cancel) => self.cancel(head.id),
            Body::Request(_) | Body::UnknownRequest if self.is_open(head.id) => {
                return unexpected("the ids of open requests differ");
            }
            Body::Request(request) => self.request(head.id, request).await,
            Body::UnknownRequest => self.send(head.id, Response::NotHere).await,
            Body::Hello => return unexpected("a stream has one hello"),
            Body::Response(_) => {
                return unexpected("only the side that opened the stream may send requests");
            }
        }
        Ok(())
    }

    fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id) || self.waiting.iter().any(|(other, _)| *other == id)
    }

    async fn request(&mut self, id: u64, request: Request) {
        let is_chunks = matches!(request, Request::Chunks { .. });
        if self.waiting.len() + self.in_work.len() >= REQUESTS_PER_STREAM_MAX {
            self.send(id, Response::Busy(BUSY_WAIT)).await;
        } else if is_chunks && self.count(true) >= CHUNK_REQUESTS_AT_ONCE_MAX {
            self.waiting.push_back((id, request));
        } else if is_chunks {
            self.work_on_chunks(id, request);
        } else {
            self.work_on_other(id, request).await;
        }
    }

    fn cancel(&mut self, id: u64) {
        self.waiting.retain(|(other, _)| *other != id);
        if let Some(abort) = self.open.remove(&id) {
            abort.abort();
        }
    }

    fn count(&self, is_chunks: bool) -> usize {
        self.in_work
            .values()
            .filter(|work| work.is_chunks == is_chunks)
            .count()
    }

    /// Chunks are worth waiting for: a peer that requests many gets them one after the other.
    fn work_on_chunks(&mut self, id: u64, request: Request) {
        let response = self
            .context
            .service
            .respond(self.peer, request, self.reply(id));
        self.spawn(
            InWork {
                id,
                is_chunks: true,
            },
            response,
        );
    }

    async fn work_on_other(&mut self, id: u64, request: Request) {
        let permit = Arc::clone(&self.context.other_requests).try_acquire_owned();
        match permit {
            Ok(permit) if self.count(false) < OTHER_REQUESTS_AT_ONCE_MAX => {
                let response = self
                    .context
                    .service
                    .respond(self.peer, request, self.reply(id));
                let work = async move {
                    response.await;
                    drop(permit);
                };
                self.spawn(
                    InWork {
                        id,
                        is_chunks: false,
                    },
                    work,
                );
            }
            _ => self.send(id, Response::Busy(BUSY_WAIT)).await,
        }
    }

    fn spawn(&mut self, in_work: InWork, work: impl Future<Output = ()> + Send + 'static) {
        let abort = self.tasks.spawn(work.in_current_span());
        self.in_work.insert(abort.id(), in_work);
        self.open.insert(in_work.id, abort);
    }

    async fn done(&mut self, done: Result<(task::Id, ()), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, ())| *task);
        let Some(InWork { id, is_chunks }) = self.in_work.remove(&task) else {
            return;
        };
        if self.open.get(&id).is_some_and(|abort| abort.id() == task) {
            self.open.remove(&id);
        }
        if let Err(error) = done
            && error.is_panic()
        {
            error!(%error, "the response to a request panicked");
            self.send(id, Response::Busy(BUSY_WAIT)).await;
        }
        if is_chunks && let Some((id, request)) = self.waiting.pop_front() {
            self.work_on_chunks(id, request);
        }
    }

    fn reply(&self, id: u64) -> Reply {
        Reply::new(id, self.responses.clone())
    }

    async fn send(&self, id: u64, response: Response) {
        if self.responses.send(Frame::new(id, response)).await.is_err() {
            debug!("the stream ended before this response");
        }
    }
}
