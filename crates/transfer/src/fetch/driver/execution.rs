//! Executes what the state machine decided.

use std::{collections::VecDeque, sync::Arc};

use hubless_fetch::{Dial, Layout, Output, PeerCommand, SourceId, WalkKey};
use hubless_network::{AnnounceKey, Multiaddr, PeerId};
use tokio::sync::mpsc;

use super::{COMMANDS_MAX, Driver};
use crate::{
    blocking::Blocking,
    error::TransferError,
    fetch::{
        connection::{self, ConnectionArgs, Input},
        discovery, plan,
    },
};

impl Driver {
    pub(super) async fn execute_all(
        &mut self,
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), TransferError> {
        while let Some(output) = self.fetch.poll_output() {
            self.execute(output, inputs).await?;
        }
        Ok(())
    }

    /// Executes a decision; what it leads to is added to `inputs`.
    async fn execute(
        &mut self,
        output: Output<PeerId, Multiaddr>,
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), TransferError> {
        match output {
            Output::Join => {
                let network = self.network.clone();
                self.searches
                    .spawn(async move { Input::Joined(discovery::join(&network).await) });
            }
            Output::Walk(key) => self.walk(key),
            Output::Connect(source, dial) => self.connect(source, dial),
            // The connection ends when no more commands can come.
            Output::Close(source) => drop(self.connections.remove(&source)),
            Output::Send(source, command) => inputs.extend(self.send(source, command)),
            Output::StoreManifest(manifest) => {
                let store = self.shared.fetches.cx.store.clone();
                Blocking::run_long(move || store.put_manifest(&manifest)).await??;
            }
            Output::Plan(layout) => self.plan(layout, inputs).await?,
            Output::PlanRead { file, request } => {
                let Some(layout) = self.reports.known_layout() else {
                    return Ok(());
                };
                let (fetches, bytes) = (self.shared.fetches.clone(), request.bytes);
                let planned = move || plan::plan_read(&fetches.cx.store, &layout, file, bytes);
                inputs.push_back(Input::ReadPlanned {
                    file,
                    next: request.next,
                    planned: Blocking::run_long(planned).await??,
                });
            }
            Output::Ban(peer) => {
                let cx = self.shared.fetches.cx.clone();
                let tasks = cx.tasks.clone();
                // Beside the fetch, which may have ended by then.
                tasks.spawn(async move { cx.reject(peer).await });
            }
            Output::Stalled => self.shared.fetches.cx.counters.stalls.count(),
            Output::Finish(Ok(finished)) => self.finished = Some(finished),
            Output::Finish(Err(error)) => {
                return Err(TransferError::of_fetch(&self.shared.target, error));
            }
        }
        Ok(())
    }

    /// Compares the layout with the store; from then on readers and connections know it.
    async fn plan(
        &mut self,
        layout: Arc<Layout>,
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), TransferError> {
        let request = self.fetch.request();
        let (bytes, pin) = (request.wanted_bytes(), request.pins());
        let (fetches, planned) = (self.shared.fetches.clone(), layout.clone());
        let planned = move || plan::plan(&fetches.cx.store, &planned, &bytes, pin);
        inputs.push_back(Input::Planned(Blocking::run_long(planned).await??));
        self.reports.layout_known(layout);
        let fetches = &self.shared.fetches;
        fetches.cx.note_change();
        if let Some(model) = self.shared.target.model() {
            let askers = fetches.swarms.known(model).into_iter();
            inputs.extend(askers.map(Input::PeerAsked));
        }
        Ok(())
    }

    fn walk(&mut self, key: WalkKey) {
        let (announced, file) = match key {
            WalkKey::Target => (discovery::key_of(&self.shared.target), None),
            WalkKey::File(file) => (AnnounceKey::from(file), Some(file)),
        };
        let walk = discovery::walk(
            self.network.clone(),
            announced,
            file,
            self.inbox.names.clone(),
        );
        self.searches
            .spawn(async move { Input::WalkEnded(walk.await) });
    }

    fn connect(&mut self, source: SourceId, dial: Dial<PeerId, Multiaddr>) {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        self.connections.insert(source, commands);
        self.connection_tasks.spawn(connection::run(ConnectionArgs {
            source,
            dial,
            commands: received,
            shared: self.shared.clone(),
        }));
    }

    /// Gives a connection a command; returns what to report if it cannot take it.
    fn send(&self, source: SourceId, command: PeerCommand) -> Option<Input> {
        let Some(commands) = self.connections.get(&source) else {
            return Some(Input::Undelivered(source, command));
        };
        let undelivered = commands.try_send(command).err()?.into_inner();
        Some(Input::Undelivered(source, undelivered))
    }
}
