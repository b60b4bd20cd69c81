//! `group-ledger quarantine`: what was genuine and not understood.

use anyhow::Result;
use clap::ValueHint;
use serde::Deserialize;

use crate::cli::connect::READING;
use crate::cli::human::shown;
use crate::cli::output::{Style, note};
use crate::cli::{Session, Usage};
use crate::domain::timestamp::Timestamp;
use crate::reading::parameters::Parameters;
use crate::reading::quarantine::{Apps, Query};
use crate::settings::Settings;

/// Show what was genuine and not understood on a day
///
/// The apps are those of --app-id, or of TENCENT_SDK_APP_ID and OPENIM_APP_ID. `group-ledger reprocess` decodes it again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger quarantine --app-id 1400000000
  group-ledger quarantine --day 2026-11-20 --platform openim --json")]
pub(crate) struct Args {
    /// The day of the receipt, in UTC, as 2026-11-20; today by default
    #[arg(long, value_name = "DAY")]
    day: Option<String>,
    /// Only of this platform
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    platform: Option<String>,
    /// Only of this app
    #[arg(long, value_name = "ID", value_hint = ValueHint::Other)]
    app_id: Option<String>,
}

/// A callback as the reader writes it in JSON.
#[derive(Deserialize)]
struct Row {
    received_at: String,
    platform: String,
    app_id: String,
    code: u32,
    reason: String,
    command: Option<String>,
}

impl Args {
    fn query(&self, today: &str, apps: &Apps, cursor: Option<&str>) -> Result<Query, Usage> {
        let day = Some(self.day.as_deref().unwrap_or(today));
        let all = [
            ("day", day),
            ("platform", self.platform.as_deref()),
            ("app_id", self.app_id.as_deref()),
            ("cursor", cursor),
        ];
        let pairs = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let mut parameters = Parameters::of(pairs.collect());
        let query = Query::read(&mut parameters, apps)?;
        parameters.end()?;
        Ok(query)
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let today = Timestamp::now().date();
    let lookup = |name: &str| session.options.setting(name);
    let apps = Apps::from_settings(&Settings::new(&lookup));
    args.query(&today, &apps, None)?;
    let connection = session.options.connect(READING).await?;
    let (mut cursor, mut count) = (None, 0);
    loop {
        let query = args.query(&today, &apps, cursor.as_deref())?;
        let page = query.page(&connection.ledger).await.map_err(|error| connection.unreadable(error))?;
        count += page.rows.len();
        if session.options.json {
            session.output.lines(&page.rows)?;
        } else {
            for row in &page.rows {
                let Row { received_at, platform, app_id, code, reason, command } = serde_json::from_str(row)?;
                let command = command.map(|command| format!("  {}", shown(&command))).unwrap_or_default();
                let at = session.output.paint(Style::Dim, &received_at);
                session.output.line(format!(
                    "{at}  {platform} {}  {code}{command}  {}",
                    shown(&app_id),
                    shown(&reason)
                ))?;
            }
        }
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    if count == 0 {
        let day = args.day.unwrap_or(today);
        note(&format!(
            "No quarantined callbacks on {day}. Choose the app with --app-id or TENCENT_SDK_APP_ID and OPENIM_APP_ID."
        ));
    }
    Ok(())
}
