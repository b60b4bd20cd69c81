//! `group-ledger state`: what a group is, or was, and what its history proves to be missing.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::ProgressBar;

use crate::cli::connect::READING;
use crate::cli::history::Group;
use crate::cli::human::shown;
use crate::cli::output::{Output, Style};
use crate::cli::span::point;
use crate::cli::{Session, Usage};
use crate::domain::change::Detail;
use crate::domain::timestamp::Timestamp;
use crate::reading::format::json;
use crate::reading::parameters::Parameters;
use crate::reading::state::callbacks::Callbacks;
use crate::reading::state::gaps::{Gap, GapKind};
use crate::reading::state::group::{FieldValue, Member, Origin, Values};
use crate::reading::state::query::Query;
use crate::reading::state::{State, Status};

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
        bail!(
            "nothing is recorded of this group up to then: check the time and the group's id, as Tencent's may begin with @TGS#"
        );
    };
    if session.options.json {
        return session.output.json(&state);
    }
    let text = text(&session.output, &state);
    session.output.text(&text)
}

/// A state for people.
fn text(output: &Output, state: &State) -> String {
    let field = |name: &str| match &state.fields.get(name)?.value.0 {
        Detail::Text(text) if !text.is_empty() => Some(shown(text)),
        _ => None,
    };
    let status = if state.status == Status::Active { "active" } else { "dismissed" };
    let name = field("name").unwrap_or_else(|| "(no name)".to_owned());
    let group_type = field("group_type").map(|group_type| format!(" · {group_type}")).unwrap_or_default();
    let creation = match (state.complete, state.gap_counts.contains_key(&GapKind::ChangeAfterDismissal)) {
        (true, _) => "with the group's creation",
        (false, true) => "the creation of its present life is missing",
        (false, false) => "its creation is missing",
    };
    let (first, last) = (time(&state.first_change_key), time(&state.last_change_key));
    let mut lines = vec![
        format!("{}   {status}{group_type} · {}", output.paint(Style::Bold, &name), state.platform),
        shown(&state.group_key),
        format!("{} changes, {creation}: {first} to {last}", state.changes),
    ];
    let values = |values: &Values| values.iter().map(|(name, value)| self::value(output, name, value)).collect();
    section(output, &mut lines, "Profile", values(&state.fields));
    section(output, &mut lines, "Custom fields", values(&state.custom_fields));
    section(output, &mut lines, "Attributes", values(&state.attributes));
    let misses_members =
        [GapKind::MemberKnown, GapKind::MemberUnknown].iter().any(|kind| state.gap_counts.contains_key(kind));
    let known = if state.members_complete && !misses_members { "all of them" } else { "as far as they are known" };
    let members = state.members.iter().map(|(user, member)| self::member(output, user, member)).collect();
    section(output, &mut lines, &format!("Members ({}, {known})", state.members_total), members);
    let rest = state.members_total - state.members.len();
    if rest > 0 {
        lines.push(format!("  … and {rest} more, which the reader's /ledger/v1/members lists"));
    }
    for (topic, fields) in &state.topics {
        section(output, &mut lines, &format!("Topic {}", shown(topic)), values(fields));
    }
    if !state.gaps.is_empty() {
        let total: u64 = state.gap_counts.values().sum();
        let title = format!("Gaps ({total}): a callback is missing before each of these changes");
        lines.extend([String::new(), output.paint(Style::Bad, &title)]);
        lines.extend(state.gaps.iter().map(gap));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn section(output: &Output, lines: &mut Vec<String>, title: &str, rows: Vec<String>) {
    if !rows.is_empty() {
        lines.extend([String::new(), output.paint(Style::Bold, title)]);
        lines.extend(rows);
    }
}

/// A field, its value and where it comes from.
fn value(output: &Output, name: &str, value: &FieldValue) -> String {
    let Origin { change_key, operator, .. } = &value.origin;
    let origin = output.paint(Style::Dim, &origin(change_key, operator.as_deref()));
    format!("  {:20} {}  {origin}", shown(name), shown(&json(&value.value)))
}

/// The change that something comes from, whose key begins with its time, and who did it.
fn origin(change_key: &str, operator: Option<&str>) -> String {
    let by = operator.map(|operator| format!(" by {}", shown(operator))).unwrap_or_default();
    format!("{}{by}", shown(change_key))
}

fn member(output: &Output, user: &str, member: &Member) -> String {
    let how = match (member.since, member.how.as_deref()) {
        (None, _) => "first shown by".to_owned(),
        (Some(_), Some("created")) => "with the group".to_owned(),
        (Some(_), Some("apply")) => "applied".to_owned(),
        (Some(_), how) => shown(how.unwrap_or("joined")),
    };
    let origin = format!("{how} {}", origin(&member.change_key, member.operator.as_deref()));
    let fields = member.fields.iter().map(|(name, value)| format!("  {name}={}", shown(&json(value))));
    format!("  {:20} {}{}", shown(user), output.paint(Style::Dim, &origin), fields.collect::<String>())
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
