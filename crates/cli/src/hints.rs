//! The next step after a failure, in the words of the command line.

use hubless_content::PublisherId;
use hubless_node::api::Remedy;

/// What to try next.
pub(crate) fn hint(remedy: &Remedy) -> String {
    use Remedy as R;
    let text = match remedy {
        R::PutIntoDirectory => {
            "a model is a directory: put the file into one of its own and add that"
        }
        R::CheckPath => "check the path: it must be an existing directory",
        R::AddFiles => "a model needs at least one file; empty directories do not count",
        R::RenameFile => "rename the file and run the same command again",
        R::FollowLinks => "add `--follow-links` to import what links lead to",
        R::WaitForWriters => "wait until nothing writes to it, then run the command again",
        R::MakeWritable => {
            "make it writable for this user, or use another home directory with `--home`"
        }
        R::MakeRoom => {
            "make room (`hubless rm HASH`, then `hubless gc`), then run the same command again: it \
             resumes"
        }
        R::RaiseQuota => {
            "raise `quota` (`hubless config show`) or make room (`hubless rm HASH`, then `hubless \
             gc`), then run the same command again: it resumes"
        }
        R::Update => "update hubless",
        R::Repair => "`hubless verify` finds what is damaged, `hubless get` repairs it",
        R::RepairFromPeers => {
            "`hubless get` fetches it when a peer that has it can be reached; `hubless verify` lists \
             all that is damaged"
        }
        R::CheckDisk => "it was fetched again and found damaged again: check the disk",
        R::NamePublisher => {
            "give the publisher's id: 52 characters, which `hubless publisher show` prints where it was made"
        }
        R::UseNewName => "use the new name",
        R::CheckPublisher => {
            "check the id and the name; `hubless get 'hubless:ID/NAME?peer=...'` asks the node at an \
             address, and `hubless ticket NAME` prints that where the name is known"
        }
        R::ComparePublisher => {
            "compare the publisher's id with the publisher by another way, such as its website"
        }
        R::FindHolder => "try again later, or name a node that has it with `--peer`",
        R::RaiseMaxAge => "a larger `--max-age` accepts it",
        R::MakePublisher => {
            "`hubless publisher show` prints the publishers of this node, and `hubless publisher new \
             HANDLE` makes one"
        }
        R::RestoreKey => {
            "restore it from a backup, or have the holder of the root key replace it: `hubless publisher \
             join`, then `hubless publisher sign --add KEY`"
        }
        R::RepeatChange => "run the same command again: it goes on from what the branch has now",
        R::ListFollows => "`hubless follow ls` prints the publishers that are followed",
        R::RemoveNames => "`hubless name rm` makes room",
        R::MoveOrReplace => {
            "move it away, choose another directory with `-o`, or replace such files with `--force`"
        }
        R::OtherTarget => "choose another directory with `-o`",
        R::TryAgain => "run the same command again",
        R::RestartNode => "stop the node that runs on this home and start it again in this version",
        R::OtherPort => "another program listens there; choose another port with `--listen`",
        R::CheckNetworkConfig => {
            "check `listen`, `bootstrap` and `network_key` in `hubless config show`"
        }
        R::CheckNetwork => {
            "check the network, and `bootstrap` and `peers` in `hubless config show`; `hubless serve` \
             prints the addresses of a node"
        }
        R::NamePeer => "give --peer or a ticket (`hubless ticket`); is the network up?",
        R::FindProvider => {
            "check the hash; ask its publisher for a ticket (`hubless ticket`), or join their network \
             with `--bootstrap`"
        }
        R::WaitForProviders => "ask again when its providers are back",
        R::WaitForHolder => {
            "try again when a node that holds it is back; `hubless providers` lists the nodes that \
             announced it"
        }
        R::AskPublisher => "its publisher made it so; ask for another content hash",
        R::ConfigureListen => "see `listen` in `hubless config show`",
        R::StartNode => "start one with `hubless serve`, in another terminal or as a service",
        R::CheckUpstream => {
            "check `upstream`, the proxy variables if there is a proxy, and SSL_CERT_FILE if no \
             public authority signed its certificate"
        }
        R::InstallCertificates => "install the system's CA certificates, or set SSL_CERT_FILE",
        R::AllowHost => "if that is right, name the host with --upstream-host",
        R::WriteHost => "a host without a scheme, such as cdn.example, or *.cdn.example",
        R::NameUpstream => "name the hub where the repo comes from with --upstream",
        R::DownloadAgain => "download it again from the beginning",
        R::ListNames => "`hubless name ls` prints the names that this node knows",
        R::AskForHash => {
            "`hubless name ls` prints the names that are known here; a name of another machine begins \
             with the id of its publisher, or with a name that `hubless trust` has given it"
        }
        R::CheckName => "check the name; what is private needs a token, at the gateway",
        R::BindName { name, publishers } => return bind_name(name, publishers),
        R::FollowDirectory { publisher } => {
            return format!(
                "`hubless follow {publisher}` fetches it, or take it out of `directories`"
            );
        }
        R::CorrectDirectory => {
            "ask its keeper to correct it, or take it out of `directories` in `hubless config show`"
        }
        R::BindOtherName => {
            "bind another name: `hubless trust OTHER ID`; ID/NAME always works without one"
        }
        R::ListBound => "`hubless trust ls` prints the names that are bound",
        R::CheckDns => {
            "check the network, and `dns` in `hubless config show`; ID/NAME works without the DNS"
        }
        R::UseId => {
            "ask the publisher for the id, and write ID/NAME; `hubless trust NAME ID` gives it a name \
             here"
        }
        R::DownloadOnce => {
            "download it once through the gateway; its content hash is known after that"
        }
        R::WriteOrgName => "write the name as ORG/NAME, such as acme/my-model",
        R::OtherName => "choose another name, or `hubless name rm` it first",
        R::ShorterMessage => "give a shorter message",
        R::ListFiles => "see its files with `--dry-run`, and put globs into quotes",
        R::WriteGlobs => {
            "write globs as *.safetensors, onnx/* or tokenizer.{json,model}, in quotes"
        }
        R::CountFromZero => "bytes are counted from 0",
        R::UseNode => {
            "`hubless status` shows it, `hubless add PATH` shares a directory through it; use \
             another home directory with `--home`"
        }
        R::WaitForProcess => {
            "wait until it has ended, or stop it: what it did is kept, and goes on from there"
        }
        R::EndProcess => {
            "end it, then run the same command again; a stopped one goes on with `kill -CONT PID`"
        }
        R::SeeNodeLog => {
            "see why it ended where `hubless serve` runs, then run the same command again"
        }
        R::GoOn => "run the same command again: it goes on from there",
        R::ShorterHome => "the path of a socket has at most 107 bytes: use a shorter `--home`",
        R::ListKeys => "`hubless config show --origin` lists all keys",
        R::AppendPeerId => {
            "`hubless serve` prints the addresses of a node, and `hubless id` its peer id"
        }
        R::ProtectNetworkKey => "`network_key` is the path of a file that only its owner can read",
        R::WriteNetworkKey => {
            "a key file has three lines: /key/swarm/psk/1.0.0/, /base16/, and 64 digits"
        }
        R::OtherHome { home } => {
            return format!(
                "another hubless uses this home directory ({}); wait for it, or use another one with \
                 `--home`",
                home.display()
            );
        }
        R::RestoreIndex { path } => {
            return format!(
                "restore {0} from a backup, or move it away ({0}.damaged) and add or get the models \
                 again",
                path.display()
            );
        }
        R::GetModel { model } => {
            return format!("`hubless ls` shows what is here; `hubless get {model}` fetches it");
        }
        R::Resume { model } => return format!("`hubless get {model}` resumes when that is mended"),
        R::ResumeWithProviders { model } => {
            return format!(
                "what is here is kept: `hubless get {model}` resumes when its providers are back"
            );
        }
        R::ShowName { name: None } => {
            "`hubless name show NAME` prints its branches, tags and revisions"
        }
        R::ShowName { name: Some(name) } => {
            return format!("`hubless name show {name}` prints its revisions");
        }
        R::MoveRef { name, of } => return move_ref(name, of),
        R::RemoveName { name } => {
            return format!(
                "`hubless rm {name}@REVISION` forgets an old revision, `hubless name rm {name}` the \
                 whole name; then run the same command again"
            );
        }
        R::ShowFiles { model } => return format!("`hubless info {model}` lists its files"),
        R::WriteMultiaddr { meant: Some(meant) } => return format!("did you mean {meant}?"),
        R::WriteMultiaddr { meant: None } => {
            "write addresses as /ip4/192.0.2.7/tcp/8420 or /dns4/example.org/tcp/8420"
        }
        R::OtherHandle => {
            "choose another handle; `hubless publisher show` prints the publishers of this node"
        }
        R::ListPublishers => {
            "`hubless publisher show` prints the publishers of this node, `hubless publisher new HANDLE` \
             makes one"
        }
        R::NameOwnPublisher => "name one with --publisher",
        R::ProtectKey { path } => {
            return format!(
                "`chmod 600 {}` makes it its owner's alone; if others may have read it, replace the key: \
                 `hubless publisher sign --help`",
                path.display()
            );
        }
        R::ReplaceKey { publisher } => {
            return format!(
                "restore it from a backup, or replace it: `hubless publisher join` prints a new key, and \
                 `hubless publisher sign --publisher {publisher} --root FILE --add KEY` adds it"
            );
        }
        R::AddSigner { publisher } => {
            return format!(
                "`hubless publisher join` prints the key of this node; where the root key is, `hubless \
                 publisher sign --publisher {publisher} --root FILE --add KEY` adds it"
            );
        }
        R::NameRootKey => {
            "--root names the file of a root key of this publisher that has not signed yet"
        }
        R::ProposeAgain => "make the proposal again: the identity has changed since",
        R::FollowFirst { publisher } => {
            return format!("`hubless follow {publisher}` fetches what is known of it");
        }
        R::ProtectIdentity { path } => {
            return format!(
                "`chmod 600 {}` makes it its owner's alone; without the file a new one is made",
                path.display()
            );
        }
    };
    text.to_owned()
}

fn bind_name(name: &str, publishers: &[PublisherId]) -> String {
    let commands = publishers
        .iter()
        .map(|id| format!("`hubless trust {name} {id}`"));
    format!(
        "ask the publisher which id is right, then bind the name to it: {}",
        commands.collect::<Vec<_>>().join(" or ")
    )
}

fn move_ref(name: &hubless_content::RepoId, of: &hubless_content::RefName) -> String {
    let option = if of.as_str().starts_with("refs/tags/") {
        "tag"
    } else {
        "branch"
    };
    format!(
        "give the {option} new content with `hubless name set`, or remove it: `hubless name rm {name} \
         --{option} {}`; then run the same command again",
        of.short()
    )
}
