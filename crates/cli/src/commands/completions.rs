//! `hubless completions`: a script that completes commands in a shell.

use clap_complete::Shell;

use crate::{failure::Error, output::Output};

/// Print a script that completes commands and options in a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless completions bash > ~/.local/share/bash-completion/completions/hubless
  hubless completions zsh > ~/.zfunc/_hubless
  hubless completions fish > ~/.config/fish/completions/hubless.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut described: clap::Command, output: &Output) -> Result<(), Error> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut described, "hubless", &mut script);
    output.raw(&script)
}
