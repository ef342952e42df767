//! A running process, its resource usage, and the result when it has ended.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hubless_sync::lock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{LIMIT, POLL, field};

/// Clock ticks in a second in `/proc/<pid>/stat`: fixed in the interface of Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A process whose output is collected; ends when dropped.
pub struct Process {
    what: String,
    child: Child,
    lines: Receiver<String>,
    readers: Vec<JoinHandle<()>>,
    output: Arc<Mutex<Output>>,
}

#[derive(Default)]
struct Output {
    stdout: String,
    stderr: String,
}

impl Process {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let output = Arc::new(Mutex::new(Output::default()));
        let (sender, lines) = channel();
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let collected = output.clone();
        let out = read_lines(stdout, move |line| {
            lock(&collected).stdout.push_str(&line);
            // The receiver may be gone: the test no longer needs lines.
            let _ = sender.send(line);
        });
        let collected = output.clone();
        let err = read_lines(stderr, move |line| lock(&collected).stderr.push_str(&line));
        Self {
            what,
            child,
            lines,
            readers: vec![out, err],
            output,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{}: {error}", self.what));
    }

    /// The next line of stdout that is a JSON object with an `event`.
    pub fn next_event(&mut self, limit: Duration) -> Value {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => self.fail(&format!("no event in {limit:?}")),
                Err(RecvTimeoutError::Disconnected) => self.fail("ended before the event"),
            };
            match serde_json::from_str::<Value>(&line) {
                Ok(value) if value["event"].is_string() => return value,
                _ => {}
            }
        }
    }

    /// Waits for an event that fits.
    pub fn event(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next_event(LIMIT);
            if fits(&event) {
                return event;
            }
        }
    }

    /// Waits until at least so many bytes are verified.
    pub fn progress(&mut self, bytes: u64) -> Value {
        self.event(|event| {
            event["event"] == "progress" && event["bytes_verified"].as_u64() >= Some(bytes)
        })
    }

    /// Its stderr so far.
    pub fn stderr(&self) -> String {
        lock(&self.output).stderr.clone()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("own child").is_none()
    }

    /// Its current resource usage.
    pub fn usage(&self) -> Usage {
        let pid = self.pid();
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        Usage::parse(&read("status"), &read("stat"))
    }

    /// Waits for its end.
    pub fn wait(mut self, limit: Duration) -> Finished {
        let end = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().expect("own child") {
                Some(status) => break status,
                None if Instant::now() > end => self.fail(&format!("did not end in {limit:?}")),
                None => thread::sleep(POLL.min(end.saturating_duration_since(Instant::now()))),
            }
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let output = std::mem::take(&mut *lock(&self.output));
        let Output { stdout, stderr } = output;
        Finished {
            what: self.what.clone(),
            status,
            stdout,
            stderr,
        }
    }

    fn fail(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        let output = lock(&self.output);
        panic!(
            "{}: {why}\n{}",
            self.what,
            show(&output.stdout, &output.stderr)
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && !self.readers.is_empty() {
            let output = lock(&self.output);
            if output.stderr.is_empty() {
                return;
            }
            eprintln!("{}\n{}", self.what, show(&output.stdout, &output.stderr));
        }
    }
}

/// Resource usage of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub rss: u64,
    /// Peak of the resident memory in bytes.
    pub rss_peak: u64,
    /// Processor time of all its threads since its start.
    pub cpu: Duration,
}

impl Usage {
    /// Reads `/proc/<pid>/status` and `/proc/<pid>/stat`.
    fn parse(status: &str, stat: &str) -> Self {
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number
                .and_then(|text| text.parse::<u64>().ok())
                .expect("a line of /proc/<pid>/status")
        };
        // The name in parentheses may hold spaces; utime and stime are the 12th and 13th behind it.
        let (_, fields) = stat
            .rsplit_once(')')
            .expect("the format of /proc/<pid>/stat");
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u64>);
        let ticks: u64 = ticks.map(|ticks| ticks.expect("a number")).sum();
        Self {
            rss: kib("VmRSS:") * 1024,
            rss_peak: kib("VmHWM:") * 1024,
            cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
        }
    }
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    what: String,
    status: ExitStatus,
    /// Its whole stdout.
    pub stdout: String,
    /// Its whole stderr.
    pub stderr: String,
}

impl Finished {
    /// Panics unless it succeeded.
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Whether it ended with this exit code.
    pub fn is_code(&self, code: i32) -> bool {
        self.status.code() == Some(code)
    }

    /// Panics unless it ended with this exit code.
    pub fn code(self, code: i32) -> Self {
        assert!(
            self.status.code() == Some(code),
            "expected exit code {code}\n{}",
            self.show()
        );
        self
    }

    /// Panics unless it failed according to the contract: with this code, a sentence that names
    /// `about`, and a hint with the next step.
    pub fn failed(self, code: i32, about: &str) -> Self {
        let finished = self.code(code);
        let (error, hint) = finished.failure();
        assert!(
            error.contains(about),
            "expected a sentence about {about:?}\n{}",
            finished.show()
        );
        assert!(hint.len() > 5, "expected a hint\n{}", finished.show());
        assert!(!finished.stderr.contains("panicked"), "{}", finished.show());
        finished
    }

    /// The sentence and the hint of a failure: `error: ...` and `hint: ...`, or with `--json` an
    /// object with both.
    fn failure(&self) -> (String, String) {
        let objects = self
            .stderr
            .lines()
            .rev()
            .filter_map(|line| serde_json::from_str(line).ok());
        if let Some(error) = objects.map(|object: Value| object["error"].clone()).next() {
            return (field(&error, "message"), field(&error, "hint"));
        }
        let Some((_, text)) = self.stderr.split_once("error: ") else {
            return Default::default();
        };
        let (error, hint) = text.split_once("hint: ").unwrap_or((text, ""));
        (error.to_owned(), hint.to_owned())
    }

    /// Panics unless it was ended by this signal.
    pub fn signalled(self, signal: Signal) -> Self {
        let by = self.status.signal() == Some(signal.as_raw());
        assert!(by, "expected an end by {signal:?}\n{}", self.show());
        self
    }

    /// The last line of stdout as a JSON object.
    pub fn last_object(&self) -> Value {
        let last = self
            .stdout
            .lines()
            .last()
            .map(serde_json::from_str::<Value>);
        match last {
            Some(Ok(value)) if value.is_object() => value,
            _ => panic!(
                "expected a JSON object at the end of stdout\n{}",
                self.show()
            ),
        }
    }

    fn show(&self) -> String {
        format!(
            "{}: {}\n{}",
            self.what,
            self.status,
            show(&self.stdout, &self.stderr)
        )
    }
}

fn read_lines(
    pipe: impl Read + Send + 'static,
    mut take: impl FnMut(String) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match pipe.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => take(String::from_utf8_lossy(&line).into_owned()),
            }
        }
    })
}

fn show(stdout: &str, stderr: &str) -> String {
    format!(
        "--- stdout, its end\n{}\n--- stderr, its end\n{}\n---",
        end(stdout),
        end(stderr)
    )
}

fn end(text: &str) -> &str {
    let mut from = text.len().saturating_sub(8 * 1024);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::number, *};

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command)
    }

    #[test]
    fn events_are_waited_for_and_other_lines_passed_over() {
        let mut process = shell(r#"echo text; echo '{"event":"progress","bytes_verified":7}'"#);
        assert_eq!(number(&process.progress(7), "bytes_verified"), 7);
        process.wait(LIMIT).ok();
    }

    #[test]
    #[should_panic(expected = "no event")]
    fn a_wait_has_an_end() {
        shell("exec sleep 60").next_event(Duration::from_millis(50));
    }

    #[test]
    #[should_panic(expected = "broken")]
    fn a_failure_shows_what_the_process_wrote() {
        shell("echo broken >&2; exit 3").wait(LIMIT).ok();
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("exec sleep 60");
        let pid = process.pid();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn signals_and_codes_are_distinguished() {
        let killed = shell("exec sleep 60");
        killed.signal(Signal::KILL);
        killed.wait(LIMIT).signalled(Signal::KILL);
        shell("echo 'error: it does not work'; exit 3")
            .wait(LIMIT)
            .code(3);
        shell("echo 'error: no such thing as x' >&2; echo 'hint: try y instead' >&2; exit 3")
            .wait(LIMIT)
            .failed(3, "as x");
        shell(r#"echo '{"error":{"message":"no x","hint":"try y instead"}}' >&2; exit 3"#)
            .wait(LIMIT)
            .failed(3, "no x");
    }

    #[test]
    fn usage_of_a_process() {
        let status = "Name:\thubless\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 99 1 2";
        let usage = Usage::parse(status, stat);
        assert_eq!((usage.rss, usage.rss_peak), (1 << 20, 2 << 20));
        assert_eq!(usage.cpu, Duration::from_secs(3));
        assert!(shell("exec sleep 60").usage().rss > 0);
    }
}
