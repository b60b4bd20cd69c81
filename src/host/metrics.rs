//! Metrics, in CloudWatch's embedded metric format: which fields of a callback's line of log are metrics, and by what dimensions.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! Dimensions come from closed sets, because every combination is a metric that costs money. We write the
//! JSON ourselves: existing libraries bring a queue, a registry and about 100 dependencies.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The field of a line that counts callbacks, by `outcome`, by `platform` too, and by `kind` too. Alarms watch the first, which is
/// there whichever platforms are deployed.
pub const CALLBACKS: &str = "callbacks";
/// The field that says how long a callback took in the function, by `platform`.
pub const DURATION: &str = "duration_us";

/// The field `_aws`, by which CloudWatch reads metrics from a line.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metadata<'l> {
    /// In milliseconds.
    pub(super) timestamp: i64,
    /// The [`directives`].
    pub(super) cloud_watch_metrics: &'l RawValue,
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

/// The metric directives of a namespace, the same for every line. Never `None`: any text is JSON.
pub(super) fn directives(namespace: &str) -> Option<Box<RawValue>> {
    let directive = |dimensions, name, unit| Directive { namespace, dimensions, metrics: [Metric { name, unit }] };
    let directives = [
        directive(&[&["outcome"], &["platform", "outcome"], &["platform", "outcome", "kind"]], CALLBACKS, "Count"),
        directive(&[&["platform"]], DURATION, "Microseconds"),
    ];
    to_raw_value(&directives).ok()
}
