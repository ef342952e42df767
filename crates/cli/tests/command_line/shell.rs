//! Around the commands: completions, manual pages, pipes, the help of each command.

use std::process::Stdio;

use crate::Hubless;

#[test]
fn completions_know_all_commands() {
    let hubless = Hubless::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = hubless.run(["completions", shell]).ok();
        for word in ["hubless", "providers", "follow-links", "no-progress"] {
            assert!(script.contains(word), "{shell}: {word} is missing");
        }
    }
    hubless
        .run(["completions", "tcsh"])
        .failed(2, &["bash, elvish, fish"]);
}

#[test]
fn completions_are_accepted_by_bash() {
    let hubless = Hubless::new();
    let script = hubless.home().join("completion");
    std::fs::write(&script, hubless.run(["completions", "bash"]).ok()).unwrap();
    // A machine without bash has nothing to be wrong with.
    if let Ok(checked) = std::process::Command::new("bash")
        .arg("-n")
        .arg(&script)
        .status()
    {
        assert!(checked.success());
    }
}

#[test]
fn manual_pages() {
    let hubless = Hubless::new();
    let page = hubless.run(["man"]).ok();
    assert!(page.contains(".TH hubless 1"), "{page}");
    assert!(
        page.contains("not found: not here, or no node provides it"),
        "{page}"
    );

    let pages = hubless.home().join("share/man/man1");
    hubless.run(["man", pages.to_str().unwrap()]).ok();
    for name in ["hubless", "hubless-get", "hubless-config-show"] {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
    }
    hubless
        .run(["man", "/dev/null/x"])
        .failed(1, &["/dev/null/x", "hint: "]);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let hubless = Hubless::new();
    for args in [
        &["config", "show"][..],
        &["man"],
        &["completions", "zsh"],
        &["--help"],
    ] {
        let mut child = hubless
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    // The device that is always full is there on Linux only.
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        return;
    };
    let mut command = Hubless::new().command(["config", "show"]);
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: could not write"));
}

#[test]
fn no_colours_but_on_a_terminal() {
    let run = Hubless::new().run(["get", "abc"]);
    assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
}
