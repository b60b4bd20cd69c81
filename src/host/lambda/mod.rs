//! AWS Lambda: the receivers, the replay, the reader and the publisher.
//!
//! `lambda_http` turns API Gateway's events into [`http::Request`]s, behind the guard in [`event`]; the handler in
//! [`ingest`](crate::ingest) knows neither. Here alone are Lambda's types.

use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use lambda_http::Context;
use tracing::error;

use crate::settings::SettingError;

pub mod event;
pub mod publisher;
pub mod reader;
pub mod receiver;
pub mod replay;

/// Logs why a function cannot start, and returns `None` then.
fn started<T>(made: Result<T, SettingError>) -> Option<T> {
    made.inspect_err(|error| error!(%error, "cannot start")).ok()
}

/// The exit code of a function whose event loop has ended. Logs the error.
fn ended(ran: Result<(), lambda_http::Error>) -> ExitCode {
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// How long until Lambda ends the function; `None` where that time has passed, because then a clock is wrong.
pub(crate) fn time_left(context: &Context) -> Option<Duration> {
    (UNIX_EPOCH + Duration::from_millis(context.deadline)).elapsed().err().map(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use lambda_http::Context;

    use super::time_left;

    #[test]
    fn a_deadline_that_has_passed_is_none() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let at = |deadline: Duration| {
            let mut context = Context::default();
            context.deadline = u64::try_from(deadline.as_millis()).unwrap();
            time_left(&context)
        };
        assert_eq!(at(now.checked_sub(Duration::from_secs(1)).unwrap()), None);
        let left = at(now + Duration::from_mins(1)).unwrap();
        assert!(left > Duration::from_secs(50) && left <= Duration::from_mins(1), "{left:?}");
    }
}
