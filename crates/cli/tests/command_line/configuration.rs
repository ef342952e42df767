//! Flag before environment before file before default, and mistakes that are reported.

use std::os::unix::fs::PermissionsExt;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Hubless, Run};

const FILE: &str = "limit_up = \"1MB\"\nlimit_down = \"1MB\"\nmdns = false\n";

#[test]
fn the_order_of_origins() {
    let hubless = Hubless::new()
        .with_config(FILE)
        .with("HUBLESS_LIMIT_UP", "2MB")
        .with("HUBLESS_LIMIT_DOWN", "2MB");
    let shown = hubless
        .run(["config", "show", "--origin", "--limit-up", "3MB"])
        .ok();
    for line in [
        "limit_up = \"3MB\"  # flag",
        "limit_down = \"2MB\"  # environment HUBLESS_LIMIT_DOWN",
        "mdns = false  # config.toml",
        "upnp = true  # default",
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "{line:?} is missing:\n{shown}"
        );
    }

    let args = ["config", "show", "--origin", "--json", "--limit-up", "3MB"];
    let shown: serde_json::Value = serde_json::from_str(&hubless.run(args).ok()).unwrap();
    for (key, value, origin) in [
        ("limit_up", "3MB".into(), "flag"),
        ("limit_down", "2MB".into(), "environment"),
        ("mdns", false.into(), "file"),
        ("upnp", serde_json::Value::from(true), "default"),
    ] {
        assert_eq!(shown[key]["value"], value, "{key}");
        assert_eq!(shown[key]["origin"], origin, "{key}");
    }
}

#[test]
fn flags_set_the_keys_of_their_names() {
    let args = "config show --json --listen /ip4/127.0.0.1/tcp/1 --listen /ip4/127.0.0.1/tcp/2 \
        --bootstrap /ip4/192.0.2.1/tcp/1 --peer /ip4/192.0.2.2/tcp/2 --no-mdns --no-upnp --network-key /k --limit-up 1kB \
        --limit-down 2MiB --quota 3GB --announce roots --relay --gateway off --gateway-token /t \
        --gateway-name hub.example --upstream https://up.example --upstream-token-file /u --upstream-host cdn.example";
    let shown = Hubless::new().run(args.split_whitespace()).ok();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let wanted = serde_json::json!({
        "listen": ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"],
        "bootstrap": ["/ip4/192.0.2.1/tcp/1"], "peers": ["/ip4/192.0.2.2/tcp/2"], "mdns": false, "upnp": false, "relay": true,
        "directories": [], "dns": "system",
        "announce": "roots", "digests": true, "scrub": "30d", "limit_up": "1KB", "limit_down": "2MiB", "quota": "3GB",
        "network_key": "/k", "gateway": "off", "gateway_token": "/t",
        "gateway_names": ["hub.example"],
        "upstream": "https://up.example", "upstream_token_file": "/u", "upstream_hosts": ["cdn.example"],
        "upstream_keep_deleted": false,
    });
    assert_eq!(shown, wanted);
}

#[test]
fn what_is_shown_is_a_file_that_gives_the_same() {
    let hubless = Hubless::new().with_config(FILE);
    let shown = hubless.run(["config", "show"]).ok();
    let again = Hubless::new().with_config(&shown);
    assert_eq!(again.run(["config", "show"]).ok(), shown);
}

#[test]
fn an_unknown_key() {
    let hubless = Hubless::new().with_config("mdns = true\nlisten_on = []\n");
    let texts = [
        "config.toml",
        "line 2",
        "listen_on",
        "hint: ",
        "config show --defaults",
    ];
    for args in [&["config", "show"][..], &["ls"], &["serve"]] {
        hubless.run(args).failed(2, &texts);
    }
    assert_eq!(
        hubless.run(["ls", "--json"]).failed_json(2)["kind"],
        "usage"
    );
    // What a person needs to get out of it works.
    let defaults = hubless.run(["config", "show", "--defaults"]).ok();
    assert!(
        defaults.contains("\nlisten = [") || defaults.contains("listen = ["),
        "{defaults}"
    );
    hubless.run(["completions", "bash"]).ok();
}

#[test]
fn a_value_of_the_wrong_type() {
    Hubless::new()
        .with_config("mdns = 3\n")
        .run(["config", "show"])
        .failed(2, &["config.toml", "line 1", "mdns"]);
    Hubless::new()
        .with("HUBLESS_MDNS", "perhaps")
        .run(["ls"])
        .failed(2, &["HUBLESS_MDNS", "perhaps", "hint: "]);
}

#[test]
fn the_home_directory() {
    let hubless = Hubless::new();
    let show = |args: &[&str], home: Option<&str>, data: Option<&str>| {
        let mut command = hubless.command([args, &["config", "show", "--origin"]].concat());
        command
            .env_remove("HUBLESS_HOME")
            .current_dir(hubless.home());
        command.envs(home.map(|home| ("HUBLESS_HOME", home)));
        command.envs(data.map(|data| ("XDG_DATA_HOME", data)));
        Run::of(command).ok()
    };
    // Each place has its own limit, so that the output shows which file was read.
    for (place, limit) in [
        ("flag", 1),
        ("variable", 2),
        ("xdg/hubless", 3),
        (".local/share/hubless", 4),
    ] {
        let directory = hubless.home().join(place);
        std::fs::create_dir_all(&directory).unwrap();
        let text = format!("limit_up = \"{limit}MB\"\n");
        std::fs::write(directory.join("config.toml"), text).unwrap();
    }
    let xdg = hubless.home().join("xdg");
    let xdg = xdg.to_str();
    for (args, home, data, limit) in [
        (&["--home", "flag"][..], Some("variable"), xdg, 1),
        (&[], Some("variable"), xdg, 2),
        (&[], Some(""), xdg, 3),
        (&[], None, xdg, 3),
        (&[], None, Some("not/absolute"), 4),
        (&[], None, None, 4),
    ] {
        let shown = show(args, home, data);
        let line = format!("limit_up = \"{limit}MB\"  # config.toml");
        assert!(
            shown.contains(&line),
            "{args:?} {home:?} {data:?}: {line:?} is missing:\n{shown}"
        );
    }
}

#[test]
fn set_and_unset_change_one_line_of_the_file() {
    let file = "# by day\nlimit_up = \"1MB\"  # for now\n";
    let hubless = Hubless::new().with_config(file);
    let read = || std::fs::read_to_string(hubless.home().join("config.toml")).unwrap();
    hubless.run(["config", "set", "limit_up", "2MB"]).ok();
    assert_eq!(read(), file.replace("1MB", "2MB"));
    let set = hubless.run(["config", "set", "mdns", "off", "--json"]).ok();
    let set: serde_json::Value = serde_json::from_str(&set).unwrap();
    let wanted = serde_json::json!({ "key": "mdns", "value": false, "holds": "from_next_start" });
    assert_eq!(set, wanted);
    assert!(read().ends_with("# for now\nmdns = false\n"), "{}", read());
    hubless.run(["config", "unset", "mdns"]).ok();
    assert_eq!(read(), file.replace("1MB", "2MB"));
}

#[test]
fn what_cannot_be_set() {
    let hubless = Hubless::new().with_config(FILE);
    for (args, texts) in [
        (
            &["config", "set", "colour", "red"][..],
            ["colour", "limit_up", "hint: "],
        ),
        (
            &["config", "unset", "colour"],
            ["colour", "limit_up", "hint: "],
        ),
        (
            &["config", "set", "limit_up", "fast"],
            ["limit_up", "fast", "10MB"],
        ),
        (
            &["config", "set", "announce", "all"],
            ["announce", "all", "roots"],
        ),
    ] {
        hubless.run(args).failed(2, &texts);
    }
    let file = std::fs::read_to_string(hubless.home().join("config.toml")).unwrap();
    assert_eq!(file, FILE);
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_at_once() {
    for name in ["config.toml", "identity.key"] {
        let hubless = Hubless::new();
        let pipe = hubless.home().join(name);
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let about = [name, "not a regular file", "\nhint: "];
        hubless.run(["id"]).failed(1, &about);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
    let hubless = Hubless::new();
    hubless.run(["id"]).ok();
    let readable = |name: &str| {
        let path = hubless.home().join(name);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        format!("chmod 600 {}", path.display())
    };
    let help = readable("identity.key");
    hubless
        .run(["id"])
        .failed(1, &["others can read it", &help]);

    let hubless = Hubless::new();
    let key = hubless.home().join("swarm.key");
    let text = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", "5a".repeat(32));
    std::fs::write(&key, text).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    let key = key.to_str().unwrap();
    let serve = ["serve", "--gateway", "off", "--network-key", key];
    let help = format!("chmod 600 {key}");
    hubless.run(serve).failed(2, &["others can read it", &help]);
}
