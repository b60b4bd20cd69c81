//! The formats of a list of changes: JSON, JSON lines, CSV.

use serde::Serialize;

use crate::domain::timestamp::Timestamp;
use crate::reading::change::Change;
use crate::reading::page::{Page, Rest};
use crate::reading::problem::Problem;

/// A format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object with the list in it.
    Json,
    /// A JSON object a line.
    JsonLines,
    /// A line of columns each, under a line with their names.
    Csv,
}

/// The columns of CSV.
const COLUMNS: [&str; 19] = [
    "group_key",
    "change_key",
    "platform",
    "app_id",
    "group_id",
    "kind",
    "command",
    "occurred_at",
    "occurred_at_source",
    "received_at",
    "recorded_at",
    "operator",
    "group_type",
    "change",
    "digest",
    "source",
    "request_id",
    "expires_at",
    "previous",
];

impl Format {
    /// The format that `format` or else an `Accept` header asks for; JSON where neither does.
    ///
    /// # Errors
    ///
    /// If `format` is none.
    pub fn asked_for(parameter: Option<&str>, accept: &str) -> Result<Self, Problem> {
        match parameter {
            Some("json") => Ok(Self::Json),
            Some("ndjson") => Ok(Self::JsonLines),
            Some("csv") => Ok(Self::Csv),
            Some(_) => Err(Problem::parameter("format", "must be json, ndjson or csv.")),
            None => {
                let mut types = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
                Ok(types.find_map(Self::of_media_type).unwrap_or(Self::Json))
            }
        }
    }

    fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type.to_ascii_lowercase().as_str() {
            "application/x-ndjson" => Some(Self::JsonLines),
            "text/csv" => Some(Self::Csv),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The content type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// A change in this format, without a line's end.
    #[must_use]
    pub fn row(self, change: &Change) -> String {
        match self {
            Self::Json | Self::JsonLines => json(change),
            Self::Csv => {
                let time = Timestamp::to_string;
                let cells: [Option<String>; COLUMNS.len()] = [
                    Some(change.group_key.clone()),
                    Some(change.change_key.clone()),
                    Some(change.platform.clone()),
                    Some(change.app_id.clone()),
                    Some(change.group_id.clone()),
                    Some(change.kind.clone()),
                    change.command.clone(),
                    Some(time(&change.occurred_at)),
                    change.occurred_at_source.map(|source| json(&source).trim_matches('"').to_owned()),
                    Some(time(&change.received_at)),
                    change.recorded_at.as_ref().map(time),
                    change.operator.clone(),
                    change.group_type.clone(),
                    change.change.as_ref().map(json),
                    change.digest.clone(),
                    change.source.as_ref().map(json),
                    change.request_id.clone(),
                    change.expires_at.map(|at| at.to_string()),
                    change.previous.as_ref().map(json),
                ];
                cells.map(|cell| cell.as_deref().map_or_else(String::new, self::cell)).join(",")
            }
        }
    }

    /// A page of changes in this format.
    #[must_use]
    pub fn page(self, page: &Page) -> String {
        match self {
            Self::Json => json_page("changes", page),
            Self::JsonLines => page.rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect(),
            Self::Csv => {
                let header = COLUMNS.join(",");
                let rows = [header.as_str()].into_iter().chain(page.rows.iter().map(String::as_str));
                rows.flat_map(|row| [row, "\r\n"]).collect()
            }
        }
    }
}

/// A value as JSON: neither a String nor what is told fails.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A page as one JSON object, its items under `name`.
#[must_use]
pub fn json_page(name: &str, page: &Page) -> String {
    let rest = json(&Rest { next: page.next.as_deref(), more: page.more });
    let rest = rest.strip_prefix('{').unwrap_or_default();
    format!(r#"{{"{name}":[{}],{rest}"#, page.rows.join(","))
}

/// A cell of CSV (RFC 4180). A spreadsheet runs what begins with one of these signs, so a `'` goes before it.
fn cell(text: &str) -> String {
    let is_run = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_run { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::{Format, cell};

    #[test]
    fn a_spreadsheet_runs_no_cell() {
        for (text, expected) in [
            ("", ""),
            ("Trail runners", "Trail runners"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("=\"x\",1", "\"'=\"\"x\"\",1\""),
        ] {
            assert_eq!(cell(text), expected, "{text}");
        }
    }

    #[test]
    fn the_format_is_the_parameters_else_the_first_that_is_accepted() {
        for (parameter, accept, expected) in [
            (None, "", Some(Format::Json)),
            (None, "*/*", Some(Format::Json)),
            (None, "text/html, text/csv;q=0.9, application/json", Some(Format::Csv)),
            (None, "Application/X-NDJSON", Some(Format::JsonLines)),
            (Some("csv"), "application/json", Some(Format::Csv)),
            (Some("ndjson"), "", Some(Format::JsonLines)),
            (Some("json"), "text/csv", Some(Format::Json)),
            (Some("xml"), "", None),
        ] {
            assert_eq!(Format::asked_for(parameter, accept).ok(), expected, "{parameter:?} {accept}");
        }
    }
}
