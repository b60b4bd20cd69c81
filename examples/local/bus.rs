//! The embedded EventBridge, with one bus and a rule that sends everything of it to a queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use group_ledger::domain::timestamp::Timestamp;
use hyper::Response;
use hyper::body::Bytes;
use rustack_events_core::config::EventsConfig;
use rustack_events_core::delivery::{DeliveryError, Target, TargetDelivery};
use rustack_events_core::handler::RustackEventsHandler;
use rustack_events_core::provider::RustackEvents;
use rustack_events_http::body::EventsResponseBody;
use rustack_events_http::dispatch::EventsHandler;
use rustack_events_http::service::{EventsHttpConfig, EventsHttpService};
use rustack_events_model::error::EventsError;
use rustack_events_model::operations::EventsOperation;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::listener;

const BUS: &str = "groups";
/// What the rule sends on: what a publisher puts.
const PATTERN: &str = r#"{"source":["group-ledger"]}"#;

/// The bus's address and name.
#[derive(Clone)]
pub(crate) struct LocalBus {
    pub(crate) endpoint: String,
    pub(crate) arn: String,
}

/// Serves an EventBridge in memory, with a bus whose events go to a queue.
pub(crate) fn serve(listener: TcpListener, sqs: Client, queue_url: &str) -> Result<LocalBus> {
    let address = listener.local_addr()?;
    let config = EventsConfig { host: address.ip().to_string(), port: address.port(), ..EventsConfig::default() };
    let arn = format!("arn:aws:events:{}:{}:event-bus/{BUS}", config.default_region, config.account_id);
    let target = Queue { sqs, queue_url: queue_url.to_owned() };
    let events = RustackEvents::new(config, Arc::new(target));
    let made = |input: Value| serde_json::from_value(input).map_err(anyhow::Error::from);
    events.handle_create_event_bus(&serde_json::from_value(json!({ "Name": BUS }))?)?;
    let rule = json!({ "Name": "all", "EventBusName": BUS, "EventPattern": PATTERN, "State": "ENABLED" });
    events.handle_put_rule(made(rule)?)?;
    let queue = queue_url.rsplit('/').next().context("the queue has no name")?;
    let target = json!({ "Id": "queue", "Arn": format!("arn:aws:sqs:us-east-1:000000000000:{queue}") });
    let targets = json!({ "Rule": "all", "EventBusName": BUS, "Targets": [target] });
    events.handle_put_targets(serde_json::from_value(targets)?)?;

    let handler = Arc::new(AsTheSdkAsks(Arc::new(RustackEventsHandler::new(Arc::new(events)))));
    let service = EventsHttpService::new(handler, EventsHttpConfig::default());
    tokio::spawn(listener::serve(listener, service));
    Ok(LocalBus { endpoint: format!("http://{address}"), arn })
}

/// The rule's target.
#[derive(Debug)]
struct Queue {
    sqs: Client,
    queue_url: String,
}

#[async_trait]
impl TargetDelivery for Queue {
    fn validate(&self, _: &Target) -> Result<(), DeliveryError> {
        Ok(())
    }

    async fn deliver(&self, _: &Target, event: &str) -> Result<(), DeliveryError> {
        let send = self.sqs.send_message().queue_url(&self.queue_url).message_body(event).send().await;
        send.map(|_| ()).map_err(|error| DeliveryError::TargetError(error.to_string()))
    }
}

type Handled = Pin<Box<dyn Future<Output = Result<Response<EventsResponseBody>, EventsError>> + Send>>;

/// Rustack 0.12 knows a bus by its name, not its ARN, and takes a time as text, where EventBridge is sent a number of seconds.
struct AsTheSdkAsks(Arc<RustackEventsHandler>);

impl EventsHandler for AsTheSdkAsks {
    fn handle_operation(&self, operation: EventsOperation, body: Bytes) -> Handled {
        let body = if operation == EventsOperation::PutEvents { understood(body) } else { body };
        self.0.handle_operation(operation, body)
    }
}

fn understood(body: Bytes) -> Bytes {
    let Ok(mut put) = serde_json::from_slice::<Value>(&body) else { return body };
    for entry in put["Entries"].as_array_mut().into_iter().flatten() {
        if let Some(name) = entry["EventBusName"].as_str().and_then(|arn| arn.rsplit("event-bus/").next()) {
            entry["EventBusName"] = name.into();
        }
        // EventBridge's events have whole seconds.
        let seconds = entry["Time"].as_f64().map(|seconds| format!("{seconds:.0}"));
        let millis = seconds.and_then(|seconds| seconds.parse::<i64>().ok()?.checked_mul(1_000));
        if let Some(time) = millis.and_then(Timestamp::from_unix_millis) {
            entry["Time"] = time.to_string().replace(".000Z", "Z").into();
        }
    }
    put.to_string().into()
}
