//! The command line as a person or a script meets it: the real binary, one process, no network.

#![allow(clippy::unwrap_used, reason = "what cannot be prepared fails the test")]

mod arguments;
mod configuration;
mod reference;
mod results;
mod shell;

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A home directory, and nothing of the environment of the user that runs the test.
struct Hubless {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a run left.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Hubless {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn with_config(self, text: &str) -> Self {
        std::fs::write(self.home().join("config.toml"), text).unwrap();
        self
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubless"));
        command
            .env_clear()
            .env("HOME", self.home())
            .env("HUBLESS_HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(args)
            .stdin(Stdio::null());
        command
    }

    fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run::of(self.command(args))
    }
}

impl Run {
    fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It worked; what it printed.
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// It failed with this code, nothing on stdout, and all these texts on stderr.
    fn failed(self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing: {self:?}");
        }
    }

    /// It failed with this code and, on stderr, one line of JSON.
    fn failed_json(self, code: i32) -> serde_json::Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        let line: serde_json::Value = serde_json::from_str(&self.stderr).unwrap();
        line["error"].clone()
    }
}
