//! Ctrl-C and SIGTERM: the first asks for an ordered end, the second ends at once.

use std::io;

use hubless_node::api::FailureKind;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{
    failure::{Error, Failure, exit_code},
    output::Output,
};

/// Whether the user asked for the end.
#[derive(Clone)]
pub(crate) struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Takes the signals over for the rest of the process.
    pub(crate) fn listen(output: &Output) -> Result<Self, Error> {
        let signals = || -> io::Result<[Signal; 2]> {
            Ok([
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            ])
        };
        let signals = signals().map_err(|error| {
            Failure::new(
                FailureKind::Other,
                format!("could not listen for signals: {error}"),
            )
        })?;
        let (ask, asked) = watch::channel(false);
        tokio::spawn(watch_signals(signals, ask, output.clone()));
        Ok(Self { asked })
    }

    /// Returns when the user has asked for the end.
    pub(crate) async fn wait(&self) {
        // The sender lives as long as the runtime.
        let _ = self.asked.clone().wait_for(|asked| *asked).await;
    }

    /// Does the work unless the user asks for the end; the work is then dropped.
    pub(crate) async fn guard<T, E: Into<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.wait() => Err(Error::interrupted()),
            outcome = work => outcome.map_err(Into::into),
        }
    }
}

async fn watch_signals(signals: [Signal; 2], ask: watch::Sender<bool>, output: Output) {
    let [mut interrupt, mut terminate] = signals;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if ask.send_replace(true) {
            std::process::exit(exit_code(FailureKind::Interrupted).into());
        }
        output.note("stopping; Ctrl-C again ends at once");
    }
}
