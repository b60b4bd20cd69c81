//! Metrics: one line of CloudWatch's embedded metric format for each callback.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! Dimensions come from closed sets, because every combination is a metric that costs money. We write the
//! JSON ourselves: existing libraries bring a queue, a registry and about 100 dependencies.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::domain::timestamp::Timestamp;
use crate::ingest::handler::Observer;
use crate::ingest::receive::Receipt;

/// How many callbacks, by `Outcome`, by `Platform` too, and by `Kind` too. Alarms watch the first, which is there whichever
/// platforms are deployed.
pub const CALLBACKS: &str = "Callbacks";
/// How long a callback took in the function, in microseconds, by `Platform`.
pub const DURATION: &str = "Duration";

/// A line: what it counts under, and how CloudWatch is to read it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'l> {
    #[serde(rename = "_aws")]
    metadata: Metadata<'l>,
    platform: &'l str,
    outcome: &'static str,
    kind: &'static str,
    callbacks: u8,
    duration: u128,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'l> {
    timestamp: i64,
    cloud_watch_metrics: [Directive<'l>; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'l> {
    namespace: &'l str,
    dimensions: &'static [&'static [&'static str]],
    metrics: [Metric; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

/// The line that counts one callback.
#[must_use]
pub fn line(namespace: &str, platform: &str, receipt: &Receipt, duration: Duration, now: Timestamp) -> String {
    let directive = |dimensions, name, unit| Directive { namespace, dimensions, metrics: [Metric { name, unit }] };
    let line = Line {
        metadata: Metadata {
            timestamp: now.unix_millis(),
            cloud_watch_metrics: [
                directive(
                    &[&["Outcome"], &["Platform", "Outcome"], &["Platform", "Outcome", "Kind"]],
                    CALLBACKS,
                    "Count",
                ),
                directive(&[&["Platform"]], DURATION, "Microseconds"),
            ],
        },
        platform,
        outcome: receipt.outcome.as_str(),
        kind: receipt.kind.unwrap_or("none"),
        callbacks: 1,
        duration: duration.as_micros(),
    };
    // Neither a String nor a line fails.
    serde_json::to_string(&line).unwrap_or_default()
}

/// Counts callbacks under a namespace, by lines on standard output, from where Lambda takes them to CloudWatch.
#[derive(Debug)]
pub struct Emf {
    namespace: String,
}

impl Emf {
    /// Counts under `namespace`.
    #[must_use]
    pub fn new(namespace: String) -> Self {
        Self { namespace }
    }
}

impl Observer for Emf {
    fn observe(&self, platform: &'static str, receipt: &Receipt, duration: Duration, now: Timestamp) {
        // A metric that cannot be written is no reason to lose a callback.
        let _ = writeln!(std::io::stdout().lock(), "{}", line(&self.namespace, platform, receipt, duration, now));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::line;
    use crate::domain::timestamp::Timestamp;
    use crate::ingest::receive::{Outcome, Receipt};

    /// A dimension or metric that the line itself does not have makes CloudWatch drop the whole line.
    #[test]
    fn every_name_that_is_declared_is_there() {
        let receipt = Receipt { kind: Some("group.created"), ..Receipt::of(Outcome::Recorded) };
        let now = Timestamp::from_unix_millis(1_715_049_600_123).unwrap();
        let line: Value =
            serde_json::from_str(&line("Here", "openim", &receipt, Duration::from_micros(1500), now)).unwrap();
        assert_eq!(line["_aws"]["Timestamp"], 1_715_049_600_123_i64);
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        for directive in directives {
            assert_eq!(directive["Namespace"], "Here");
            let dimensions = directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap());
            for dimension in dimensions {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
            }
        }
        assert_eq!([&line["Kind"], &line["Outcome"], &line["Platform"]], ["group.created", "recorded", "openim"]);
        assert_eq!([&line["Callbacks"], &line["Duration"]], [1, 1500]);
    }

    #[test]
    fn a_callback_without_a_kind_has_one_all_the_same() {
        let receipt = Receipt::of(Outcome::Ignored);
        let line: Value =
            serde_json::from_str(&line("Here", "openim", &receipt, Duration::ZERO, Timestamp::now())).unwrap();
        assert_eq!(line["Kind"], "none");
    }
}
