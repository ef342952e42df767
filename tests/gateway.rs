//! Unmodified Hugging Face clients download from the gateway of a node that fetches the requested
//! files from two other nodes meanwhile, and from the gateway of an offline node.

use std::{fs, path::Path};

use hubless_testkit::proxy::CountedLine;

use crate::clients::{Client, Hub, assert_same, script, text};

/// Bound of the bytes for clients that have all files already: lists, and heads of files.
const METADATA_BYTES_MAX: u64 = 64 * 1024;

/// The name of the model that most clients download.
const MODEL: &str = "sentence/minilm";

fn model() -> Hub {
    Hub::new(script("fetch-model", &[]), ["model", MODEL])
}

#[test]
fn huggingface_hub_2_4() {
    huggingface_hub("2.4.0", "hf");
}

#[test]
fn huggingface_hub_1_28() {
    huggingface_hub("1.28.0", "hf");
}

#[test]
fn huggingface_hub_0_36() {
    huggingface_hub("0.36.2", "huggingface-cli");
}

fn huggingface_hub(version: &str, cli: &str) {
    let python = script("hf-client", &["hub", version]);
    let hub = model();
    let source = text(&hub.source);
    hub.serves(hub.size, |client| {
        client.python(&python, "download.py", &[MODEL, "main", source]);
    });
    hub.serves(hub.size, |client| {
        let place = client.home.path().join("place");
        client.python(
            &python,
            "download.py",
            &[MODEL, "v1.0", source, text(&place)],
        );
    });
    hub.serves(hub.size, |client| {
        let place = client.home.path().join("place");
        client.command(
            &python,
            cli,
            &["download", MODEL, "--local-dir", text(&place)],
        );
        assert_same(&hub.source, &place);
    });
    assert!(hub.both_gave());

    let client = Client::of(&hub.offline);
    client.python(&python, "browse.py", &[MODEL, source]);
    if cli == "hf" {
        client.command(&python, cli, &["download", MODEL]);
        client.command(&python, cli, &["cache", "verify", MODEL]);
    }
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let python = script("hf-client", &["hub", "2.4.0"]);
    let hub = model();
    let line = CountedLine::to(hub.offline.gateway.as_deref().expect("a gateway"));
    let folder = tempfile::tempdir().expect("a directory");
    let into_cache = [MODEL, "main", text(&hub.source)];
    let into_folder = [&into_cache[..], &[text(folder.path())]].concat();
    for args in [&into_cache[..], &into_folder] {
        let client = Client::new(line.endpoint());
        client.python(&python, "download.py", args);
        let first = line.take_count();
        assert!(first > hub.size, "{first} bytes were counted");
        client.python(&python, "download.py", args);
        let again = line.take_count();
        assert!(
            again < METADATA_BYTES_MAX,
            "{again} bytes though nothing has changed"
        );
    }
}

#[test]
fn transformers_and_tokenizers() {
    let python = script("hf-client", &["libraries"]);
    let hub = model();
    let tokenizer = fs::metadata(hub.source.join("tokenizer.json")).expect("a file");
    hub.serves(tokenizer.len(), |client| {
        client.python(&python, "libraries.py", &[MODEL, text(&hub.source)]);
    });
}

#[test]
fn datasets() {
    let python = script("hf-client", &["libraries"]);
    let folder = tempfile::tempdir().expect("a directory");
    let source = folder.path().join("letters");
    let maker = Client::new("http://127.0.0.1:1"); // sends no request
    maker.python(&python, "dataset.py", &["make", text(&source)]);
    let hub = Hub::new(source, ["dataset", "acme/letters"]);
    hub.serves(hub.size, |client| {
        client.python(
            &python,
            "dataset.py",
            &["load", "acme/letters", text(&hub.source)],
        );
    });
}

#[test]
fn huggingface_hub_of_npm() {
    let modules = script("hf-client", &["npm"]);
    let hub = model();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/hub.mjs");
    hub.serves(hub.size, |client| {
        let args = [text(&program), text(&modules), MODEL, text(&hub.source)];
        client.run(Path::new("node"), &args);
    });
}

#[test]
fn hf_hub_of_rust() {
    let program = script("hf-client", &["rust"]);
    let hub = model();
    let (org, name) = MODEL.split_once('/').expect("two parts");
    for version in ["0.5", "0.5-async", "1.0"] {
        hub.serves(hub.size, |client| {
            client.run(&program, &[version, org, name, text(&hub.source)]);
        });
    }
}

#[test]
fn files_with_any_name() {
    let folder = tempfile::tempdir().expect("a directory");
    let source = folder.path().join("names");
    for name in [
        "two words.txt",
        "what?.json",
        "a%2Fb",
        "100%",
        "50%25",
        "a+b&c=d;e",
        "#1",
        "über/größe 😀.txt",
        "deep/er/and deeper/[x]{y}(z)!$'~@^`,.bin",
        "Same.txt",
        "same.txt",
        "resolve/main/x",
        "tree",
    ] {
        let path = source.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("own directory");
        fs::write(path, name).expect("own directory");
    }
    let hub = Hub::new(source, ["model", "acme/Any.Name_of-it"]);
    let repo = "ACME/any.name_OF-it";
    for version in ["2.4.0", "1.28.0", "0.36.2"] {
        let python = script("hf-client", &["hub", version]);
        hub.serves(hub.size, |client| {
            client.python(&python, "download.py", &[repo, "main", text(&hub.source)]);
        });
    }
}

#[test]
fn a_moved_tag_leads_elsewhere() {
    let folder = tempfile::tempdir().expect("a directory");
    let [old, new] = ["old", "new"].map(|name| {
        let path = folder.path().join(name);
        fs::create_dir(&path).expect("own directory");
        fs::write(path.join("config.json"), name).expect("own directory");
        path
    });
    let repo = "acme/moving";
    let hub = Hub::new(old.clone(), ["model", repo]);
    let machine = &hub.offline.machine;
    let python = script("hf-client", &["hub", "2.4.0"]);
    let client = Client::of(&hub.offline);
    let commit = client.python(&python, "download.py", &[repo, "v1.0", text(&old)]);

    let hash = machine.add(&new, &[]);
    machine.json(["name", "set", "model", repo, &hash, "--tag", "v1.0"]);
    let moved = client.python(&python, "download.py", &[repo, "v1.0", text(&new)]);
    assert_ne!(moved, commit);
    client.python(&python, "download.py", &[repo, "main", text(&new)]);
    for cached in [client, Client::of(&hub.offline)] {
        cached.python(&python, "download.py", &[repo, commit.trim(), text(&old)]);
    }
}
