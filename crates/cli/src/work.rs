//! How a command calls a node: open a session, call, follow, end in order.

use std::{
    io,
    time::{Duration, Instant},
};

use hubless_content::ContentHash;
use hubless_node::{
    Needs, Replies, Session, Ticket, Update,
    api::{self, Call, Event, FailureKind, List, NameResolve, ResolvedName, Stall, State},
};
use tokio::runtime::Runtime;

use crate::{
    failure::{Error, Failure},
    interrupt::Interrupt,
    output::Output,
    progress::{Progress, Work},
    settings::Settings,
    text,
    what::{Name, What, only_one},
};

/// How often a request moves on when the process that worked for it ended. A few commands may end
/// one after the other; a request that ends each process it is sent to must not go on for ever.
const MOVES_MAX: u32 = 5;

/// How long a command that is done works for others: short requests take tenths of a second, and it must
/// not last as long as another command's fetch.
const GUESTS_WITHIN: Duration = Duration::from_secs(10);

/// Interval of progress updates without events.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// A wait for another process that is too short to be reported.
const UNNOTICED: Duration = Duration::from_millis(500);

/// What every command that asks a node has at hand.
pub(crate) struct Context<'a> {
    pub(crate) settings: Settings,
    pub(crate) output: &'a Output,
    pub(crate) interrupt: Interrupt,
}

/// Runs a command that asks a node.
pub(crate) fn block_on(
    settings: Settings,
    output: &Output,
    command: impl AsyncFnOnce(&Context<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let runtime = runtime().map_err(|error| {
        Failure::new(
            FailureKind::Other,
            format!("could not start threads: {error}"),
        )
    })?;
    let outcome = runtime.block_on(async {
        let interrupt = Interrupt::listen(output)?;
        command(&Context {
            settings,
            output,
            interrupt,
        })
        .await
    });
    // All work has ended in order by now; a thread that still waits for a pipe must not keep us.
    runtime.shutdown_background();
    outcome
}

/// One thread for each two cores that speaks with peers: hashing and the disk have threads of their
/// own, and need the rest. More would be woken for every chunk that these have done, to find that
/// another has taken it already.
fn runtime() -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build()
}

impl Context<'_> {
    /// Opens a session, uses it, and closes it whatever comes out.
    pub(crate) async fn session<T>(
        &self,
        needs: Needs,
        mut work: impl AsyncFnMut(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let config = self.settings.passing_config();
        let (home, command) = (&self.settings.home, &self.settings.command);
        let mut moves = 0;
        loop {
            let opened = Session::open(home, &config, needs, command);
            let outcome = match self.interrupt.guard(opened).await {
                Ok(session) => self.use_and_close(session, &mut work).await,
                // Its process may end while this command joins the network through it.
                Err(error) => Err(error),
            };
            match outcome {
                // Another command did the work and has ended: on with the next, or here.
                Err(error) if error.is(FailureKind::HostEnded) && moves < MOVES_MAX => moves += 1,
                outcome => return outcome,
            }
        }
    }

    async fn use_and_close<T>(
        &self,
        session: Session,
        work: &mut impl AsyncFnMut(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.warn_of_unused_flags(&session);
        let outcome = work(&session).await;
        if !matches!(&outcome, Err(error) if error.is(FailureKind::Interrupted)) {
            self.wait_for_guests(&session).await;
        }
        session.close().await;
        outcome
    }

    /// Lets other commands that sent their requests here come to their end, if that is soon. What
    /// takes longer goes on in one of their processes.
    async fn wait_for_guests(&self, session: &Session) {
        let done = session.without_guests();
        tokio::pin!(done);
        if tokio::time::timeout(UNNOTICED, &mut done).await.is_ok() {
            return;
        }
        let commands = text::count(session.guests() as u64, "other command");
        self.output.note(&format!(
            "done; {commands} worked through this one: {} s for what ends soon, the rest goes on \
             without it",
            GUESTS_WITHIN.as_secs()
        ));
        tokio::select! {
            _ = tokio::time::timeout(GUESTS_WITHIN, done) => {}
            () = self.interrupt.wait() => {}
        }
    }

    /// Opens a session that needs no network, and makes one call.
    pub(crate) async fn ask<C: Call + Clone>(&self, call: C) -> Result<C::Answer, Error> {
        self.session(Needs::Store, async |session| {
            self.finish(session.call(call.clone()), &mut Events::silent(self.output))
                .await
        })
        .await
    }

    /// As [`Context::ask`], about a model that may be given by its name.
    pub(crate) async fn ask_about<C: Call>(
        &self,
        what: &What,
        call: impl Fn(ContentHash) -> C,
    ) -> Result<C::Answer, Error> {
        let (_, answer) = self.find_and_ask(what, call).await?;
        Ok(answer)
    }

    /// As [`Context::ask_about`]; with the model's hash.
    pub(crate) async fn find_and_ask<C: Call>(
        &self,
        what: &What,
        call: impl Fn(ContentHash) -> C,
    ) -> Result<(ContentHash, C::Answer), Error> {
        self.session(Needs::Store, async |session| {
            let hash = self.find(what, session).await?.hash();
            let call = session.call(call(hash));
            let answer = self.finish(call, &mut Events::silent(self.output)).await?;
            Ok((hash, answer))
        })
        .await
    }

    /// The address of a model. The node resolves a name, and completes the beginning of a hash.
    pub(crate) async fn find(&self, what: &What, session: &Session) -> Result<Ticket, Error> {
        let events = &mut Events::silent(self.output);
        match what {
            What::Ticket(ticket) => Ok(ticket.clone()),
            What::Beginning(beginning) => {
                let listed = self.finish(session.call(List {}), events).await?;
                let hashes = listed.models.iter().map(|model| model.hash);
                Ok(only_one(beginning, hashes)?.into())
            }
            What::Name(name) => {
                let resolved = self.resolve(name, session).await?;
                Ok(Ticket::fitting(resolved.hash, name.peers.clone()))
            }
        }
    }

    /// What a name leads to.
    pub(crate) async fn resolve(
        &self,
        name: &Name,
        session: &Session,
    ) -> Result<ResolvedName, Error> {
        let call = session.call(NameResolve {
            repo: name.repo.clone(),
            revision: name.revision.clone(),
            sources: name.sources,
            peers: name.peers.clone(),
            max_age_s: name.max_age.map(|age| age.as_secs()),
        });
        self.finish(call, &mut Events::silent(self.output)).await
    }

    /// Another process has its own configuration. `--peer` works with it: it goes with the request.
    fn warn_of_unused_flags(&self, session: &Session) {
        let Some(occupant) = session.occupant() else {
            return;
        };
        let unused: Vec<&str> = self
            .settings
            .flagged()
            .filter(|key| *key != "peers")
            .collect();
        if !unused.is_empty() {
            self.output.warn(&format!(
                "{occupant} works on {}, so these settings have no effect here: {}",
                self.settings.home.display(),
                unused.join(", ")
            ));
        }
    }

    /// Follows a call to its end.
    pub(crate) async fn finish<A>(
        &self,
        call: impl Future<Output = Result<Replies<A>, api::Failure>>,
        events: &mut Events,
    ) -> Result<A, Error> {
        self.follow(call, events, async |_| Ok(())).await
    }

    /// Follows a call to its end, and hands on the data that comes.
    pub(crate) async fn follow<A>(
        &self,
        call: impl Future<Output = Result<Replies<A>, api::Failure>>,
        events: &mut Events,
        mut take: impl AsyncFnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<A, Error> {
        let work = async {
            let mut replies = call.await?;
            let mut beats = tokio::time::interval(BEAT_EVERY);
            loop {
                let update = tokio::select! {
                    update = replies.next() => update,
                    _ = beats.tick() => {
                        events.beat();
                        continue;
                    }
                };
                match update {
                    Some(Update::Event(event)) => events.take(&event)?,
                    Some(Update::Data(bytes)) => {
                        events.clear();
                        take(&bytes).await?;
                    }
                    None => return replies.answer().await.map_err(Error::from),
                }
            }
        };
        let outcome = self.interrupt.guard(work).await;
        events.clear();
        outcome
    }
}

/// `waiting for 12D3...ffF1jc: no data for 6 s; asking 2 others`
fn waiting(stall: &Stall) -> String {
    let silent = format!("no data for {} s", stall.seconds);
    let others = match stall.asking {
        0 => String::new(),
        others => format!("; asking {}", text::count(others.into(), "other")),
    };
    match &stall.waiting_for {
        Some(peer) => format!("waiting for {}: {silent}{others}", text::short_peer(peer)),
        None => format!("{silent}{others}"),
    }
}

/// Where the events of a request go.
pub(crate) struct Events {
    output: Output,
    progress: Option<Progress>,
    /// Events are part of the JSON on stdout.
    streamed: bool,
}

impl Events {
    /// Warnings only.
    pub(crate) fn silent(output: &Output) -> Self {
        Self {
            output: output.clone(),
            progress: None,
            streamed: false,
        }
    }

    /// A progress bar; with `--json` nothing, because the result is one object.
    pub(crate) fn drawn(output: &Output) -> Self {
        Self {
            progress: Some(Progress::new(output)),
            ..Self::silent(output)
        }
    }

    /// A progress bar, or with `--json` a line for each event.
    pub(crate) fn streamed(output: &Output) -> Self {
        Self {
            streamed: output.json,
            ..Self::drawn(output)
        }
    }

    fn take(&mut self, event: &Event) -> Result<(), Error> {
        if self.streamed {
            return self.output.json(event);
        }
        let work = match event {
            Event::Progress {
                state,
                bytes_verified,
                bytes_total,
                sources,
                stall,
            } => Work {
                state: *state,
                bytes_done: *bytes_verified,
                bytes_total: *bytes_total,
                sources: *sources,
                stall: stall.as_ref().map(waiting),
            },
            Event::Export {
                bytes_exported,
                bytes_total,
            } => Work {
                state: State::Exporting,
                bytes_done: *bytes_exported,
                bytes_total: *bytes_total,
                sources: 0,
                stall: None,
            },
            Event::Warning { message } => {
                self.output.warn(message);
                return Ok(());
            }
        };
        if let Some(progress) = &mut self.progress {
            progress.show(work, Instant::now());
        }
        Ok(())
    }

    fn beat(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.beat(Instant::now());
        }
    }

    fn clear(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
    }
}
