//! What a caller can do about a failure, as a value: each surface (command line, control API, pages)
//! writes it in its own words, or not at all.

use std::path::PathBuf;

use hubless_content::{ContentHash, PublisherId, RefName, RepoId};
use serde::{Deserialize, Serialize};

/// The next step after a failure. Serialized, it is an object with `do`, the variant's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Remedy {
    // Import.
    /// Put the file into a directory, and add that: a model is a directory.
    PutIntoDirectory,
    /// Check the path: it leads to no directory.
    CheckPath,
    /// Add at least one file; empty directories do not count.
    AddFiles,
    /// Rename the file, whose name cannot be kept.
    RenameFile,
    /// Import the targets of symbolic links as well.
    FollowLinks,
    /// Wait until no program writes to the files.
    WaitForWriters,

    // The store and its home directory.
    /// Make the home directory writable, or use another one.
    MakeWritable,
    /// Remove models: the disk is full.
    MakeRoom,
    /// Raise the quota, or remove models.
    RaiseQuota,
    /// Use another home directory, or wait: another process has this one.
    OtherHome {
        /// The home directory in use.
        home: PathBuf,
    },
    /// Restore the index from a backup, or move it away.
    RestoreIndex {
        /// The index.
        path: PathBuf,
    },
    /// Update hubless: the format on disk is newer.
    Update,
    /// Fetch the model.
    GetModel {
        /// The model.
        model: ContentHash,
    },
    /// Find what is damaged, and fetch it again.
    Repair,
    /// Fetch it again as soon as a peer that has it can be reached.
    RepairFromPeers,
    /// Check the disk: what was fetched again is damaged again.
    CheckDisk,
    /// Give the id of a publisher, or a namespace that stands for one on this node.
    NamePublisher,
    /// List the publishers that are followed.
    ListFollows,
    /// Use the name that the repo has now.
    UseNewName,
    /// Check that the id of the publisher is right; a ticket of a name has addresses of a node that knows it.
    CheckPublisher,
    /// Compare the id with the publisher by another way, and bind the right one.
    ComparePublisher,
    /// Wait until a node that has the state is there, or name one.
    FindHolder,
    /// Accept an older confirmation.
    RaiseMaxAge,
    /// Publish under a publisher of this node, or make one.
    MakePublisher,
    /// Restore the signing key, or have the root key name a new one.
    RestoreKey,
    /// Repeat the change on top of what another signer made.
    RepeatChange,
    /// Remove names: there are too many.
    RemoveNames,
    /// Move the files away, export elsewhere, or replace them.
    MoveOrReplace,
    /// Export into another directory.
    OtherTarget,
    /// Do the same again.
    TryAgain,
    /// Stop the node, and start it again in the caller's version.
    RestartNode,

    // Publishers.
    /// Choose another handle: this one stands for a publisher.
    OtherHandle,
    /// List the publishers of this node, or make one.
    ListPublishers,
    /// Name one of the publishers of this node.
    NameOwnPublisher,
    /// Make the key file its owner's alone.
    ProtectKey {
        /// The file.
        path: PathBuf,
    },
    /// Restore the signing key, or have a root key put another one in its place.
    ReplaceKey {
        /// The publisher.
        publisher: PublisherId,
    },
    /// Have a root key add the key of this node.
    AddSigner {
        /// The publisher.
        publisher: PublisherId,
    },
    /// Name the file of a root key of the publisher.
    NameRootKey,
    /// Propose the change again, from the identity as it is now.
    ProposeAgain,
    /// Follow the publisher first: nothing is known of it here.
    FollowFirst {
        /// The publisher.
        publisher: PublisherId,
    },

    // The network.
    /// Listen on another port.
    OtherPort,
    /// Check the addresses and the key of the network in the configuration.
    CheckNetworkConfig,
    /// Check the network and the peers that the configuration names.
    CheckNetwork,
    /// Name a peer or give a ticket: the node has no peers.
    NamePeer,
    /// Check the hash, ask for a ticket, or join the network of the publisher.
    FindProvider,
    /// Fetch again when the error is mended: what is here is kept.
    Resume {
        /// The model.
        model: ContentHash,
    },
    /// Fetch again when its providers are back: what is here is kept.
    ResumeWithProviders {
        /// The model.
        model: ContentHash,
    },
    /// Ask again when its providers are back.
    WaitForProviders,
    /// Ask again when a holder is back; the DHT lists those that announced it.
    WaitForHolder,
    /// Ask the publisher for another content hash: this one leads to what cannot be kept.
    AskPublisher,
    /// Configure an address that peers can dial.
    ConfigureListen,
    /// Start a node.
    StartNode,

    // Upstreams.
    /// Check the upstream's URL, the proxy and the CA certificates.
    CheckUpstream,
    /// Install CA certificates, or name a file of them.
    InstallCertificates,
    /// Allow the host that the upstream leads to.
    AllowHost,
    /// Write a host without a scheme, or a pattern of hosts.
    WriteHost,
    /// Configure the hub that the repo comes from.
    NameUpstream,
    /// Download the file again from the beginning.
    DownloadAgain,

    // Names.
    /// List the names that this node knows.
    ListNames,
    /// List the names that are known here; a name of another machine begins with the id of its publisher.
    AskForHash,
    /// List the branches, tags and revisions of a name.
    ShowName {
        /// The name, if one was given.
        name: Option<RepoId>,
    },
    /// Check the name; private repos need a token.
    CheckName,
    /// Ask the publisher which of these ids is right, and bind the name to it by hand.
    BindName {
        /// The namespace.
        name: String,
        /// The publishers that it may be.
        publishers: Vec<PublisherId>,
    },
    /// Follow the publisher of a directory, so that its names are here.
    FollowDirectory {
        /// The publisher.
        publisher: String,
    },
    /// Ask the keeper of a directory to correct it.
    CorrectDirectory,
    /// Bind another name: this one is taken on this node.
    BindOtherName,
    /// List the names that are bound to publishers.
    ListBound,
    /// Check the resolver, or name the publisher by its id.
    CheckDns,
    /// Name the publisher by its id.
    UseId,
    /// Download it once through the gateway, which finds its content hash.
    DownloadOnce,
    /// Write the name as `ORG/NAME`.
    WriteOrgName,
    /// Choose another name, or remove the one that a hub has given.
    OtherName,
    /// Give a shorter message.
    ShorterMessage,
    /// Move the ref to other content, or remove it.
    MoveRef {
        /// The name.
        name: RepoId,
        /// The branch or tag.
        of: RefName,
    },
    /// Remove a revision of the name, or the whole name.
    RemoveName {
        /// The name.
        name: RepoId,
    },

    // Requests.
    /// List the files of a model before choosing some.
    ListFiles,
    /// List the files of this model.
    ShowFiles {
        /// The model.
        model: ContentHash,
    },
    /// Write globs, in quotes.
    WriteGlobs,
    /// Count bytes from 0.
    CountFromZero,

    // Processes.
    /// Use the node that runs, or another home directory.
    UseNode,
    /// Wait for the process, or stop it: its work is kept.
    WaitForProcess,
    /// Continue or end the process, which does not answer.
    EndProcess,
    /// Look at the log of the node that ended.
    SeeNodeLog,
    /// Do the same again: the work goes on from there.
    GoOn,
    /// Use a home directory with a shorter path: a socket has at most 107 bytes.
    ShorterHome,

    // Configuration.
    /// List the keys of the configuration.
    ListKeys,
    /// Write addresses as multiaddrs.
    WriteMultiaddr {
        /// What may have been meant.
        meant: Option<String>,
    },
    /// Append the peer id to an address.
    AppendPeerId,
    /// Let only the owner read the identity.
    ProtectIdentity {
        /// Its file.
        path: PathBuf,
    },
    /// Let only the owner read the network key, and name its file.
    ProtectNetworkKey,
    /// Write the three lines of a network key.
    WriteNetworkKey,
}
