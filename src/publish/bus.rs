//! The event bus: EventBridge's `PutEvents`, and what its answers mean for each event.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::Config;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_types::SdkConfig;

use crate::publish::event::{Event, SOURCE};
use crate::publish::sender::{Bus, Put};
use crate::settings::{SettingError, Settings};
use crate::storage::call::{CallError, retries};

/// Codes of an event that EventBridge rejects for its content, so that the same event would be rejected again.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
const REJECTIONS: [&str; 4] = ["InvalidArgument", "MalformedDetail", "RedactionFailure", "ValidationException"];

/// Codes of an event that it would reject with any content.
const DENIALS: [&str; 4] = [
    "AccessDeniedException",
    "InvalidAccountIdException",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
];

/// Codes of a request that is rejected for the events in it. Any other code is the service's, the role's or the bus's fault, and
/// no event's.
const REQUEST_REJECTIONS: [&str; 2] = ["RequestEntityTooLarge", "ValidationException"];

/// The bus of `EVENT_BUS_ARN`.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: Client,
    arn: String,
}

impl EventBus {
    /// The bus of `EVENT_BUS_ARN`.
    ///
    /// # Errors
    ///
    /// If that is not set, or no ARN of a bus.
    pub fn from_settings(settings: &Settings<'_>, config: &SdkConfig) -> Result<Self, SettingError> {
        let arn = settings.required("EVENT_BUS_ARN")?;
        if !arn.starts_with("arn:") || !arn.contains(":event-bus/") {
            return Err(SettingError::new("EVENT_BUS_ARN", "must be the ARN of an EventBridge bus"));
        }
        let mut config = Config::from(config).to_builder();
        config
            .set_endpoint_url(settings.text("AWS_ENDPOINT_URL_EVENTBRIDGE"))
            .set_retry_partition(Some(retries("EventBridge")));
        Ok(Self { client: Client::from_conf(config.build()), arn })
    }

    fn entry(&self, event: &Event) -> PutEventsRequestEntry {
        let change = event.change();
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.arn)
            .source(SOURCE)
            .detail_type(&change.kind)
            .time(DateTime::from_secs(change.occurred_at.unix_seconds()))
            .resources(&change.group_key)
            .detail(event.detail())
            .build()
    }
}

impl Bus for EventBus {
    async fn put(&self, events: &[&Event]) -> Result<Vec<Put>, CallError> {
        let entries = events.iter().map(|event| self.entry(event)).collect();
        match self.client.put_events().set_entries(Some(entries)).send().await {
            Ok(answer) => {
                // Whose result is missing cannot be told where there are too few.
                let results = answer.entries.filter(|results| results.len() == events.len()).unwrap_or_default();
                Ok(results.into_iter().map(outcome).collect())
            }
            Err(error) => match CallError::from(error) {
                CallError::Rejected(code) if REQUEST_REJECTIONS.contains(&code.as_str()) => {
                    Ok(vec![Put::RejectedTogether(code); events.len()])
                }
                error => Err(error),
            },
        }
    }
}

/// What became of one entry. What has neither an id nor a code is not known to be on the bus.
fn outcome(result: PutEventsResultEntry) -> Put {
    match (result.error_code, result.event_id) {
        (Some(code), _) if REJECTIONS.contains(&code.as_str()) => Put::Rejected(code),
        (Some(code), _) if DENIALS.contains(&code.as_str()) => Put::Denied(code),
        (Some(code), _) => Put::Failed(code),
        (None, Some(_)) => Put::Accepted,
        (None, None) => Put::Failed("no result".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_eventbridge::types::PutEventsResultEntry;

    use super::outcome;
    use crate::publish::sender::Put;

    #[test]
    fn a_result_says_whether_the_same_event_can_succeed() {
        let code = |code: &str| PutEventsResultEntry::builder().error_code(code).build();
        for (result, expected) in [
            (PutEventsResultEntry::builder().event_id("1").build(), Put::Accepted),
            (PutEventsResultEntry::builder().build(), Put::Failed("no result".to_owned())),
            (code("ThrottlingException"), Put::Failed("ThrottlingException".to_owned())),
            (code("InternalFailure"), Put::Failed("InternalFailure".to_owned())),
            (code("NeverHeardOf"), Put::Failed("NeverHeardOf".to_owned())),
            (code("MalformedDetail"), Put::Rejected("MalformedDetail".to_owned())),
            (code("NotAuthorizedForSourceException"), Put::Denied("NotAuthorizedForSourceException".to_owned())),
        ] {
            assert_eq!(outcome(result), expected);
        }
    }
}
