//! The calls: what a node does for its callers, one file each.
//!
//! A call is a type with its arguments, the type of its answer, and its work ([`Call`]). A caller in
//! the node's process gets the answer as that type; on the control socket, calls and answers are
//! JSON ([`Request`]).
//!
//! ```text
//! Session, NodeHandle -> start -> Call::handle -> Core      the answer is passed as it is
//! control -> Request -> start -> Call::handle -> Core       the answer is passed as JSON
//! ```
//!
//! # Adding a call
//! 1. `requests/NAME.rs`: the type of the call, the type of its answer, and `impl Call`.
//! 2. This file: `mod`, `pub use`, a line in [`calls!`] and one in the table of the test, which
//!    fixes the JSON. `NAME` is the name on the socket.
//!
//! For HTTP clients, `impl HttpCall` in the file and `: http` behind its line are all: the gateway
//! makes the route and the description of both.
//!
//! A command that makes the call is a file and a few lines in `cli/src/commands`.

mod add;
mod cat;
mod claims;
mod configure;
mod follow;
mod follows;
mod gc;
mod get;
mod id;
mod info;
mod join;
mod list;
mod name_list;
mod name_remove;
mod name_resolve;
mod name_set;
mod name_show;
mod observer;
mod peers;
mod pin;
mod providers;
mod publish;
mod publisher_join;
mod publisher_new;
mod publisher_show;
mod publisher_sign;
mod remove;
mod revision_remove;
mod route;
mod status;
mod swarm;
mod ticket;
mod transfers;
mod trust;
mod trusted;
mod unfollow;
mod unpin;
mod untrust;
mod verify;
mod why;

use std::sync::Arc;

use hubless_publishers::publishers::{Begin, Join as PublisherJoin, Sign};
use hubless_repos::names::NameSet;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    add::{Add, Added},
    cat::Cat,
    claims::{ClaimDetails, Claims, FindClaims},
    configure::{Configure, Configured, Holds},
    follow::{Follow, FollowDetails},
    follows::{Follows, ListFollows},
    gc::{Collected, Gc},
    get::{Fetched, Get, Got, Plan},
    id::{Id, Identified},
    info::{FileDetails, Info, ModelDetails},
    join::Join,
    list::{List, ModelSummary, Models},
    name_list::NameList,
    name_remove::NameRemove,
    name_resolve::NameResolve,
    name_show::NameShow,
    peers::{ListPeers, PeerDetails, Peers},
    pin::Pin,
    providers::{FindProviders, ProvidedHash, ProviderDetails, Providers},
    publish::{Publish, Published},
    publisher_show::PublisherShow,
    remove::Remove,
    revision_remove::RevisionRemove,
    route::{AnswerForm, HttpCall, HttpCalls, Method, Route},
    status::{DhtStatus, ShowStatus, Status, StoreStatus},
    swarm::FindSwarm,
    ticket::{MakeTicket, TicketReach, TicketText},
    transfers::{ListTransfers, Transfers},
    trust::{BoundName, Trust},
    trusted::{Trusted, TrustedName, TrustedNames},
    unfollow::{Unfollow, Unfollowed},
    unpin::Unpin,
    untrust::Untrust,
    verify::{Absence, Absent, Damaged, InModel, Verified, Verify},
    why::{Explain, Why},
};
use crate::{
    core::Core,
    failure::{Failure, FailureKind},
    remedy::Remedy,
    replies::{Replies, ReplySink, replies},
};

/// A call to a node: its arguments, the type of its answer, and its work.
pub trait Call: Into<Request> + Send + 'static {
    /// The answer.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// Does the work, in the process that has the home directory open.
    #[doc(hidden)]
    fn handle(
        self,
        core: &Arc<Core>,
        sink: &ReplySink,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Declares the calls: their names on the socket, their types, and `http` for those that HTTP
/// clients make too.
macro_rules! calls {
    ($($name:literal => $call:ident $(: $http:ident)?,)*) => {
        /// A call as it is sent over the control socket: the fields of its type, and its name in the
        /// field `do`.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(tag = "do")]
        pub enum Request {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $call($call),
            )*
        }

        impl Request {
            /// Starts the work of the call; the answer is JSON.
            pub(crate) fn start(self, core: Arc<Core>) -> Replies<Vec<u8>> {
                match self {
                    $(Self::$call(call) => start_as(core, call, to_json),)*
                }
            }
        }

        /// Hands over each call that HTTP clients make.
        pub fn visit_http_calls(calls: &mut impl HttpCalls) {
            $($(calls.$http::<$call>();)?)*
        }

        $(impl From<$call> for Request {
            fn from(call: $call) -> Self {
                Self::$call(call)
            }
        })*

        #[cfg(test)]
        const NAMES: &[&str] = &[$($name),*];
    };
}

calls! {
    "add" => Add,
    "get" => Get: http,
    "cat" => Cat,
    "list" => List: http,
    "info" => Info: http,
    "remove" => Remove: http,
    "pin" => Pin: http,
    "unpin" => Unpin: http,
    "gc" => Gc: http,
    "verify" => Verify,
    "join" => Join,
    "id" => Id,
    "status" => ShowStatus: http,
    "transfers" => ListTransfers: http,
    "peers" => ListPeers: http,
    "providers" => FindProviders: http,
    "claims" => FindClaims,
    "swarm" => FindSwarm,
    "ticket" => MakeTicket: http,
    "name_set" => NameSet: http,
    "name_list" => NameList: http,
    "name_show" => NameShow: http,
    "name_remove" => NameRemove: http,
    "revision_remove" => RevisionRemove,
    "name_resolve" => NameResolve,
    "publish" => Publish,
    "trust" => Trust,
    "trusted" => Trusted,
    "untrust" => Untrust,
    "follow" => Follow,
    "follows" => ListFollows,
    "unfollow" => Unfollow,
    "publisher_new" => Begin,
    "publisher_show" => PublisherShow,
    "publisher_join" => PublisherJoin,
    "publisher_sign" => Sign,
    "why" => Explain: http,
    "configure" => Configure,
}

impl Request {
    /// Reads a call from the socket.
    ///
    /// # Errors
    /// [`FailureKind::Usage`] if this version knows no such call, or a field has a wrong value.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(json).map_err(|error| {
            let message = format!("the node does not understand the call: {error}");
            Failure::new(FailureKind::Usage, message).remedy(Remedy::RestartNode)
        })
    }
}

/// Starts the work. It ends by itself, or soon after the replies are dropped or the node stops.
pub(crate) fn start<C: Call>(core: Arc<Core>, call: C) -> Replies<C::Answer> {
    start_as(core, call, Ok)
}

/// As [`start`], with the answer in another form.
fn start_as<C: Call, A: Send + 'static>(
    core: Arc<Core>,
    call: C,
    form: fn(C::Answer) -> Result<A, Failure>,
) -> Replies<A> {
    let (sink, end, replies) = replies(&core.cx.cancel);
    core.cx.tasks.clone().spawn(async move {
        let answer = call.handle(&core, &sink).await;
        end.send(&sink, answer.and_then(form)).await;
    });
    replies
}

fn to_json(answer: impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&answer).map_err(|error| Failure::new(FailureKind::Other, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "abababababababababababababababababababababababababababababababab";

    /// Each call as it is sent, byte for byte: processes of other versions read and send the same.
    /// `H` stands for a hash, `P` for the id of a publisher.
    const LINES: &[&str] = &[
        r#"{"do":"add","path":"/m","in_place":true,"follow_links":false}"#,
        r#"{"do":"get","hash":"H","peers":["/ip4/192.0.2.7/tcp/8420"],"output":"/o","include":["*.json"],"exclude":[],"dry_run":false,"timeout_s":30,"verify":false,"force":true}"#,
        r#"{"do":"cat","hash":"H","peers":[],"path":"a/b","range":[0,99],"timeout_s":30}"#,
        r#"{"do":"list"}"#,
        r#"{"do":"info","hash":"H"}"#,
        r#"{"do":"remove","hash":"H"}"#,
        r#"{"do":"pin","hash":"H"}"#,
        r#"{"do":"unpin","hash":"H"}"#,
        r#"{"do":"gc"}"#,
        r#"{"do":"verify","hash":null}"#,
        r#"{"do":"join"}"#,
        r#"{"do":"id"}"#,
        r#"{"do":"status"}"#,
        r#"{"do":"transfers"}"#,
        r#"{"do":"peers"}"#,
        r#"{"do":"providers","hash":"H","timeout_s":30}"#,
        r#"{"do":"claims","alias":"sha256:H","peers":[],"timeout_s":30}"#,
        r#"{"do":"swarm","hash":"H","timeout_s":5}"#,
        r#"{"do":"ticket","hash":"H","local":true}"#,
        r#"{"do":"name_set","repo":"acme/m","branch":"refs/heads/main","tags":["refs/tags/v1"],"hash":"H","message":null}"#,
        r#"{"do":"name_list"}"#,
        r#"{"do":"name_show","repo":"datasets/acme/d","sources":"all"}"#,
        r#"{"do":"name_remove","repo":"acme/m","name":"refs/tags/v1"}"#,
        r#"{"do":"revision_remove","repo":"acme/m","revision":"1a2b3c4"}"#,
        r#"{"do":"name_resolve","repo":"acme.com/m","revision":"main","sources":"dns","peers":["/ip4/192.0.2.7/tcp/8420"],"max_age_s":3600}"#,
        r#"{"do":"publish","add":{"path":"/m","in_place":true,"follow_links":false},"repo":"acme/m","branch":"refs/heads/main","tags":["refs/tags/v1"],"message":"More"}"#,
        r#"{"do":"trust","name":"acme","id":"P"}"#,
        r#"{"do":"trusted"}"#,
        r#"{"do":"untrust","name":"acme"}"#,
        r#"{"do":"follow","publisher":"acme","mirror":"tags"}"#,
        r#"{"do":"follows"}"#,
        r#"{"do":"unfollow","publisher":"acme"}"#,
        r#"{"do":"publisher_new","handle":"acme","org":true,"owner":"alice","private_by_default":false,"domains":["acme.com"]}"#,
        r#"{"do":"publisher_show"}"#,
        r#"{"do":"publisher_join","publisher":null,"root":"/k"}"#,
        r#"{"do":"publisher_sign","publisher":"acme","proposal":null,"changes":{"add":[],"remove":[],"keys":[],"threshold":2},"root":"/k","output":"/p"}"#,
        r#"{"do":"why","hash":"H"}"#,
        r#"{"do":"configure","key":"limit_up","value":"10MB"}"#,
    ];

    fn filled(line: &str) -> String {
        let publisher = hubless_content::PublisherId::new([0xab; 32]);
        line.replace('H', HASH).replace('P', &publisher.to_string())
    }

    #[test]
    fn each_call_has_the_json_that_other_versions_know() {
        assert_eq!(LINES.len(), NAMES.len(), "one line for each call");
        for (line, name) in LINES.iter().zip(NAMES) {
            let line = filled(line);
            assert!(line.starts_with(&format!(r#"{{"do":"{name}""#)), "{line}");
            let request = Request::parse(line.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
    }

    #[test]
    fn a_field_of_a_later_version_is_ignored() {
        for line in LINES {
            let line = filled(line);
            let later = line.replacen('{', r#"{"later":[1],"#, 1);
            let request = Request::parse(later.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
    }

    #[test]
    fn a_call_that_is_not_understood_is_refused_with_the_reason() {
        for (line, reason) in [
            (r#"{"do":"fly"}"#, "unknown variant `fly`"),
            (r#"{"do":"info","hash":"H1"}"#, "a hash has"),
            (
                r#"{"do":"claims","alias":"sha256:H","peers":["10.0.0.1:1"],"timeout_s":1}"#,
                "multiaddr",
            ),
        ] {
            let line = line.replace('H', HASH);
            let failure = Request::parse(line.as_bytes()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Usage, "{line}");
            assert!(failure.message.contains(reason), "{failure}");
        }
    }
}
