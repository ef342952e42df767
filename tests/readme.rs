//! The commands and flags in the README and in the page about names exist.

use std::{fs, path::Path};

use hubless_testkit::process::Lab;

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Lines of code blocks without their prompts, and inline code of the text.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, part) in text.split("```").enumerate() {
        if number % 2 == 1 {
            // The first line of a block is the name of its language.
            let lines = part.lines().skip(1);
            found.extend(lines.map(|line| line.trim().trim_start_matches("$ ").to_owned()));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Names of commands are lower case; their arguments are not, or have other characters.
fn is_command_name(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Checks the commands of a document; how many are ours, and how many are scripts.
fn check(document: &str) -> (u32, u32) {
    let machine = Lab::new(HUBLESS).machine("home");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join(document)).expect("the document");
    let (mut ours, mut scripts) = (0, 0);
    for line in commands(&text) {
        let words: Vec<&str> = line
            .split_whitespace()
            .take_while(|word| *word != "#")
            .collect();
        match words.as_slice() {
            ["hubless", command, ..] if is_command_name(command) => {
                ours += 1;
                let names = words[1..].iter().take_while(|word| is_command_name(word));
                let help = machine.run(names.chain(&["--help"])).ok().stdout;
                for flag in words.iter().filter(|word| word.starts_with("--")) {
                    assert!(
                        help.contains(flag),
                        "{document}: {line}: no {flag} in\n{help}"
                    );
                }
            }
            [script, ..] if script.starts_with("scripts/") => {
                scripts += 1;
                assert!(
                    root.join(script).is_file(),
                    "{document}: {line}: no such file"
                );
            }
            _ => {}
        }
    }
    (ours, scripts)
}

#[test]
fn each_command_of_the_readme_exists_with_its_flags() {
    let (ours, scripts) = check("README.md");
    assert!(ours >= 10, "only {ours} commands of hubless were found");
    assert!(scripts >= 2, "only {scripts} scripts were found");
}

#[test]
fn each_command_of_the_page_about_names_exists_with_its_flags() {
    let (ours, _) = check("docs/names.md");
    assert!(ours >= 20, "only {ours} commands of hubless were found");
}
