//! This machine's clock against DynamoDB's: Tencent's signatures are good for a minute, and records are ordered by the clock.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::date_time::{DateTime, Format};
use tracing::warn;

use crate::host::server::metrics::Metrics;

/// How far apart the clocks may be.
const TOLERANCE: Duration = Duration::from_secs(2);
/// `Date` has whole seconds: the service's clock is up to one more.
const PRECISION: Duration = Duration::from_secs(1);
/// How often they are compared.
const EVERY: Duration = Duration::from_mins(1);

/// Compares the clocks at an answer of DynamoDB, by its `Date`.
#[derive(Debug)]
pub(super) struct ClockCheck {
    next: Mutex<Instant>,
    metrics: Arc<Metrics>,
}

impl ClockCheck {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { next: Mutex::new(Instant::now()), metrics }
    }

    fn is_due(&self) -> bool {
        let now = Instant::now();
        // Somebody else compares at the moment.
        let Ok(mut next) = self.next.try_lock() else { return false };
        let is_due = now >= *next;
        if is_due {
            *next = now + EVERY;
        }
        is_due
    }
}

impl Intercept for ClockCheck {
    fn name(&self) -> &'static str {
        "ClockCheck"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.is_due() {
            let date = context.response().headers().get("date").and_then(|date| offset(date, SystemTime::now()));
            if let Some(seconds) = date {
                self.metrics.set_clock_offset(seconds);
                if seconds.abs() > TOLERANCE.as_secs_f64() {
                    warn!(
                        seconds,
                        "this machine's clock is not DynamoDB's: genuine callbacks of Tencent Chat are rejected once it is a \
                         minute off"
                    );
                }
            }
        }
        Ok(())
    }
}

/// Lower bound of the clock offset in seconds; 0 within the `Date` header's precision.
fn offset(date: &str, now: SystemTime) -> Option<f64> {
    let date = SystemTime::try_from(DateTime::from_str(date, Format::HttpDate).ok()?).ok()?;
    Some(match now.duration_since(date) {
        Ok(ahead) => ahead.saturating_sub(PRECISION).as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::offset;

    #[test]
    fn a_clock_is_as_far_off_as_a_date_proves() {
        // Wed, 21 Oct 2015 07:28:00 GMT
        let date = SystemTime::UNIX_EPOCH + Duration::from_mins(24_090_208);
        let of = |now: SystemTime| offset("Wed, 21 Oct 2015 07:28:00 GMT", now);
        for (millis, expected) in [(0, 0.0), (999, 0.0), (1_000, 0.0), (3_500, 2.5), (61_000, 60.0)] {
            assert_eq!(of(date + Duration::from_millis(millis)), Some(expected), "{millis} ms ahead");
        }
        assert_eq!(of(date - Duration::from_millis(2_500)), Some(-2.5));
        assert_eq!(offset("yesterday", date), None);
    }
}
