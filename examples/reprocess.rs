//! Decodes what is in quarantine again with the present code: records what it understands now, at its own time and key, and
//! takes it out of quarantine. What it does not understand stays.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use group_ledger::domain::quarantine::group_key;
use group_ledger::domain::record::SORT_KEY;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::aws;
use group_ledger::ingest::reprocess::{Reprocessed, reprocess};
use group_ledger::platform::{PLATFORMS, Platform};
use group_ledger::settings::Settings;
use group_ledger::storage::ledger::{Ledger, Written};
use group_ledger::storage::read::text_of;

use crate::tool::{TIMEOUTS, ended, helped};

mod tool;

const HELP: &str = "\
Decodes what is in quarantine again, records what is understood now and takes it out of quarantine.
Stopping it midway loses nothing: run it again.

  reprocess [DAYS]   looks at the last DAYS days, today among them; 35 by default

The table and who may write to it, from the environment: TABLE_NAME, AWS_REGION and AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (`aws configure export-credentials --format env` prints them);
AWS_ENDPOINT_URL_DYNAMODB for a local one. Whose callbacks: TENCENT_SDK_APP_ID, OPENIM_APP_ID.
It needs dynamodb:Query, GetItem, PutItem and DeleteItem on the table.";

/// How long one callback may take.
const CALLBACK_TIMEOUT: Duration = Duration::from_mins(1);

/// How many items are read at a time: one may have 400 KB.
const PAGE_SIZE: usize = 25;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let days = match args.as_slice() {
        [] => Some(35),
        [days] => days.parse().ok(),
        _ => None,
    };
    let Some(days) = days else {
        return helped(HELP);
    };
    ended(run(days).await)
}

async fn run(days: u32) -> Result<()> {
    // Nobody calls this tool, so nobody has to be kept from it.
    let lookup =
        |name: &str| match PLATFORMS.iter().find(|platform| [platform.allow_anybody, platform.secrets].contains(&name))
        {
            Some(platform) => (platform.allow_anybody == name).then(|| "true".to_owned()),
            None => env::var(name).ok(),
        };
    let settings = Settings::new(&lookup);
    let ledger = Ledger::from_settings(&settings, &aws::config(&settings, TIMEOUTS)?)?;
    let mut tally = Tally::default();
    for platform in PLATFORMS {
        match (platform.from_settings)(&settings) {
            Ok(platform) => reprocess_all(&ledger, &*platform, days, &mut tally).await?,
            Err(error) => println!("{}: not looked at, because {error}", platform.name),
        }
    }
    let Tally { recorded, duplicates, ignored, kept, broken } = tally;
    println!(
        "{recorded} recorded, {duplicates} recorded before, {ignored} are nothing to record, {kept} stay in quarantine."
    );
    ensure!(broken == 0, "{broken} of those that stay could not be read or recorded; see above");
    Ok(())
}

#[derive(Default)]
struct Tally {
    recorded: u32,
    duplicates: u32,
    ignored: u32,
    kept: u32,
    broken: u32,
}

impl Tally {
    /// Counts what became of a callback, and says so.
    fn add(&mut self, key: &str, reprocessed: &Reprocessed) {
        match reprocessed {
            Reprocessed::Recorded(kind, written) => {
                println!("  {key}  {}", kind.as_str());
                match written {
                    Written::Recorded => self.recorded += 1,
                    Written::Duplicate => self.duplicates += 1,
                }
            }
            Reprocessed::Ignored => {
                println!("  {key}  nothing to record");
                self.ignored += 1;
            }
            Reprocessed::Kept(rejection) => {
                println!("  {key}  stays: {rejection}");
                self.kept += 1;
            }
        }
    }
}

/// Reprocesses what a platform's app has in quarantine, from its oldest day on.
async fn reprocess_all(ledger: &Ledger, platform: &dyn Platform, days: u32, tally: &mut Tally) -> Result<()> {
    println!("{} {}: the last {days} days", platform.name(), platform.app_id());
    for day in (0..i64::from(days)).rev() {
        let day = Timestamp::now().unix_millis() - day * 86_400_000;
        let day = Timestamp::from_unix_millis(day).context("that many days ago there was no quarantine")?.date();
        let group_key = group_key(platform.name(), platform.app_id(), &day);
        let mut after = None;
        loop {
            let page = ledger.partition(&group_key, after, PAGE_SIZE).await;
            let page = page.context("the table cannot be read")?;
            for item in page.items {
                let key = text_of(&item, SORT_KEY).unwrap_or_default().to_owned();
                match reprocess(ledger, platform, item, CALLBACK_TIMEOUT).await {
                    Ok(reprocessed) => tally.add(&key, &reprocessed),
                    // One that is broken must not keep the later ones where they are.
                    Err(error) => {
                        println!("  {key}  stays: {:#}", Error::from(error));
                        tally.kept += 1;
                        tally.broken += 1;
                    }
                }
            }
            after = page.after;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(())
}
