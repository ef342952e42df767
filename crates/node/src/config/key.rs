//! What is known of a key beside its value: how it is written, and where it can be set.

use std::path::PathBuf;

use hubless_network::Multiaddr;

use super::{
    AnnouncePolicy, ByteSize, DirectoryRepo, DnsAt, GatewayAt, Rate, ScrubEvery, UpstreamUrl,
};

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its name in `config.toml`.
    pub name: &'static str,
    pub(super) doc: &'static str,
    /// How its value is written.
    pub form: Form,
    /// When a change holds in a running node.
    pub holds: ChangeHolds,
    /// The flag of the command line that sets it, if there is one.
    pub flag: Option<Flag>,
}

impl Key {
    /// The text that explains it to people, in one line.
    pub fn text(&self) -> &'static str {
        self.doc.trim_start()
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("HUBLESS_{}", self.name.to_uppercase())
    }
}

/// How the value of a key is written in the environment and on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `true` or `false`.
    Switch,
    /// A text that the type of the key reads.
    Text,
    /// A number of bytes, also as a bare number.
    Size,
    /// The path of a file.
    Path,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Texts, separated by commas.
    Texts,
    /// Multiaddrs, separated by commas.
    Addresses,
}

impl Form {
    /// Whether there can be several values.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Addresses)
    }
}

/// When a change of a key holds in a running node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeHolds {
    /// At once.
    Now,
    /// When the node is started again.
    AfterRestart,
}

/// A flag of the command line that sets a key. A switch whose flag begins with `--no-` is turned off
/// by it.
#[derive(Debug)]
pub struct Flag {
    /// The heading under which it stands, and the commands that take it.
    pub section: FlagSection,
    pub(super) spelling: &'static str,
    /// What it does: one line, and after an empty one more of it.
    pub help: &'static str,
}

impl Flag {
    /// The name behind `--`.
    pub fn name(&self) -> &'static str {
        let flag = self.spelling.split(' ').next().unwrap_or_default();
        flag.trim_start_matches("--")
    }

    /// What stands for the value in the help; none for a switch.
    pub fn value_name(&self) -> Option<&'static str> {
        let (_, value) = self.spelling.split_once(" <")?;
        value.strip_suffix('>')
    }
}

/// The commands that take a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagSection {
    /// Those that reach other nodes.
    Network,
    /// Those that serve.
    Serving,
}

/// A type that a key can have.
pub(super) trait KeyValue {
    const FORM: Form;
}

impl<T: KeyValue> KeyValue for Option<T> {
    const FORM: Form = T::FORM;
}

macro_rules! forms {
    ($($type:ty: $form:expr;)+) => {
        $( impl KeyValue for $type { const FORM: Form = $form; } )+
    };
}

forms! {
    bool: Form::Switch;
    ByteSize: Form::Size;
    Rate: Form::Size;
    PathBuf: Form::Path;
    GatewayAt: Form::Text;
    DnsAt: Form::Text;
    ScrubEvery: Form::Text;
    UpstreamUrl: Form::Text;
    AnnouncePolicy: Form::OneOf(&["roots", "files", "chunks"]);
    Vec<String>: Form::Texts;
    Vec<DirectoryRepo>: Form::Texts;
    Vec<Multiaddr>: Form::Addresses;
}
