//! What the README tells people to type exists.

use std::{fs, path::Path};

use hubless_testkit::process::Lab;

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Lines of code blocks in README.md, without a prompt.
fn commands(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("README.md")).expect("README.md");
    let blocks = text.split("```").skip(1).step_by(2);
    // The first line of a block is the name of its language.
    let lines = blocks.flat_map(|block| block.lines().skip(1));
    let lines = lines.map(|line| line.trim().trim_start_matches("$ ").to_owned());
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn each_command_of_the_readme_exists_with_its_flags() {
    let lab = Lab::new(HUBLESS);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut ours, mut scripts) = (0, 0);
    for line in commands(&root) {
        let words: Vec<&str> = line
            .split_whitespace()
            .take_while(|word| *word != "#")
            .collect();
        match words.as_slice() {
            ["hubless", command, rest @ ..] if !command.starts_with('-') => {
                ours += 1;
                let help = lab.machine("home").run([command, "--help"]).ok().stdout;
                for flag in rest.iter().filter(|word| word.starts_with("--")) {
                    let (flag, _) = flag.split_once('=').unwrap_or((flag, ""));
                    assert!(help.contains(flag), "README: {line}: no {flag} in\n{help}");
                }
            }
            [script, ..] if script.starts_with("scripts/") => {
                scripts += 1;
                assert!(root.join(script).is_file(), "README: {line}: no such file");
            }
            _ => {}
        }
    }
    assert!(ours >= 3, "the README shows {ours} commands of hubless");
    assert!(
        scripts >= 2,
        "the README shows {scripts} of its two scripts"
    );
}
