//! Two hosts joined by a long line.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hubless_sync::lock;
use tun_rs::{DeviceBuilder, SyncDevice};

use super::{
    DEVICE, Host, Prefix,
    line::{Counts, Line, LineSpec},
    namespace::{Namespace, ip, next_number, run},
};

/// Interval at which the devices are polled: cheap, and the largest error of a delay. At 1 Gbit/s
/// about forty full packets arrive in this time.
const TICK: Duration = Duration::from_micros(500);

/// Packets that the kernel queues for the program: 0.1 s at 1 Gbit/s, so that none is lost while a
/// busy machine runs another process.
const DEVICE_QUEUE: u32 = 10_000;

/// The largest packet on the line, as nearly everywhere on the Internet.
const MTU: u16 = 1500;

/// Two hosts, the line between them, and the thread that simulates it.
pub struct LongLine {
    hosts: [Host; 2],
    lines: Arc<[Mutex<Line>; 2]>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LongLine {
    /// Hosts .1 and .2 of a network; one spec for the direction from the first to the second, one for
    /// the reverse.
    pub fn new(prefix: Prefix, there: LineSpec, back: LineSpec) -> Self {
        let (first, near) = end_point(prefix, 1);
        let (second, far) = end_point(prefix, 2);
        let lines = Arc::new([there, back].map(|spec| Mutex::new(Line::new(spec))));
        let stop = Arc::new(AtomicBool::new(false));
        let (carried, stopped) = (lines.clone(), stop.clone());
        let thread = thread::Builder::new()
            .name("long line".into())
            .spawn(move || carry(&[near, far], &carried, &stopped))
            .expect("a thread");
        Self {
            hosts: [first, second],
            lines,
            stop,
            thread: Some(thread),
        }
    }

    /// Both hosts.
    pub fn hosts(&self) -> &[Host; 2] {
        &self.hosts
    }

    /// Counters of the packets in both directions.
    pub fn counts(&self) -> [Counts; 2] {
        [0, 1].map(|way| lock(&self.lines[way]).counts())
    }
}

impl Drop for LongLine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A host whose device ends in this process.
fn end_point(prefix: Prefix, number: u8) -> (Host, SyncDevice) {
    let namespace = Namespace::new(&format!("end{number}"));
    // Created in the machine's own namespace, under a unique name, and moved.
    let passing = format!("hl{}t{}", std::process::id(), next_number());
    let device = DeviceBuilder::new()
        .name(&passing)
        .mtu(MTU)
        .tx_queue_len(DEVICE_QUEUE)
        .enable(false)
        .build_sync()
        .unwrap_or_else(|error| panic!("a TUN device (is there a /dev/net/tun?): {error}"));
    device.set_nonblocking(true).expect("own device");
    let name = namespace.name();
    run(&mut ip(&[
        "link", "set", &passing, "netns", name, "name", DEVICE,
    ]));
    (Host::new(namespace, prefix, number), device)
}

/// Simulates the line until it is stopped.
fn carry(devices: &[SyncDevice; 2], lines: &[Mutex<Line>; 2], stop: &AtomicBool) {
    let start = Instant::now();
    let mut buffer = vec![0; usize::from(MTU)];
    while !stop.load(Ordering::Relaxed) {
        for way in [0, 1] {
            let mut line = lock(&lines[way]);
            let now = start.elapsed();
            take(&devices[way], &mut line, now, &mut buffer);
            while let Some(packet) = line.pop(now) {
                // A device that is down loses packets, as an unplugged cable does.
                let _ = devices[1 - way].send(&packet);
            }
        }
        thread::sleep(TICK);
    }
}

/// Reads the packets that a device received.
fn take(device: &SyncDevice, line: &mut Line, now: Duration, buffer: &mut [u8]) {
    loop {
        match device.recv(buffer) {
            Ok(length) => line.push(now, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // No more packets, or the device is down.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::net::INTERNET;

    /// Milliseconds of each round trip of small UDP packets, by `python3` in both namespaces.
    fn round_trips(line: &LongLine) -> Vec<f64> {
        let [near, far] = line.hosts();
        let mut echo = far
            .command("python3")
            .args(["-c", ECHO])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        // It prints a line when it listens.
        let mut said = io::BufReader::new(echo.stdout.take().expect("a pipe"));
        io::BufRead::read_line(&mut said, &mut String::new()).expect("a line");
        let asked = near.command("python3").args(["-c", ASK]).output();
        echo.kill().expect("own child");
        echo.wait().expect("own child");
        let asked = asked.expect("python3");
        let text = String::from_utf8_lossy(&asked.stdout).into_owned();
        let numbers = text.split_whitespace().map(str::parse);
        numbers.map(|number| number.expect("numbers")).collect()
    }

    const ECHO: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('198.18.0.2', 7)); print(flush=True)
while True: s.sendto(*s.recvfrom(2000))";

    const ASK: &str = "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
for _ in range(20):
    t = time.monotonic(); s.sendto(b'x' * 100, ('198.18.0.2', 7)); s.recv(2000)
    print((time.monotonic() - t) * 1000)";

    #[test]
    fn packets_take_the_round_trip() {
        let spec = LineSpec::new(100_000_000, Duration::from_millis(60));
        let line = LongLine::new(INTERNET, spec, spec);
        let trips = round_trips(&line);
        assert_eq!(trips.len(), 20);
        // Early by at most a tick each way; a busy machine may be late, but not every time.
        let shortest = trips.iter().copied().fold(f64::MAX, f64::min);
        assert!((59.0..70.0).contains(&shortest), "{trips:?}");
        assert!(trips.iter().all(|trip| *trip > 59.0), "{trips:?}");
        let [there, back] = line.counts();
        assert!(there.carried >= 20 && back.carried >= 20);
    }
}
