//! `group-ledger history`: what happened to one group.

use anyhow::Result;
use clap::ValueHint;

use crate::cli::connect::READING;
use crate::cli::output::note;
use crate::cli::span::point;
use crate::cli::{Session, Usage, human};
use crate::domain::timestamp::Timestamp;
use crate::reading::format::Format;
use crate::reading::history::Query;
use crate::reading::page::MAX_LIMIT;
use crate::reading::parameters::Parameters;

/// The first page is small, so that the first lines come at once.
const FIRST_PAGE: usize = 100;

/// Show what happened to one group, oldest first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger history 'tencent-chat#1400000000#@TGS#2J4SZEAEL'
  group-ledger history --platform openim --app-id openim --group-id 2559562921 --kind 'member.*' --from 7d
  group-ledger history 'openim#openim#2559562921' --desc --limit 1 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    group: Group,
    /// The start, by when it happened: a time in RFC 3339, or a time span before now, as 2h
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The end, exclusive
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only changes of this kind, as group.created, or of a family, as 'member.*'; may be given again
    #[arg(long, value_name = "KIND", value_hint = ValueHint::Other)]
    kind: Vec<String>,
    /// Only changes by this user
    #[arg(long, value_name = "USER", value_hint = ValueHint::Other)]
    operator: Option<String>,
    /// The newest first
    #[arg(long)]
    desc: bool,
    /// At most so many changes
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Add what the fields that a change sets were before
    #[arg(long)]
    previous: bool,
    /// Write CSV; a cell that a spreadsheet would run begins with '
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// A group: its key, or what its key is made of.
#[expect(clippy::struct_field_names, reason = "as the reader's parameters are named")]
#[derive(clap::Args)]
pub(crate) struct Group {
    /// The group's key, {platform}#{app id}#{group id}; else give the three
    #[arg(value_name = "GROUP", value_hint = ValueHint::Other, conflicts_with_all = ["platform", "app_id", "group_id"])]
    group_key: Option<String>,
    /// The group's platform
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    platform: Option<String>,
    /// The group's app
    #[arg(long, value_name = "ID", value_hint = ValueHint::Other)]
    app_id: Option<String>,
    /// The group's id, as the platform has it
    #[arg(long, value_name = "ID", value_hint = ValueHint::Other)]
    group_id: Option<String>,
}

impl Group {
    /// The group as the reader's parameters name it.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let all = [
            ("group_key", &self.group_key),
            ("platform", &self.platform),
            ("app_id", &self.app_id),
            ("group_id", &self.group_id),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
    }
}

impl Args {
    /// A page's query, after a cursor.
    fn query(&self, now: Timestamp, cursor: Option<&str>, limit: usize) -> Result<Query, Usage> {
        let mut pairs = self.group.parameters();
        let mut pair = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
        for (name, time) in [("from", &self.from), ("until", &self.until)] {
            if let Some(time) = time {
                pair(name, &point(time, now));
            }
        }
        self.kind.iter().for_each(|kind| pair("kind", kind));
        if let Some(operator) = &self.operator {
            pair("operator", operator);
        }
        if self.desc {
            pair("order", "desc");
        }
        if self.previous {
            pair("previous", "true");
        }
        if let Some(cursor) = cursor {
            pair("cursor", cursor);
        }
        pair("limit", &limit.to_string());
        let mut parameters = Parameters::of(pairs);
        let query = Query::read(&mut parameters)?;
        parameters.end()?;
        Ok(query)
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    // One `now` for every page: a cursor is bound to its times.
    let now = Timestamp::now();
    args.query(now, None, FIRST_PAGE)?;
    let connection = session.options.connect(READING).await?;
    let format = if args.csv { Format::Csv } else { Format::JsonLines };
    let (mut cursor, mut shown, mut page_size) = (None, 0, FIRST_PAGE);
    loop {
        let left = args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(shown));
        let limit = left.map_or(page_size, |left| left.min(page_size));
        let query = args.query(now, cursor.as_deref(), limit)?;
        let page = query.page(&connection.ledger, format).await.map_err(|error| connection.unreadable(error))?;
        if args.csv {
            let text = format.page(&page);
            // The line of names once.
            let text =
                if cursor.is_none() { text.as_str() } else { text.split_once('\n').map_or("", |(_, rows)| rows) };
            session.output.text(text)?;
        } else if session.options.json {
            session.output.lines(&page.rows)?;
        } else {
            let lines: Vec<String> =
                page.rows.iter().map(|row| human::line(&session.output, row, false)).collect::<Result<_>>()?;
            session.output.lines(lines)?;
        }
        shown += page.rows.len();
        cursor = page.next;
        let is_enough = left.is_some_and(|left| page.rows.len() >= left);
        if !page.more || cursor.is_none() || is_enough {
            break;
        }
        page_size = MAX_LIMIT;
    }
    if shown == 0 {
        note("Nothing is recorded of this group, or nothing that was asked for.");
    }
    Ok(())
}
