//! A hub without BLAKE3 whose behaviour tests control, in threads that end with the test's process.

use std::{
    collections::HashMap,
    io::{BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use hubless_store::Digests;
use serde_json::{Value, json};

use super::http::lines;

/// The only commit of its repos.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Its first repo.
pub(crate) const REPO: &str = "Org/Model";

/// Writes a second of a hub with a limited rate.
const PIECES_PER_SECOND: usize = 50;

/// Interval of checks whether a response is still delayed.
const POLL: Duration = Duration::from_millis(10);

/// Its behaviour.
#[derive(Default)]
pub(crate) struct Manners {
    /// Files are sent with a wrong byte at this offset.
    pub(crate) wrong_byte: Option<usize>,
    /// Files require this token.
    pub(crate) gated: Option<&'static str>,
    /// All requests require this token.
    pub(crate) private: Option<&'static str>,
    /// Files are redirected to another URL.
    pub(crate) redirect: Option<String>,
    /// So many requests are refused, each with a `Retry-After` of so many seconds.
    pub(crate) refuse: (u32, u64),
    /// So many requests for files after the first are refused, each with such a `Retry-After`.
    pub(crate) refuse_files: (u32, u64),
    /// The connection of a file is cut after so many bytes, once.
    pub(crate) cut_after: Option<usize>,
    /// Delay before a file.
    pub(crate) slowness: Duration,
    /// Responses are sent at this rate.
    pub(crate) bytes_per_second: Option<usize>,
    /// Files are sent completely, whatever range is requested.
    pub(crate) ignores_range: bool,
    /// Requests about a repo whose name contains this are never answered.
    pub(crate) silent_about: Option<&'static str>,
    /// Requests are answered when this is false.
    pub(crate) holds_back: bool,
    /// Files are listed twice.
    pub(crate) lists_twice: bool,
    /// Its repos were deleted.
    pub(crate) deleted: bool,
    /// The history of its main branch: ids and titles, newest first.
    pub(crate) history: Vec<(String, &'static str)>,
    /// Connections are closed without a response.
    pub(crate) gone: bool,
}

/// A received request: method and path, and its headers.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    headers: HashMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A hub with one repo.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Repo {
    name: String,
    files: Vec<(String, Vec<u8>)>,
}

struct Shared {
    repos: Mutex<Vec<Arc<Repo>>>,
    manners: Mutex<Manners>,
    requests: Mutex<Vec<Request>>,
    sent: AtomicUsize,
}

impl Hub {
    /// A hub whose repo has these files; those ending in `.bin` are large files.
    pub(crate) fn start(files: &[(&str, Vec<u8>)]) -> Self {
        Self::start_at("127.0.0.1:0", files)
    }

    pub(crate) fn start_at(address: &str, files: &[(&str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let own = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            repos: Mutex::new(vec![Repo::new(REPO, files)]),
            manners: Mutex::default(),
            requests: Mutex::default(),
            sent: AtomicUsize::new(0),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = serving.clone();
                thread::spawn(move || shared.serve(client));
            }
        });
        Self {
            url: format!("http://{own}"),
            shared,
        }
    }

    /// Adds a repo, whose only commit has the same id.
    pub(crate) fn add(&self, name: &str, files: &[(&str, Vec<u8>)]) {
        lock(&self.shared.repos).push(Repo::new(name, files));
    }

    /// Changes its behaviour.
    pub(crate) fn is(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut lock(&self.shared.manners));
    }

    /// Bytes of responses that it sent.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// The requests whose path contains this.
    pub(crate) fn requests(&self, part: &str) -> Vec<Request> {
        let requests = lock(&self.shared.requests);
        let fit = requests
            .iter()
            .filter(|request| request.path.contains(part));
        fit.cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repo {
    fn new(name: &str, files: &[(&str, Vec<u8>)]) -> Arc<Self> {
        let files = files
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), bytes.clone()));
        Arc::new(Self {
            name: name.to_owned(),
            files: files.collect(),
        })
    }

    /// The end of its name in a path.
    fn end_in(&self, path: &str) -> Option<usize> {
        let name = format!("/{}", self.name.to_ascii_lowercase());
        let at = path.to_ascii_lowercase().find(&name)?;
        let end = at + name.len();
        matches!(path.as_bytes().get(end), None | Some(b'/')).then_some(end)
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) {
        let lines = lines(&mut BufReader::new(&client));
        let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)) else {
            return;
        };
        let headers = lines
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let request = Request {
            path: path.to_owned(),
            headers: headers.collect(),
        };
        if lock(&self.manners).gone {
            return;
        }
        lock(&self.requests).push(request.clone());
        let silent_about = lock(&self.manners).silent_about;
        if silent_about.is_some_and(|name| request.path.contains(name)) {
            // Blocks until the client disconnects.
            let _ = client.read(&mut [0]);
            return;
        }
        while lock(&self.manners).holds_back {
            thread::sleep(POLL);
        }
        let answer = self.answer(&request);
        let rate = lock(&self.manners).bytes_per_second;
        for piece in answer.chunks(rate.map_or(answer.len(), |rate| rate / PIECES_PER_SECOND)) {
            // The client may disconnect.
            if client.write_all(piece).is_err() {
                return;
            }
            self.sent.fetch_add(piece.len(), Ordering::Relaxed);
            if rate.is_some() {
                thread::sleep(Duration::from_secs(1) / PIECES_PER_SECOND as u32);
            }
        }
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        let mut manners = lock(&self.manners);
        if manners.refuse.0 > 0 {
            manners.refuse.0 -= 1;
            return too_many(manners.refuse.1);
        }
        let path = request.path.split('?').next().unwrap_or_default();
        let has = |token: Option<&str>| {
            let sent = request.header("authorization");
            token.is_none_or(|token| sent == Some(&format!("Bearer {token}")))
        };
        let repos = lock(&self.repos).clone();
        let found = repos
            .iter()
            .find_map(|repo| Some((repo, repo.end_in(path)?)));
        let Some((repo, behind)) = found.filter(|_| !manners.deleted && has(manners.private))
        else {
            return error(401, "RepoNotFound", "Invalid username or password.", "");
        };
        if let Some((_, rest)) = path.split_once("/resolve/") {
            if !has(manners.gated) {
                return gated();
            }
            let file = rest.split_once('/').map_or("", |(_, file)| file);
            let file = repo.files.iter().find(|(path, _)| path == file);
            let Some((path, bytes)) = file else {
                return error(404, "EntryNotFound", "Entry not found", "");
            };
            if let Some(target) = &manners.redirect {
                let name = &repo.name;
                let location = format!("Location: {target}/{name}/resolve/{COMMIT}/{path}\r\n");
                return answer("302 Found", &location, b"");
            }
            let mut bytes = bytes.clone();
            if let Some(at) = manners.wrong_byte {
                let at = at.min(bytes.len() - 1);
                bytes[at] ^= 1;
            }
            let cut = manners.cut_after.take();
            if cut.is_none() && manners.refuse_files.0 > 0 {
                manners.refuse_files.0 -= 1;
                return too_many(manners.refuse_files.1);
            }
            let ignores_range = manners.ignores_range;
            thread::sleep(manners.slowness);
            drop(manners);
            let range = request.header("range").filter(|_| !ignores_range);
            return content(&bytes, range, cut);
        }
        match Some(&path[behind..]) {
            Some("" | "/revision/main" | "/revision/HEAD") => json_answer(&repo.info(&manners)),
            Some(rest) if rest == format!("/revision/{COMMIT}") => {
                json_answer(&repo.info(&manners))
            }
            Some(rest) if rest.starts_with("/tree/") => json_answer(&repo.tree(&manners)),
            Some("/refs") => json_answer(&json!({
                "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": COMMIT}],
                "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": COMMIT}],
                "converts": [],
            })),
            Some("/revision/v1") => json_answer(&repo.info(&manners)),
            Some(rest) if rest.starts_with("/commits/") && !manners.history.is_empty() => {
                json_answer(&repo.history(&manners))
            }
            Some("/auth-check") if !has(manners.gated) => gated(),
            Some("/auth-check") => json_answer(&json!({})),
            Some(rest) if rest.starts_with("/revision/") => {
                error(404, "RevisionNotFound", "Invalid rev id", "")
            }
            _ => error(
                404,
                "",
                "Sorry, we can't find the page you are looking for.",
                "",
            ),
        }
    }
}

impl Repo {
    fn info(&self, manners: &Manners) -> Value {
        json!({
            "_id": "1",
            "id": self.name,
            "sha": COMMIT,
            "private": manners.private.is_some(),
            "gated": if manners.gated.is_some() { json!("manual") } else { json!(false) },
            "lastModified": "2024-01-31T12:00:00.000Z",
            "siblings": [],
        })
    }

    fn history(&self, manners: &Manners) -> Value {
        let commit = |(id, title): &(String, &str)| {
            json!({
                "id": id,
                "title": title,
                "message": "",
                "date": "2024-01-31T12:00:00.000Z",
                "authors": [{"user": "lab", "avatar": ""}],
            })
        };
        manners.history.iter().map(commit).collect()
    }

    fn tree(&self, manners: &Manners) -> Value {
        let entry = |(path, bytes): &(String, Vec<u8>)| {
            let digests = Digests::of(bytes);
            if !path.ends_with(".bin") {
                let oid = digests.git_blob;
                return json!({"type": "file", "path": path, "size": bytes.len(), "oid": oid});
            }
            json!({
                "type": "file",
                "path": path,
                "size": bytes.len(),
                "oid": "1".repeat(40),
                "lfs": {"oid": digests.sha256, "size": bytes.len(), "pointerSize": 134},
            })
        };
        let times = 1 + usize::from(manners.lists_twice);
        let files = self
            .files
            .iter()
            .flat_map(|file| std::iter::repeat_n(file, times));
        files.map(entry).collect()
    }
}

/// A file, or the requested range of it.
fn content(bytes: &[u8], range: Option<&str>, cut: Option<usize>) -> Vec<u8> {
    let part = range.and_then(|range| {
        let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
        let start: usize = start.parse().ok()?;
        let end = end.parse().map_or(bytes.len(), |end: usize| end + 1);
        Some(start..end.min(bytes.len()))
    });
    let mut answer = match part {
        None => answer("200 OK", "", bytes),
        Some(part) => {
            let (start, end, size) = (part.start, part.end - 1, bytes.len());
            let header = format!("Content-Range: bytes {start}-{end}/{size}\r\n");
            answer("206 Partial Content", &header, &bytes[part])
        }
    };
    if let Some(cut) = cut {
        answer.truncate(cut);
    }
    answer
}

fn too_many(seconds: u64) -> Vec<u8> {
    let wait = format!("Retry-After: {seconds}\r\n");
    error(429, "", "too many requests", &wait)
}

fn gated() -> Vec<u8> {
    let message = format!(
        "Access to model {REPO} is restricted and you are not in the authorized list. Visit the \
         page to ask for access."
    );
    error(403, "GatedRepo", &message, "")
}

fn json_answer(value: &Value) -> Vec<u8> {
    answer("200 OK", "", value.to_string().as_bytes())
}

fn error(status: u16, code: &str, message: &str, headers: &str) -> Vec<u8> {
    let code = match code {
        "" => String::new(),
        code => format!("X-Error-Code: {code}\r\n"),
    };
    let headers = format!("{headers}{code}X-Error-Message: {message}\r\n");
    let body = json!({ "error": message }).to_string();
    answer(&format!("{status} Error"), &headers, body.as_bytes())
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}
