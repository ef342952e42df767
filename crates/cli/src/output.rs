//! Where words go: results to stdout, everything else to stderr.

use std::{
    io::{self, IsTerminal, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::Arc,
};

use hubless_node::api::Event;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::{args::Global, failure::Error, text};

/// The two streams, and how they are to be used.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    styled: bool,
    /// Draws the progress bar, if there is one. Everything else that goes to stderr waits for it.
    bars: Arc<MultiProgress>,
    progress: ProgressAs,
}

/// How the progress of long work is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProgressAs {
    Bar,
    Lines,
    Nothing,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let terminal = io::stderr().is_terminal();
        let progress = match terminal {
            _ if global.json || global.quiet || global.no_progress => ProgressAs::Nothing,
            true => ProgressAs::Bar,
            false => ProgressAs::Lines,
        };
        let target = match progress {
            ProgressAs::Bar => ProgressDrawTarget::stderr(),
            ProgressAs::Lines | ProgressAs::Nothing => ProgressDrawTarget::hidden(),
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            styled: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            bars: Arc::new(MultiProgress::with_draw_target(target)),
            progress,
        }
    }

    /// For a mistake in the arguments, when what they ask for is not known.
    pub(crate) fn for_usage(json: bool) -> Self {
        let global = Global {
            home: None,
            json,
            quiet: false,
            verbose: 0,
            no_progress: true,
        };
        Self::new(&global)
    }

    /// Whether progress is drawn.
    pub(crate) fn has_bars(&self) -> bool {
        self.progress == ProgressAs::Bar
    }

    /// Whether progress is printed in lines, for a log.
    pub(crate) fn has_progress_lines(&self) -> bool {
        self.progress == ProgressAs::Lines
    }

    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// A line of the result.
    pub(crate) fn line(&self, line: &str) -> Result<(), Error> {
        self.bars
            .suspend(|| writeln!(io::stdout().lock(), "{line}"))
            .map_err(Error::from)
    }

    /// Lines of the result.
    pub(crate) fn lines(&self, lines: &[String]) -> Result<(), Error> {
        self.bars.suspend(|| {
            // A list may be long: one lock and few writes.
            let mut stdout = io::BufWriter::new(io::stdout().lock());
            lines
                .iter()
                .try_for_each(|line| writeln!(stdout, "{line}"))?;
            stdout.flush()
        })?;
        Ok(())
    }

    /// A path as the result: as it is for a program, escaped for a terminal.
    pub(crate) fn path(&self, path: &Path) -> Result<(), Error> {
        if io::stdout().is_terminal() {
            return self.line(&text::printable(&path.to_string_lossy()));
        }
        self.raw(&[path.as_os_str().as_bytes(), b"\n"].concat())
    }

    /// A result that is a text of its own kind.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// The result, or one event of it, as a line of JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Error> {
        let json = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(&text::json_printable(&json))
    }

    /// A result under the name of an event: one of several lines.
    pub(crate) fn json_event(&self, event: &str, result: &impl Serialize) -> Result<(), Error> {
        self.json(&Named { event, result })
    }

    /// Something a person may want to know, on stderr.
    pub(crate) fn note(&self, note: &str) {
        if !self.quiet && !self.json {
            self.stderr(&text::printable_lines(note));
        }
    }

    /// Something a person should know, on stderr.
    pub(crate) fn warn(&self, message: &str) {
        if self.quiet {
            return;
        }
        if self.json {
            self.stderr_json(&Event::Warning {
                message: message.to_owned(),
            });
        } else {
            let label = self.style("33;1", "warning:");
            self.stderr(&format!("{label} {}", text::printable_lines(message)));
        }
    }

    pub(crate) fn stderr_json(&self, value: &impl Serialize) {
        if let Ok(json) = serde_json::to_string(value) {
            self.stderr(&text::json_printable(&json));
        }
    }

    /// A line on stderr. A closed stderr is no reason to stop.
    pub(crate) fn stderr(&self, line: &str) {
        let _ = self
            .bars
            .suspend(|| writeln!(io::stderr().lock(), "{line}"));
    }

    /// The text in a style, an SGR code, if stderr is a terminal that may have it.
    pub(crate) fn style(&self, code: &str, text: &str) -> String {
        if self.styled {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[derive(Serialize)]
struct Named<'a, T> {
    event: &'a str,
    #[serde(flatten)]
    result: &'a T,
}

/// Writes to stderr without disturbing the progress bar: for the log.
pub(crate) struct LogWriter(pub(crate) Output);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bars.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
