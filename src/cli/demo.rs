//! The demo of `group-ledger send --demo`: a week in the life of three groups, as both platforms would have sent it.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::cli::samples::Sample;
use crate::domain::timestamp::Timestamp;
use crate::platform::{self, Registration};

/// A callback a line. `{run}` in it is this run's part of the groups' ids, so that a second run makes groups of its own; `"{time}"`
/// is when it happens, where the platform says so.
const LINES: &str = include_str!("demo.jsonl");

/// One callback of the week.
#[derive(Deserialize)]
struct Line {
    minutes_ago: i64,
    path: String,
    #[serde(default)]
    query: String,
    operation_id: Option<String>,
    body: Box<RawValue>,
}

/// The week that ends at `now`: each callback with the time that it tells.
pub(crate) fn week(now: Timestamp, run: &str) -> Result<Vec<Sample>> {
    let lines = LINES.lines().enumerate().map(|(number, line)| {
        let line: Line = serde_json::from_str(&line.replace("{run}", run)).context("the demo is not JSON")?;
        let at = now.plus_millis(-line.minutes_ago * 60_000);
        let platform = line.path.split('/').nth(1).and_then(platform::find);
        Ok(Sample {
            name: format!("demo {:2}  {}", number + 1, command(line.body.get())),
            platform: platform.context("the demo is of a platform that is not there")?,
            path: line.path,
            query: line.query,
            headers: line.operation_id.into_iter().map(|id| ("operationID".to_owned(), id)).collect(),
            body: line.body.get().replace("\"{time}\"", &at.unix_millis().to_string()).into_bytes(),
        })
    });
    lines.collect()
}

/// The keys of the groups, of the apps that the settings name.
pub(crate) fn groups(run: &str, app_id: impl Fn(&Registration) -> Option<String>) -> Vec<String> {
    let ids = [("tencent-chat", "@TGS#_@TGS#cTRAIL"), ("tencent-chat", "@TGS#2NIGHT"), ("openim", "hikers-")];
    let keys =
        ids.into_iter().filter_map(|(name, id)| Some(format!("{name}#{}#{id}{run}", app_id(platform::find(name)?)?)));
    keys.collect()
}

/// The command that a body names, in either platform's spelling of the field.
fn command(body: &str) -> String {
    let fields: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let command = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("callbackCommand"));
    command.and_then(|(_, command)| command.as_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{groups, week};
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn the_week_is_of_the_groups_that_are_named() {
        let week = week(Timestamp::from_unix_millis(1_715_076_000_000).unwrap(), "x1").unwrap();
        let all: String = week.iter().map(|sample| String::from_utf8(sample.body.clone()).unwrap()).collect();
        assert!(!all.contains("{run}") && !all.contains("{time}"));
        for key in groups("x1", |_| Some("app".to_owned())) {
            let id = key.splitn(3, '#').nth(2).unwrap();
            assert!(all.contains(&format!("\"{id}\"")), "{id}");
        }
    }
}
