//! `group-ledger reprocess`: decodes what is in quarantine again with the present code, records what it understands now, at its own
//! time and key, and takes it out of quarantine. What it does not understand stays.

use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use serde_json::json;

use crate::cli::Session;
use crate::cli::connect::{Connection, WRITING, variable};
use crate::cli::human::shown;
use crate::domain::quarantine::group_key;
use crate::domain::record::SORT_KEY;
use crate::domain::timestamp::{DAY_MILLIS, Timestamp};
use crate::ingest::reprocess::{Reprocessed, reprocess};
use crate::platform::{PLATFORMS, Platform};
use crate::settings::Settings;
use crate::storage::ledger::Written;
use crate::storage::read::text_of;

/// How long one callback may take.
const CALLBACK_TIMEOUT: Duration = Duration::from_mins(1);

/// How many items are read at a time: one may have 400 KB.
const PAGE_SIZE: usize = 25;

/// Decode what is in quarantine again, with the code of this program
///
/// What is understood now is recorded, at its own time and key, and leaves quarantine; what is not stays. Stopping it midway loses
/// nothing: run it again. Whose callbacks: TENCENT_SDK_APP_ID and OPENIM_APP_ID, as the functions have them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  TENCENT_SDK_APP_ID=1400000000 group-ledger reprocess
  TENCENT_SDK_APP_ID=1400000000 OPENIM_APP_ID=openim group-ledger reprocess --days 3 --profile operator")]
pub(crate) struct Args {
    /// How many days to look at, today among them
    #[arg(long, value_name = "DAYS", default_value_t = 35)]
    days: u32,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let connection = session.options.connect(WRITING).await?;
    let mut tally = Tally::default();
    for registration in PLATFORMS {
        // Nobody calls this program, so nobody has to be kept from it.
        let platform = {
            let options = &session.options;
            let lookup = |name: &str| match name {
                name if name == registration.allow_anybody => Some("true".to_owned()),
                name if name == registration.secrets => None,
                name => options.setting(name).or_else(|| variable(name)),
            };
            (registration.from_settings)(&Settings::new(&lookup))
        };
        match platform {
            Ok(platform) => reprocess_all(&connection, &*platform, args.days, &mut tally, session).await?,
            Err(error) if session.options.json => {
                session.output.json(&json!({ "platform": registration.name, "not_looked_at": error.to_string() }))?;
            }
            Err(error) => session.output.line(format!("{}: not looked at, because {error}", registration.name))?,
        }
    }
    let Tally { recorded, duplicates, ignored, still_quarantined, failed } = tally;
    if session.options.json {
        session.output.json(
            &json!({ "recorded": recorded, "duplicates": duplicates, "ignored": ignored, "still_quarantined": still_quarantined, "failed": failed }),
        )?;
    } else {
        session.output.line(format!(
            "{recorded} recorded, {duplicates} recorded before, {ignored} ignored, {still_quarantined} stay in quarantine."
        ))?;
    }
    ensure!(failed == 0, "{failed} of those that stay could not be read or recorded; see above");
    Ok(())
}

#[derive(Default)]
struct Tally {
    recorded: u32,
    duplicates: u32,
    ignored: u32,
    still_quarantined: u32,
    failed: u32,
}

impl Tally {
    /// Counts what became of a callback; what it is, in words.
    fn add(&mut self, reprocessed: &Reprocessed) -> (&'static str, String) {
        match reprocessed {
            Reprocessed::Recorded(kind, written) => {
                let outcome = match written {
                    Written::Recorded => {
                        self.recorded += 1;
                        "recorded"
                    }
                    Written::Duplicate => {
                        self.duplicates += 1;
                        "duplicate"
                    }
                };
                (outcome, kind.as_str().to_owned())
            }
            Reprocessed::Ignored => {
                self.ignored += 1;
                ("ignored", "nothing to record".to_owned())
            }
            Reprocessed::StillQuarantined(rejection) => {
                self.still_quarantined += 1;
                ("still_quarantined", format!("stays: {rejection}"))
            }
        }
    }
}

/// Reprocesses what a platform's app has in quarantine, from its oldest day on.
async fn reprocess_all(
    connection: &Connection,
    platform: &dyn Platform,
    days: u32,
    tally: &mut Tally,
    session: &mut Session,
) -> Result<()> {
    let ledger = &connection.ledger;
    let is_json = session.options.json;
    if !is_json {
        session.output.line(format!("{} {}: the last {days} days", platform.name(), platform.app_id()))?;
    }
    // Once: at midnight another reading would skip a day.
    let now = Timestamp::now().unix_millis();
    for day in (0..i64::from(days)).rev() {
        let day = now - day * DAY_MILLIS;
        let day = Timestamp::from_unix_millis(day).context("that many days ago there was no quarantine")?.date();
        let group_key = group_key(platform.name(), platform.app_id(), &day);
        let mut after = None;
        loop {
            let page =
                ledger.partition(&group_key, after, PAGE_SIZE).await.map_err(|error| connection.unreadable(error))?;
            for item in page.items {
                let key = text_of(&item, SORT_KEY).unwrap_or_default().to_owned();
                let (outcome, words) = match reprocess(ledger, platform, item, CALLBACK_TIMEOUT).await {
                    Ok(reprocessed) => tally.add(&reprocessed),
                    // One that fails must not keep the later ones where they are.
                    Err(error) => {
                        tally.still_quarantined += 1;
                        tally.failed += 1;
                        ("failed", format!("stays: {:#}", Error::from(error)))
                    }
                };
                if is_json {
                    let own = json!({ "group_key": group_key, "change_key": key, "outcome": outcome, "detail": words });
                    session.output.json(&own)?;
                } else {
                    session.output.line(format!("  {}  {words}", shown(&key)))?;
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
