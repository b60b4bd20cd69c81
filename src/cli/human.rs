//! Changes for people: a line each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::output::{Output, Style};

/// The most characters of one value.
const MAX_VALUE_CHARS: usize = 80;

/// A change as the reader writes it in JSON.
#[derive(Deserialize)]
struct Row<'r> {
    #[serde(borrow)]
    group_key: Cow<'r, str>,
    #[serde(borrow)]
    kind: Cow<'r, str>,
    #[serde(borrow)]
    occurred_at: Cow<'r, str>,
    #[serde(borrow)]
    operator: Option<Cow<'r, str>>,
    #[serde(borrow)]
    change: Option<BTreeMap<Cow<'r, str>, &'r RawValue>>,
    #[serde(borrow)]
    previous: Option<BTreeMap<Cow<'r, str>, &'r RawValue>>,
}

/// A row of JSON as a line: when, what, of which group where `with_group`, by whom, and what changed.
pub(crate) fn line(output: &Output, json: &str, with_group: bool) -> Result<String> {
    let row: Row<'_> = serde_json::from_str(json).context("a change cannot be read: this is a defect")?;
    let kind = format!("{:24}", row.kind);
    let mut line =
        format!("{}  {}", output.paint(Style::Dim, &row.occurred_at), output.paint(Style::Bold, &shown(&kind)));
    if with_group {
        let _ = write!(line, "  {}", shown(&row.group_key));
    }
    if let Some(operator) = &row.operator {
        let _ = write!(line, "  {} {}", output.paint(Style::Dim, "by"), shown(operator));
    }
    for (name, value) in row.change.iter().flatten() {
        let _ = write!(line, "  {}{}", output.paint(Style::Dim, &format!("{}=", shown(name))), shown(value.get()));
    }
    for (name, value) in row.previous.iter().flatten() {
        let _ =
            write!(line, "  {}{}", output.paint(Style::Dim, &format!("before: {}=", shown(name))), shown(value.get()));
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// Escapes a text for the terminal. Names are untrusted: control characters, characters that change the writing direction and
/// characters without width are escaped, so that a name cannot drive the terminal or imitate another.
pub(crate) fn shown(text: &str) -> String {
    shown_up_to(text, MAX_VALUE_CHARS)
}

/// As [`shown`], with at most so many characters.
pub(crate) fn shown_up_to(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (number, char) in text.chars().enumerate() {
        if number == most {
            shown.push('…');
            break;
        }
        let is_obeyed = char.is_control()
            || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if is_obeyed {
            let _ = write!(shown, "\\u{:04x}", u32::from(char));
        } else {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{line, shown};
    use crate::cli::output::Output;

    #[test]
    fn a_terminal_obeys_no_name() {
        for (text, expected) in [
            ("Trail runners", "Trail runners"),
            ("群", "群"),
            ("\u{1b}[2J", "\\u001b[2J"),
            ("\u{9b}2J\r\n\0", "\\u009b2J\\u000d\\u000a\\u0000"),
            ("a\u{202e}b\u{2066}", "a\\u202eb\\u2066"),
            ("\u{61c}a\u{200b}b\u{2060}c\u{feff}", "\\u061ca\\u200bb\\u2060c\\ufeff"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 81);
    }

    #[test]
    fn a_change_is_a_line() {
        let json = r#"{"group_key":"openim#openim#g\n1","change_key":"c","kind":"group.full","occurred_at":"2022-12-09T08:26:54.123Z",
            "operator":"leckie","change":{"name":"\u001b[31m","quota":1.10},"previous":{"name":"old"}}"#;
        let expected = r#"2022-12-09T08:26:54.123Z  group.full                openim#openim#g\u000a1  by leckie  name="\u001b[31m"  quota=1.10  before: name="old""#;
        assert_eq!(line(&Output::new(false), json, true).unwrap(), expected);
        let bare = r#"{"group_key":"g","kind":"group.full","occurred_at":"2022-12-09T08:26:54.123Z"}"#;
        assert_eq!(line(&Output::new(false), bare, false).unwrap(), "2022-12-09T08:26:54.123Z  group.full");
    }
}
