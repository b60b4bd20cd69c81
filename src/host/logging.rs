//! The log: lines of JSON on standard output, from where Lambda takes them to CloudWatch. A callback's line carries its metrics.

use std::fmt;
use std::panic::{self, PanicHookInfo};

use serde::ser::{SerializeMap, Serializer as _};
use serde_json::ser::{CompactFormatter, Compound};
use serde_json::value::RawValue;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, error};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::domain::timestamp::Timestamp;
use crate::host::metrics::{self, Metadata};

/// Starts the log, whose callbacks are counted under a namespace where one is given. A panic is logged with its location
/// only: its message could contain callback data.
pub fn start(namespace: Option<&str>) {
    // Fails where there is a log already.
    let _ = tracing::subscriber::set_global_default(subscriber(namespace, std::io::stdout));
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        error!(location = info.location().map(ToString::to_string), "panic");
    }));
}

/// A subscriber that writes the log to `writer`, with metrics of callbacks where a namespace is given.
pub fn subscriber<W>(namespace: Option<&str>, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = Lines { directives: namespace.and_then(metrics::directives) };
    tracing_subscriber::fmt().event_format(lines).with_max_level(Level::INFO).with_writer(writer).finish()
}

/// The form of a line.
struct Lines {
    /// The metric directives of a callback's line.
    directives: Option<Box<RawValue>>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Vec::with_capacity(1_024);
        self.write(&mut line, event).map_err(|_| fmt::Error)?;
        line.push(b'\n');
        writer.write_str(str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

impl Lines {
    fn write(&self, line: &mut Vec<u8>, event: &Event<'_>) -> serde_json::Result<()> {
        let now = Timestamp::now();
        let mut serializer = serde_json::Serializer::new(line);
        let mut fields = Fields { map: serializer.serialize_map(None)?, result: Ok(()) };
        let has_metrics = event.metadata().fields().field(metrics::CALLBACKS).is_some();
        if let Some(directives) = self.directives.as_deref().filter(|_| has_metrics) {
            fields.write("_aws", &Metadata { timestamp: now.unix_millis(), cloud_watch_metrics: directives });
        }
        fields.write("timestamp", &now.to_string());
        fields.write("level", event.metadata().level().as_str());
        event.record(&mut fields);
        fields.result?;
        fields.map.end()
    }
}

/// The fields of a line.
struct Fields<'l> {
    map: Compound<'l, &'l mut Vec<u8>, CompactFormatter>,
    result: serde_json::Result<()>,
}

impl Fields<'_> {
    fn write(&mut self, name: &str, value: &(impl serde::Serialize + ?Sized)) {
        if self.result.is_ok() {
            self.result = self.map.serialize_entry(name, value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field.name(), &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field.name(), &value);
    }
}
