//! A crowd over HTTP from many networks: together its clients take all places of a gateway, and a
//! client of one more network is served nevertheless.
//!
//! Needs root and iproute2, and fails with a message where these are missing.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use hubless_testkit::{
    model,
    net::{Host, INTERNET, Switch},
    process::{Lab, Node, text},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Networks of the crowd, and clients of each: each network takes its share, and all of them more
/// places than there are.
const NETWORKS: usize = 17;
const CLIENTS: usize = 100;

/// Connections over HTTP that a gateway serves at once.
const PLACES: usize = 1024;

/// An honest client is served within this time, in seconds.
const SERVED_WITHIN: &str = "2";

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

const SMALL: &str = "{\"model_type\": \"test\"}";

/// Connects clients from the addresses 198.18.1.2, 198.18.2.2, ...; half of them send part of a head.
/// Prints a line when all are connected, and stays until its input ends.
const CROWD: &str = "
import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
host, port, networks, clients = sys.argv[1], *map(int, sys.argv[2:])
crowd = []
for network in range(1, networks + 1):
    for client in range(clients):
        source = (f'198.18.{network}.2', 0)
        crowd.append(socket.create_connection((host, port), source_address=source))
        if client % 2: crowd[-1].sendall(b'GET / HTTP/1.1\\r\\nAccept:')
print(flush=True)
sys.stdin.read()";

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A node on a host, with a gateway for clients that have the token.
fn gateway(lab: &Lab, host: &Host) -> Node {
    let (source, token) = (lab.path("model"), lab.path("token"));
    model::write_file(&source.join("weights.bin"), model::CHUNK, 5);
    std::fs::write(source.join("config.json"), SMALL).expect("write");
    std::fs::write(&token, TOKEN).expect("write");
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&token, own).expect("own file");
    let machine = lab.machine("gateway").on(host);
    let machine = machine.with("HUBLESS_GATEWAY", format!("{}:0", host.address()));
    let machine = machine.with("HUBLESS_GATEWAY_TOKEN", text(&token));
    machine.seed(&source, &["--name", "o/n"])
}

/// Gives the crowd's host an address in each network, and the gateway's host routes to them.
fn connect(gateway: &Host, crowd: &Host) {
    run(gateway
        .command("ip")
        .args(["route", "add", "198.18.0.0/16", "dev", "eth0"]));
    for network in 1..=NETWORKS {
        let address = format!("198.18.{network}.2/32");
        run(crowd
            .command("ip")
            .args(["addr", "add", &address, "dev", "eth0"]));
    }
}

/// The crowd, with all of its clients connected; it ends when the value is dropped.
fn crowd(host: &Host, address: &str) -> Child {
    let (ip, port) = address.rsplit_once(':').expect("an address");
    let numbers = [NETWORKS, CLIENTS].map(|number| number.to_string());
    let mut command = host.command("python3");
    command.args(["-c", CROWD, ip, port]).args(numbers);
    let mut crowd = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut line = String::new();
    let mut output = BufReader::new(crowd.stdout.take().expect("a pipe"));
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "\n", "the crowd is connected");
    crowd
}

#[test]
fn a_crowd_from_many_networks_locks_no_other_network_out() {
    let lab = Lab::new(HUBLESS);
    let mut switch = Switch::new(INTERNET);
    let [server, many, one] = ["gateway", "crowd", "client"].map(|label| switch.host(label));
    let node = gateway(&lab, &server);
    connect(&server, &many);
    let url = node.gateway.as_deref().expect("a gateway");
    let crowd = crowd(&many, url.trim_start_matches("http://"));
    let descriptors = format!("/proc/{}/fd", node.process.pid());
    let open = std::fs::read_dir(descriptors).expect("it runs").count();
    assert!(open >= PLACES, "{open}: the crowd takes all places");

    let served = run(one.command("curl").args([
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        SERVED_WITHIN,
        "--header",
        &format!("Authorization: Bearer {TOKEN}"),
        &format!("{url}/o/n/resolve/main/config.json"),
    ]));
    assert_eq!(served, SMALL);
    let ended = crowd.wait_with_output().expect("it ends with its input");
    assert!(ended.status.success(), "{ended:?}");
    node.stop();
}
