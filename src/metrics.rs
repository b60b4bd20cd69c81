//! Metrics, one line of CloudWatch's embedded metric format a callback.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! Dimensions come from closed sets, because every combination is a metric that costs money. One line of JSON is written
//! here rather than by a library: the ones there are bring a queue, a registry and some hundred crates.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::receive::Receipt;
use crate::timestamp::Timestamp;

/// The namespace of every metric.
pub const NAMESPACE: &str = "GroupLedger";
/// How many callbacks, by `Platform` and `Outcome`, and by `Kind` too.
pub const CALLBACKS: &str = "Callbacks";
/// How long a callback took in the function, in microseconds, by `Platform`.
pub const DURATION: &str = "Duration";

/// The line that counts one callback.
#[must_use]
pub fn line(platform: &str, receipt: &Receipt<'_>, duration: Duration, now: Timestamp) -> String {
    let directive = |dimensions: &[&[&str]], name, unit| json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": [{ "Name": name, "Unit": unit }] });
    let line = json!({
        "_aws": {
            "Timestamp": now.unix_millis(),
            "CloudWatchMetrics": [
                directive(&[&["Platform", "Outcome"], &["Platform", "Outcome", "Kind"]], CALLBACKS, "Count"),
                directive(&[&["Platform"]], DURATION, "Microseconds"),
            ],
        },
        "Platform": platform,
        "Outcome": receipt.outcome.as_str(),
        "Kind": receipt.kind.unwrap_or("none"),
        CALLBACKS: 1,
        DURATION: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
    });
    line.to_string()
}

/// Writes a line to standard output, from where Lambda takes it to CloudWatch.
pub fn emit(line: &str) {
    // A metric that cannot be written is no reason to lose a callback.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
