//! Network namespaces of this process.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{self, Command},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

/// Prefix of the names of all namespaces, before the process id.
const NAME_PREFIX: &str = "hubless-";

/// The directory in which iproute2 keeps the names of namespaces.
const DIRECTORY: &str = "/run/netns";

/// The preconditions, for messages of failures.
const NEEDS: &str = "networks in namespaces need iproute2 and the right to make them: run as root \
                     (in a container: with CAP_NET_ADMIN and CAP_SYS_ADMIN)";

static NUMBER: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

/// A network namespace, removed when dropped, also by a panic. One that a killed process left behind
/// is removed when the next process creates its first.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates one with only a loopback device that is down. The label makes it recognizable.
    pub fn new(label: &str) -> Self {
        SWEPT.call_once(sweep);
        let number = next_number();
        let name = format!("{NAME_PREFIX}{}-{number}-{label}", process::id());
        run(&mut ip(&["netns", "add", &name]));
        Self { name }
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs inside; its process is the program itself.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        command_in(&self.name, program)
    }

    /// Runs `ip` inside.
    pub(super) fn ip(&self, args: &[&str]) {
        run(&mut ip(&[&["-n", &self.name], args].concat()));
    }

    /// Runs `tc` inside.
    pub(super) fn tc(&self, args: &[&str]) {
        run(Command::new("tc").args(["-n", &self.name]).args(args));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure is not reported: this may run during a panic, and the next sweep removes it.
        let _ = ip(&["netns", "del", &self.name]).output();
    }
}

/// [`Namespace::command`], by the namespace's name.
pub(crate) fn command_in(name: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = ip(&["netns", "exec", name]);
    command.arg(program);
    command
}

/// A number that is unique in this process.
pub(super) fn next_number() -> u32 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// `ip` with arguments.
pub(super) fn ip(args: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(args);
    command
}

/// Runs a command of iproute2, which must succeed.
pub(super) fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}\n{NEEDS}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{NEEDS}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

/// Removes the namespaces of processes that are gone.
fn sweep() {
    for entry in fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(owner) = owner(name) else { continue };
        if !Path::new("/proc").join(owner.to_string()).exists() {
            // Another process may have removed it at the same time.
            let _ = ip(&["netns", "del", name]).output();
        }
    }
}

/// The process id in a namespace's name, if the name has the prefix.
fn owner(name: &str) -> Option<u32> {
    let (owner, _) = name.strip_prefix(NAME_PREFIX)?.split_once('-')?;
    owner.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::*;

    fn exists(name: &str) -> bool {
        Path::new(DIRECTORY).join(name).exists()
    }

    #[test]
    fn a_namespace_goes_with_its_value_also_in_a_panic() {
        let namespace = Namespace::new("panics");
        let name = namespace.name().to_owned();
        assert!(exists(&name));
        let panicked = panic::catch_unwind(move || {
            let _kept = namespace;
            panic!("as a failing test does");
        });
        assert!(panicked.is_err() && !exists(&name));
    }

    #[test]
    fn what_a_killed_process_left_behind_is_swept() {
        let mut gone = Command::new("true").spawn().unwrap();
        let left = format!("{NAME_PREFIX}{}-0-left", gone.id());
        gone.wait().unwrap();
        run(&mut ip(&["netns", "add", &left]));
        let own = Namespace::new("own");
        sweep();
        assert!(!exists(&left) && exists(own.name()));
        assert_eq!(owner("hubless-demo"), None);
    }

    #[test]
    fn a_command_runs_inside_as_itself() {
        let namespace = Namespace::new("inside");
        let child = namespace
            .command("readlink")
            .arg("/proc/self/ns/net")
            .output();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let inside = String::from_utf8(child.unwrap().stdout).unwrap();
        assert!(inside.starts_with("net:") && inside.trim() != own.to_str().unwrap());
    }
}
