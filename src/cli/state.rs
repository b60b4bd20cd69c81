//! `group-ledger state`: what a group is, or was, and what its history proves to be missing.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::cli::connect::READING;
use crate::cli::history::Group;
use crate::cli::human::shown;
use crate::cli::output::{Output, Style};
use crate::cli::span::point;
use crate::cli::{Session, Usage};
use crate::domain::timestamp::Timestamp;
use crate::reading::parameters::Parameters;
use crate::reading::state::State;
use crate::reading::state::callbacks::Callbacks;
use crate::reading::state::gaps::{Gap, GapKind};
use crate::reading::state::query::Query;

/// Show what a group is, or was at a moment, and what its history proves to be missing
///
/// Every value has the change that set it; `group-ledger history` shows that change. There is no limit to the history's length.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger state 'tencent-chat#1400000000#@TGS#2J4SZEAEL'
  group-ledger state 'tencent-chat#1400000000#@TGS#2J4SZEAEL' --at 2022-12-09T08:27:00Z
  group-ledger state --platform openim --app-id openim --group-id 2559562921 --at 2d --json")]
pub(crate) struct Args {
    #[command(flatten)]
    group: Group,
    /// The moment: a time in RFC 3339, or a time span before now, as 2h; now by default
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let mut pairs = args.group.parameters();
    if let Some(at) = &args.at {
        pairs.push(("at".to_owned(), point(at, Timestamp::now())));
    }
    let query = Query::read(&mut Parameters::of(pairs)).map_err(Usage::from)?;
    let connection = session.options.connect(READING).await?;
    let spinner = if stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message("reading the history …");
    spinner.enable_steady_tick(Duration::from_millis(200));
    let state = query.read_state(&connection.ledger, &Callbacks::default(), None).await;
    spinner.finish_and_clear();
    let Some(state) = state.map_err(|error| connection.unreadable(error))? else {
        bail!("nothing is recorded of this group up to then: is its id whole, with the @TGS# of Tencent's?");
    };
    if session.options.json {
        return session.output.json(&state);
    }
    let text = text(&session.output, &state)?;
    session.output.text(&text)
}

/// A state for people.
fn text(output: &Output, state: &State) -> Result<String> {
    // By its JSON, whose names the documentation has.
    let json = serde_json::to_value(state)?;
    let field = |name: &str| json.pointer(&format!("/fields/{name}/value")).and_then(Value::as_str).map(shown);
    let mut lines = Vec::new();
    let name = field("name").filter(|name| !name.is_empty()).unwrap_or_else(|| "(no name)".to_owned());
    let status = json.get("status").and_then(Value::as_str).unwrap_or_default();
    let group_type = field("group_type").map(|group_type| format!(" · {group_type}")).unwrap_or_default();
    lines.push(format!("{}   {status}{group_type} · {}", output.paint(Style::Bold, &name), state.platform));
    lines.push(shown(&state.group_key));
    let creation = if state.complete { "with the group's creation" } else { "without the group's creation" };
    lines.push(format!(
        "{} changes, {creation}: {} to {}",
        state.changes,
        time(&state.first_change_key),
        time(&state.last_change_key)
    ));
    for (title, of) in [("Profile", "fields"), ("Custom fields", "custom_fields"), ("Attributes", "attributes")] {
        let values = json.get(of).and_then(Value::as_object).into_iter().flatten();
        let values: Vec<String> = values.map(|(name, value)| self::value(output, name, value)).collect();
        section(output, &mut lines, title, values);
    }
    let known = if state.members_complete { "all of them" } else { "as far as they are known" };
    let members = json.get("members").and_then(Value::as_object).into_iter().flatten();
    let members: Vec<String> = members.map(|(user, member)| self::member(output, user, member)).collect();
    let rest = state.members_total - state.members.len();
    section(output, &mut lines, &format!("Members ({}, {known})", state.members_total), members);
    if rest > 0 {
        lines.push(format!("  … and {rest} more: `/ledger/v1/members` lists all"));
    }
    for (topic, fields) in json.get("topics").and_then(Value::as_object).into_iter().flatten() {
        let fields = fields.as_object().into_iter().flatten();
        let fields = fields.map(|(name, value)| self::value(output, name, value)).collect();
        section(output, &mut lines, &format!("Topic {}", shown(topic)), fields);
    }
    let gaps: Vec<String> = state.gaps.iter().map(gap).collect();
    let total: u64 = state.gap_counts.values().sum();
    if !gaps.is_empty() {
        lines.push(String::new());
        let title = format!("Gaps ({total}): a callback is missing before each of these changes");
        lines.push(output.paint(Style::Bad, &title));
        lines.extend(gaps);
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn section(output: &Output, lines: &mut Vec<String>, title: &str, rows: Vec<String>) {
    if !rows.is_empty() {
        lines.push(String::new());
        lines.push(output.paint(Style::Bold, title));
        lines.extend(rows);
    }
}

/// A field, its value and where it comes from.
fn value(output: &Output, name: &str, value: &Value) -> String {
    let told = value.get("value").map(Value::to_string).unwrap_or_default();
    format!("  {:20} {}  {}", shown(name), shown(&told), output.paint(Style::Dim, &origin(value)))
}

/// The change that something comes from, whose key begins with its time, and who did it.
fn origin(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(shown);
    let by = text("operator").map(|operator| format!(" by {operator}")).unwrap_or_default();
    format!("{}{by}", text("change_key").unwrap_or_default())
}

fn member(output: &Output, user: &str, member: &Value) -> String {
    let text = |name: &str| member.get(name).and_then(Value::as_str);
    let how = match (text("since"), text("how")) {
        (None, _) => "first shown by".to_owned(),
        (Some(_), Some("created")) => "with the group".to_owned(),
        (Some(_), Some("apply")) => "applied".to_owned(),
        (Some(_), how) => shown(how.unwrap_or("joined")),
    };
    let known: BTreeMap<&str, &Value> =
        ["role", "nickname", "face_url", "ex"].into_iter().filter_map(|name| Some((name, member.get(name)?))).collect();
    let known: String =
        known.into_iter().map(|(name, value)| format!("  {name}={}", shown(&value.to_string()))).collect();
    format!("  {:20} {}{known}", shown(user), output.paint(Style::Dim, &format!("{how} {}", origin(member))))
}

/// A gap in words.
fn gap(gap: &Gap) -> String {
    let expected = shown(gap.expected.as_deref().unwrap_or_default());
    let found = shown(gap.found.as_deref().unwrap_or_default());
    let proof = match gap.kind {
        GapKind::NoCreation => format!("no creation before {found}"),
        GapKind::OwnerMismatch => format!("the owner was {expected}; this change says {found}"),
        GapKind::ChangeAfterDismissal => format!("{found} after the dismissal {expected}"),
        GapKind::CreatedTwice => format!("created before, by {expected}, and not dismissed since"),
        GapKind::MemberUnknown => format!("{found} was no member"),
        GapKind::MemberKnown => format!("{found} was a member already"),
    };
    format!("  {}  {proof}", shown(&gap.change_key))
}

/// The time that a change's key begins with.
fn time(change_key: &str) -> &str {
    change_key.split('#').next().unwrap_or_default()
}
