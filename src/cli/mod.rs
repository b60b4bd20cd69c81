//! The command line: `group-ledger`, for people who read the ledger and for operators who repair it.
//!
//! A file a subcommand: `follow`, `history`, `state` and `export` read with the reader's own queries; `quarantine`, `reprocess`,
//! `recover` and `dead_letters` are the operator's; `publish` puts records on the event bus again, and `events` shows what a rule
//! sends on; `send` plays the platforms. `connect` finds the table and the
//! credentials, `output` writes, `interrupt` ends everything on Ctrl-C. May know every other module; none knows it, and the
//! functions are built without it.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "what documents a command is its help, which is no Markdown"
)]

mod checkpoint;
mod completions;
mod connect;
mod dead_letters;
mod demo;
mod entry;
mod events;
mod export;
mod follow;
mod history;
mod human;
mod interrupt;
mod output;
mod publish;
mod quarantine;
mod recover;
mod reprocess;
mod samples;
mod send;
mod span;
mod state;

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use anyhow::{Error, Result};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::cli::interrupt::Interrupts;
use crate::cli::output::{Output, PipeClosed, note};
use crate::reading::problem::Problem;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped with Ctrl-C, 143 with SIGTERM.

Credentials are found as by the AWS CLI: environment, profiles with their roles and SSO, web identity, ECS, EC2. Only a \
profile's `credential_process` is not run: `aws configure export-credentials --format env` prints what it yields.";

/// Reads and looks after a Group Ledger
#[derive(Parser)]
#[command(name = "group-ledger", version, after_long_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// The options of every command.
#[derive(Args)]
pub(crate) struct Options {
    /// The ledger's table: the output `TableName` of the deployment
    #[arg(long, global = true, env = "TABLE_NAME", hide_env_values = true, value_name = "NAME", help_heading = GLOBAL)]
    table: Option<String>,
    /// DynamoDB's address, where it is not AWS's own, as http://127.0.0.1:8000 of `make run`
    ///
    /// Else AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL. On this machine the table is group-changes and the region us-east-1
    /// unless said otherwise, and no credentials are needed: only those of the environment, or of --profile, are used.
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url, help_heading = GLOBAL)]
    endpoint_url: Option<String>,
    /// The AWS region; else that of the environment or the profile
    #[arg(long, global = true, value_name = "REGION", help_heading = GLOBAL)]
    region: Option<String>,
    /// The AWS profile; else AWS_PROFILE
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    profile: Option<String>,
    /// Write JSON, an object a line
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// When to write in colour; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = GLOBAL)]
    color: Color,
}

const GLOBAL: &str = "Options of every command";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
enum Command {
    Follow(follow::Args),
    History(history::Args),
    State(state::Args),
    Export(export::Args),
    Quarantine(quarantine::Args),
    Reprocess(reprocess::Args),
    Recover(recover::Args),
    DeadLetters(dead_letters::Args),
    Publish(publish::Args),
    Events(events::Args),
    Send(send::SendArgs),
    Smoke(send::SmokeArgs),
    Completions(completions::Args),
}

/// What every command is given.
pub(crate) struct Session {
    pub(crate) options: Options,
    pub(crate) output: Output,
}

/// Wrong usage: what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

impl Usage {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

impl From<Problem> for Usage {
    /// A parameter that the reader rejects, under the name of its option.
    fn from(problem: Problem) -> Self {
        // Only a URL needs these.
        let detail = problem.detail.replace(" (with + as %2B)", "").replace(" (with # as %23)", "");
        let detail = detail.replace("Z.", "Z, or a time span before now, as 2h.");
        let Some(name) = problem.parameter else { return Self(detail) };
        let rest = detail.strip_prefix(&name).unwrap_or(&detail);
        match name.as_str() {
            "group_key" if rest.starts_with(" is missing") => {
                Self("no group is named: give its key, or --platform, --app-id and --group-id".to_owned())
            }
            "group_key" => Self(format!("GROUP{rest}")),
            name => Self(format!("--{}{rest}", name.replace('_', "-"))),
        }
    }
}

/// Runs the command that the arguments say.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { options, command } = Cli::try_parse().unwrap_or_else(|error| error.exit());
    let color = match options.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stdout().is_terminal() && output::environment_allows_color(),
    };
    let mut session = Session { options, output: Output::new(color) };
    let ended =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::from).and_then(|runtime| {
            let interrupts = Interrupts::watch()?;
            let ended = runtime.block_on(async {
                tokio::select! {
                    biased;
                    signal = interrupts.first() => Ok(Some(signal)),
                    done = command.run(&mut session) => done.map(|()| None),
                }
            });
            // A blocking read of standard input must not keep the process alive.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(signal)) => ExitCode::from(interrupt::exit_code(signal)),
        // The reader closed the pipe: not a failure.
        Err(error) if error.is::<PipeClosed>() => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            note(&format!("error: {error}\n\nFor more information, try '--help'."));
            ExitCode::from(2)
        }
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

impl Command {
    async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Follow(args) => follow::run(args, session).await,
            Self::History(args) => history::run(args, session).await,
            Self::State(args) => state::run(args, session).await,
            Self::Export(args) => export::run(args, session).await,
            Self::Quarantine(args) => quarantine::run(args, session).await,
            Self::Reprocess(args) => reprocess::run(args, session).await,
            Self::Recover(args) => recover::run(args, session).await,
            Self::DeadLetters(args) => dead_letters::run(args, session).await,
            Self::Publish(args) => publish::run(args, session).await,
            Self::Events(args) => events::run(args, session).await,
            Self::Send(args) => send::send(args, session).await,
            Self::Smoke(args) => send::smoke(args, session).await,
            Self::Completions(args) => completions::run(&args, session),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Cli, Usage};
    use crate::reading::problem::Problem;

    #[test]
    fn the_options_contradict_one_another_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_rejected_parameter_is_told_as_its_option() {
        for (name, detail, told) in [
            ("from", "must be a time (with + as %2B).", "--from must be a time."),
            ("app_id", "is missing.", "--app-id is missing."),
            ("group_key", "must be a key (with # as %23).", "GROUP must be a key."),
        ] {
            assert_eq!(Usage::from(Problem::parameter(name, detail)).to_string(), told);
        }
    }
}
