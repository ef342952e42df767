//! A DNS server on loopback that knows some TXT records, and notes what it was asked.
//!
//! Source: RFC 1035, 4.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hubless_sync::lock;

/// How soon the server notices that it is to end.
const BEAT: Duration = Duration::from_millis(50);

/// Bytes of a question over UDP.
const QUESTION_BYTES_MAX: usize = 4096;

const TXT: u16 = 16;
const INTERNET: u16 = 1;

/// A server, until it is dropped.
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Zone>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Zone {
    texts: Mutex<HashMap<String, Vec<String>>>,
    asked: Mutex<Vec<String>>,
    is_silent: AtomicBool,
    is_over: AtomicBool,
}

impl DnsServer {
    /// Starts a server that knows nothing.
    pub fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(BEAT)).expect("a time limit");
        let address = socket.local_addr().expect("its address");
        let zone = Arc::new(Zone::default());
        let answering = zone.clone();
        let thread = Some(thread::spawn(move || answering.run(&socket)));
        Self {
            address,
            zone,
            thread,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a domain these texts in place of those that it had.
    pub fn set(&self, domain: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        lock(&self.zone.texts).insert(domain.to_owned(), texts);
    }

    /// Answers no more, or again.
    pub fn be_silent(&self, is_silent: bool) {
        self.zone.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// The domains that it was asked for, in their order.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.zone.asked).clone()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.zone.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A server that panicked has printed why.
            let _ = thread.join();
        }
    }
}

impl Zone {
    fn run(&self, socket: &UdpSocket) {
        let mut buffer = [0; QUESTION_BYTES_MAX];
        while !self.is_over.load(Ordering::SeqCst) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            let question = &buffer[..length];
            let Some((domain, end)) = domain(question) else {
                continue;
            };
            lock(&self.asked).push(domain.clone());
            if !self.is_silent.load(Ordering::SeqCst) {
                let answer = self.answer(question, &domain, end);
                // A resolver that left wants no answer.
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn answer(&self, question: &[u8], domain: &str, end: usize) -> Vec<u8> {
        let texts = lock(&self.texts).get(domain).cloned();
        // An answer to a recursive question: no error, or no such domain.
        let flags: u16 = if texts.is_some() { 0x8180 } else { 0x8183 };
        let texts = texts.unwrap_or_default();
        let mut answer = question[..2].to_vec();
        for number in [flags, 1, texts.len() as u16, 0, 0] {
            answer.extend(number.to_be_bytes());
        }
        answer.extend(&question[12..end + 4]);
        for text in texts {
            let parts = text.as_bytes().chunks(255);
            let data: Vec<u8> = parts
                .flat_map(|part| [&[part.len() as u8], part].concat())
                .collect();
            // The name is the one in the question, at byte 12.
            answer.extend([0xc0, 12]);
            answer.extend([TXT.to_be_bytes(), INTERNET.to_be_bytes()].concat());
            answer.extend(300u32.to_be_bytes());
            answer.extend((data.len() as u16).to_be_bytes());
            answer.extend(data);
        }
        answer
    }
}

/// The domain of a question, and where it ends.
fn domain(question: &[u8]) -> Option<(String, usize)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            let text = labels.join(".");
            return (question.len() >= at + 4).then_some((text, at));
        }
        let label = question.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}
