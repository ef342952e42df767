//! `docs/cli.md` is the help of all commands; this test holds them equal.

use std::{fmt::Write, path::Path};

use crate::Hubless;

/// Set it to write the page instead of comparing it.
const UPDATE: &str = "HUBLESS_UPDATE_DOCS";

#[test]
fn the_reference_is_what_help_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let page = page();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found
        .lines()
        .zip(page.lines())
        .find(|(found, wanted)| found != wanted);
    assert!(
        found == page,
        "{differs:?}: run this test with {UPDATE}=1 to write docs/cli.md anew"
    );
}

fn page() -> String {
    let mut page = "\
# The command line

Made from the help texts; do not edit. The options under \"Global options\" go with every command.
"
    .to_owned();
    let hubless = Hubless::new();
    describe(&hubless, &[], &mut page);
    page
}

fn describe(hubless: &Hubless, command: &[&str], page: &mut String) {
    let help = hubless.run([command, &["--help"]].concat()).ok();
    let shown = if command.is_empty() {
        help.clone()
    } else {
        without_global_options(&help)
    };
    let shown: Vec<&str> = shown.trim().lines().map(str::trim_end).collect();
    let name = [&["hubless"], command].concat().join(" ");
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", shown.join("\n")).unwrap();
    for sub in commands(&help) {
        describe(hubless, &[command, &[sub]].concat(), page);
    }
}

/// The names under "Commands:".
fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let is_name = line.starts_with("  ") && !line.starts_with("   ");
            is_name.then(|| line.split_whitespace().next()).flatten()
        });
    names.filter(|name| *name != "help").collect()
}

fn without_global_options(help: &str) -> String {
    const HEADING: &str = "\nGlobal options:\n";
    let Some((before, options)) = help.split_once(HEADING) else {
        return help.to_owned();
    };
    // What comes after the options begins at the left again.
    let after = options
        .split_inclusive('\n')
        .skip_while(|line| line.starts_with(' ') || line.trim().is_empty());
    format!("{before}\n{}", after.collect::<String>())
}
