//! `group-ledger completions`: what a shell needs to complete its words.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::{Cli, Session};

/// Write the completions of a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger completions bash > ~/.local/share/bash-completion/completions/group-ledger
  group-ledger completions zsh > ~/.zfunc/_group-ledger
  group-ledger completions fish > ~/.config/fish/completions/group-ledger.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "group-ledger", &mut script);
    session.output.text(&String::from_utf8_lossy(&script))
}
