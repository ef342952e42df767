//! A model is found through the DHT by its hash alone, also after its first seeder has left.

use std::collections::BTreeSet;

use hubless_testkit::{
    model::{self, Noise},
    process::{Lab, Node},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Nodes of the network, B and C among them.
const NODES: usize = 24;

#[test]
fn what_one_of_24_nodes_seeds_is_found_by_hash_alone() {
    let lab = Lab::new(HUBLESS);
    let minilm = model::minilm();
    let files = model::tree(&minilm);
    let keys = 1 + files.values().collect::<BTreeSet<_>>().len() as u64;

    // Each node knows one other, and B, C, D and E know different ones.
    let mut nodes = vec![lab.machine("bootstrap").serve(&[])];
    let mut noise = Noise::new(24);
    while nodes.len() < NODES - 2 {
        let knows = noise.below(nodes.len() as u64) as usize;
        let machine = lab.machine(&format!("node-{}", nodes.len()));
        let node = machine.serve(&["--bootstrap", nodes[knows].address()]);
        nodes.push(node);
    }
    let knows = |node: usize| ["--bootstrap", nodes[node].address()].map(str::to_owned);
    let join = |name: &str, node: usize| {
        let knows = knows(node);
        lab.machine(name)
            .serve(&knows.each_ref().map(String::as_str))
    };

    let b = lab
        .machine("b")
        .seed(&minilm, &["--bootstrap", nodes[7].address()]);
    b.wait_until_announced(keys);
    let hash = b.hash().to_owned();
    let c = join("c", 15);
    let fetched = c.machine.get(&[&hash]);
    model::assert_same_tree(&minilm, &fetched.path);
    assert_eq!(fetched.bytes_fetched, fetched.bytes_total);

    // The hashes that C lists are those that b3sum prints.
    let info = c.machine.json(["info", &hash]);
    let listed = info["files"].as_array().expect("a list of files");
    assert_eq!(listed.len(), files.len());
    for file in listed {
        let (size, file_hash) = &files[file["path"].as_str().expect("a path")];
        assert_eq!(
            (&file["size"], &file["hash"]),
            (&(*size).into(), &(&**file_hash).into())
        );
    }
    assert!(providers(&c, &hash).contains(&b.peer_id));

    // B stops: D fetches from C.
    c.wait_until_announced(keys);
    b.stop();
    let sent_by_c = c.count("bytes_sent");
    let d = join("d", 3);
    let fetched = d.machine.get(&[&hash]);
    model::assert_same_tree(&minilm, &fetched.path);
    let from_c = c.count("bytes_sent") - sent_by_c;
    assert!(
        from_c >= fetched.bytes_fetched,
        "C sent {from_c} bytes only"
    );
    assert!(providers(&d, &hash).contains(&c.peer_id));

    // The bootstrap node stops: E, a `get` without a node, joins through another one.
    let e_knows = knows(11);
    nodes.remove(0).stop();
    let [flag, address] = e_knows.each_ref().map(String::as_str);
    let fetched = lab.machine("e").get(&[&hash, flag, address]);
    model::assert_same_tree(&minilm, &fetched.path);
    // From C and D at once: the last chunks are requested from both, and some arrive twice.
    let least = fetched.bytes_total;
    assert!(
        (least..least + least / 20).contains(&fetched.bytes_fetched),
        "{fetched:?}"
    );
}

fn providers(node: &Node, hash: &str) -> Vec<String> {
    let found = node.machine.json(["providers", hash]);
    let providers = found["providers"].as_array().expect("a list of providers");
    let id = |provider: &serde_json::Value| provider["peer_id"].as_str().map(str::to_owned);
    providers.iter().filter_map(id).collect()
}
