//! Pages in a real browser: every page in each theme and width, a hostile card, and a running transfer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use hubless_content::RepoKind;
use hubless_testkit::{
    author::Author,
    process::{Lab, Machine, Process, text},
};
use serde_json::json;

use crate::name_views::{claim, publish, store};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// About a hundred page loads, with a check for accessibility faults in each.
const LIMIT: Duration = Duration::from_secs(450);

/// Bytes of the fetched model: at the limit below the fetch takes some seconds, which a browser can
/// follow.
const MODEL_BYTES: usize = 40_000_000;

/// A red dot.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 12, b'I', b'D', b'A', b'T',
    0x08, 0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0, 0, 0x03, 0x01, 0x01, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0,
    0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a script of the project prints.
fn script(name: &str) -> PathBuf {
    let output = Command::new(root().join("scripts").join(name))
        .output()
        .expect("the script starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/{name}: {errors}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn write(dir: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    for (path, bytes) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a new directory");
        fs::write(path, bytes).expect("a new file");
    }
    dir.to_owned()
}

fn name(machine: &Machine, kind: &str, name: &str, hash: &str) {
    machine.json(["name", "set", kind, name, hash]);
}

/// A card with known attacks.
fn hostile_card() -> String {
    let wide = format!(
        "|{}\n|{}\n{}\n",
        "a|".repeat(3000),
        "-|".repeat(3000),
        "|x|\n".repeat(3000)
    );
    let parts = [
        "---\ntags: ['<script>window.pwned=1</script>', '\"><img src=x onerror=window.pwned=1>']\n---\n",
        "# What is honest is shown <script>window.pwned=1</script>\n\n",
        "<script>window.pwned=1</script>\n\n<img src=x onerror=\"window.pwned=1\">\n\n",
        "<svg onload=window.pwned=1>\n\n<iframe srcdoc=\"<script>parent.pwned=1</script>\"></iframe>\n\n",
        "<meta http-equiv=refresh content=\"0;url=https://evil.example/\">\n\n<base href=https://evil.example/>\n\n",
        "<style>*{display:none}</style>\n\n<form action=https://evil.example/><input name=q>\n\n",
        "[a](javascript:window.pwned=1) [b](JaVaScRiPt:window.pwned=1) <javascript:window.pwned=1>\n\n",
        "[c](data:text/html,<script>alert(1)</script>) [d](<java\tscript:alert(1)>) [e](vbscript:x)\n\n",
        "![f](javascript:window.pwned=1) ![g](data:image/svg+xml,<svg/onload=alert(1)>)\n\n",
        "![h](https://evil.example/pixel.png) ![\" onerror=\"window.pwned=1](no.png \"x\")\n\n",
        "[i](//evil.example/) [j](https://a.example/\"onmouseover=\"window.pwned=1)\n\n",
        "<div><table><tr><td><b onclick=window.pwned=1>never closed\n\n</main></body></html>\n\n",
    ];
    let deep = format!("\n\n{}deep\n\n{}\n\n", "> ".repeat(2000), "- ".repeat(500));
    format!("{}{deep}{wide}`unclosed **and _so on <b\n", parts.concat())
}

/// A GGUF header with one tensor of 64 numbers.
fn gguf() -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend([1u64.to_le_bytes(), 1u64.to_le_bytes()].concat());
    bytes.extend(text("general.architecture"));
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(text("llama"));
    bytes.extend(text("blk.0.attn_q.weight"));
    bytes.extend(2u32.to_le_bytes());
    bytes.extend([8u64.to_le_bytes(), 8u64.to_le_bytes(), [0; 8]].concat());
    // Type and offset are both zero: F32 at the beginning.
    bytes.extend([0; 4]);
    bytes.resize(bytes.len().next_multiple_of(32) + 64 * 4, 0);
    bytes
}

/// Noise, which has no holes and cannot be compressed.
fn weights() -> Vec<u8> {
    let header = format!(
        r#"{{"layer.weight":{{"dtype":"F16","shape":[1000,{}],"data_offsets":[0,{MODEL_BYTES}]}}}}"#,
        MODEL_BYTES / 2000
    );
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_le_bytes()
    });
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(noise.take(MODEL_BYTES / 8).flatten());
    bytes
}

#[test]
fn every_page_in_a_browser() {
    let (modules, minilm) = (script("browser"), script("fetch-model"));
    let lab = Lab::new(HUBLESS);
    let carol = lab.machine("carol").with("HUBLESS_GATEWAY", "127.0.0.1:0");

    // Carol holds a real model with two revisions and tags, a hostile one, a dataset, a space, and an
    // unnamed model.
    // It knows a publisher, which writes what strangers may write into its full name.
    let mut author = Author::new(1);
    let publisher = author.id().to_string();
    let published = write(&lab.path("published"), &[("README.md", b"# Mini\n")]);
    {
        let store = store(&carol);
        let attack = "<img src=x onerror=window.pwned=1>What is honest is shown";
        let full_name = format!("{attack}{}", "W".repeat(180));
        claim(&store, &mut author, &full_name, &["acme.com"]);
        publish(&store, &mut author, RepoKind::Model, "mini", &published);
        publish(&store, &mut author, RepoKind::Dataset, "mini", &published);
        store.close().expect("a closed store");
    }
    carol.json(["trust", "acme", &publisher]);
    let model = carol.add(&minilm, &[]);
    name(
        &carol,
        "model",
        "sentence-transformers/all-MiniLM-L6-v2",
        &model,
    );
    let card = hostile_card();
    let evil = [
        ("README.md", card.as_bytes()),
        (
            "<img src=x onerror=window.pwned=1>.txt",
            b"<script>window.pwned=1</script>",
        ),
        ("no.png", PNG),
        ("lies.safetensors", &[0xff; 100]),
    ];
    let evil = carol.add(&write(&lab.path("evil"), &evil), &[]);
    name(&carol, "model", "evil/card", &evil);
    let card = b"---\nlicense: mit\ntags: [speech]\nlanguage: [en, de]\n---\n# Voices\n\n![A plot](plot.png)\n\n\
        Rarely heard words of whales.\n\n| Split | Rows |\n|---|--:|\n| train | 1000 |\n\n\
        See [the notes](docs/notes.md).\n";
    let data = [
        ("README.md", &card[..]),
        ("plot.png", PNG),
        ("docs/notes.md", b"# Notes\n\nNone.\n"),
        ("data/train.jsonl", b"{}\n"),
    ];
    let data = carol.add(&write(&lab.path("data"), &data), &[]);
    name(&carol, "dataset", "lab/voices", &data);
    let later = [
        ("README.md", &card[..]),
        ("plot.png", PNG),
        ("docs/notes.md", b"Later.\n"),
    ];
    let later = carol.add(&write(&lab.path("later"), &later), &[]);
    carol.json([
        "name",
        "set",
        "dataset",
        "lab/voices",
        &later,
        "--message",
        "Notes are longer",
    ]);
    let app = carol.add(&write(&lab.path("app"), &[("app.py", b"print(1)\n")]), &[]);
    name(&carol, "space", "lab/app", &app);
    let nameless = carol.add(
        &write(&lab.path("nameless"), &[("tiny.gguf", &gguf())]),
        &[],
    );

    // The model that Carol will fetch, slowly enough for the browser to show it.
    let source = write(&lab.path("slow"), &[("model.safetensors", &weights())]);
    let alice = lab.machine("alice").seed(&source, &["--limit-up", "4MB"]);
    let node = carol.serve(&["--peer", alice.address()]);
    name(&carol, "model", "alice/slow", alice.hash());
    let endpoint = node.gateway.clone().expect("a gateway");

    // Another node, whose gateway requires a token.
    let token = "correct-horse-battery";
    let file = lab.path("token");
    fs::write(&file, token).expect("a new file");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, private).expect("own file");
    let dora = lab
        .machine("dora")
        .with("HUBLESS_GATEWAY", "127.0.0.1:0")
        .with("HUBLESS_GATEWAY_TOKEN", text(&file));
    let kept = dora.add(&lab.path("app"), &[]);
    name(&dora, "space", "lab/app", &kept);
    let guarded = dora.serve(&[]);

    let minilm = "/sentence-transformers/all-MiniLM-L6-v2";
    let task = json!({
        "endpoint": endpoint,
        "pages": {
            "home": "/",
            "model": minilm,
            "tree": format!("{minilm}/tree/main"),
            "weights": format!("{minilm}/blob/main/model.safetensors"),
            "config": format!("{minilm}/blob/main/config.json"),
            "dataset": "/datasets/lab/voices",
            "revisions": "/datasets/lab/voices/commits/main",
            "space": "/spaces/lab/app",
            "publisher": "/acme",
            "publisher-by-id": format!("/{publisher}"),
            "published": "/acme/mini",
            "published-by-id": format!("/datasets/{publisher}/mini"),
            "published-tree": format!("/{publisher}/mini/tree/main"),
            "hostile": "/evil/card",
            "content": format!("/content/{nameless}"),
            "search": "/search?q=whales",
            "everything": "/search?q=",
            "nothing": "/search?q=never-written-anywhere",
            "notes": "/datasets/lab/voices/blob/main/docs/notes.md",
            "picture": "/datasets/lab/voices/blob/main/plot.png",
            "folder": "/datasets/lab/voices/tree/main/docs",
        },
        "missing": {
            "no-repo": "/nobody/nothing",
            "no-revision": "/datasets/lab/voices/tree/v9",
            "no-file": "/datasets/lab/voices/blob/main/none",
        },
        "pagesMin": 25,
        "hostile": ["/evil/card", format!("/{publisher}"), format!("/content/{evil}"), "/evil/card/blob/main/README.md"],
        "image": "/datasets/lab/voices",
        "search": { "words": "rarely whales", "finds": "lab/voices" },
        "guarded": { "endpoint": guarded.gateway, "token": token, "repo": "lab/app" },
    });
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&shots).expect("a directory for pictures");
    let mut browser = browser(&lab, &modules, &shots, &task);
    browser.event(|event| event["event"] == "watching");
    let fetch = carol.start_get(&[alice.hash()]);
    fetch.wait(LIMIT).ok();
    browser.wait(LIMIT).ok();
}

/// Starts the browser script.
fn browser(lab: &Lab, modules: &Path, shots: &Path, task: &serde_json::Value) -> Process {
    let path = lab.path("task.json");
    fs::write(&path, task.to_string()).expect("a new file");
    let mut command = Command::new("node");
    command
        .arg(root().join("tests/browser/pages.mjs"))
        .args([modules, shots, &path]);
    Process::start(command)
}
