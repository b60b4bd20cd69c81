//! The embedded SQS, with the queues as the template defines them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::QueueAttributeName;
use http_body_util::{BodyExt, Collected};
use hyper::Response;
use hyper::body::Bytes;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::dispatch::SqsHandler;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use rustack_sqs_model::error::SqsError;
use rustack_sqs_model::operations::SqsOperation;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::listener;

const FALLBACK_QUEUE: &str = "fallback-queue";
const DEAD_LETTERS: &str = "fallback-queue-dead-letters";

/// The queues' URLs, and a client for them.
#[derive(Clone)]
pub(crate) struct Queues {
    pub(crate) client: Client,
    pub(crate) endpoint: String,
    pub(crate) fallback_queue: String,
    pub(crate) dead_letters: String,
}

/// Serves an SQS in memory, and makes the queues.
pub(crate) async fn serve(listener: TcpListener, definitions: Definitions) -> Result<Queues> {
    let address = listener.local_addr()?;
    let config = SqsConfig { host: address.ip().to_string(), port: address.port(), ..SqsConfig::default() };
    let handler = LongMessages::around(RustackSqsHandler::new(Arc::new(RustackSqs::new(config))));
    let service = SqsHttpService::new(Arc::new(handler), SqsHttpConfig::default());
    tokio::spawn(listener::serve(listener, service));
    Queues::create(format!("http://{address}"), definitions).await
}

impl Queues {
    async fn create(
        endpoint: String,
        Definitions { fallback_queue, dead_letters, visibility_seconds }: Definitions,
    ) -> Result<Self> {
        let client = client(&endpoint);
        let dead_letters = create(&client, DEAD_LETTERS, &dead_letters, None, visibility_seconds).await?;
        let arn = QueueAttributeName::QueueArn;
        let attributes =
            client.get_queue_attributes().queue_url(&dead_letters).attribute_names(arn.clone()).send().await;
        let attributes = attributes.map_err(SdkError::into_service_error)?.attributes.unwrap_or_default();
        let target = attributes.get(&arn).context("the queue of dead letters has no ARN")?;
        let fallback_queue = create(&client, FALLBACK_QUEUE, &fallback_queue, Some(target), visibility_seconds).await?;
        Ok(Self { client, endpoint, fallback_queue, dead_letters })
    }

    /// Makes another queue; its URL.
    pub(crate) async fn add(&self, name: &str) -> Result<String> {
        let created = self.client.create_queue().queue_name(name).send().await;
        created.map_err(SdkError::into_service_error)?.queue_url.context("a queue has no URL")
    }

    /// How many messages a queue holds, under way ones included.
    pub(crate) async fn depth(&self, queue_url: &str) -> Result<u32> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(queue_url);
        let request = request.set_attribute_names(Some(names.to_vec()));
        let attributes = request.send().await.map_err(SdkError::into_service_error)?.attributes.unwrap_or_default();
        names.iter().map(|name| Ok(attributes.get(name).context("a queue has no depth")?.parse::<u32>()?)).sum()
    }
}

/// Messages of up to 1 MiB, which SQS takes since January 2026 and rustack 0.12 does not: it is given a short text in place of
/// a long one.
struct LongMessages {
    sqs: Arc<RustackSqsHandler>,
    /// The long texts, by the short ones. A message that is deleted leaves its text here: the queue does not outlive a process.
    texts: Arc<Mutex<HashMap<String, String>>>,
}

/// What rustack takes.
const SHORT_BYTES: usize = 256 * 1024;
/// What SQS takes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const LONG_BYTES: usize = 1024 * 1024;

type Handled = Pin<Box<dyn Future<Output = Result<Response<SqsResponseBody>, SqsError>> + Send>>;

impl LongMessages {
    fn around(sqs: RustackSqsHandler) -> Self {
        Self { sqs: Arc::new(sqs), texts: Arc::default() }
    }

    /// A `SendMessage` with a short text in place of a long one.
    fn shortened(&self, body: Bytes) -> Bytes {
        let Ok(mut send) = serde_json::from_slice::<Value>(&body) else { return body };
        match send["MessageBody"].take() {
            Value::String(text) if (SHORT_BYTES + 1..=LONG_BYTES).contains(&text.len()) => {
                let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
                let short = format!("long message {}", texts.len());
                texts.insert(short.clone(), text);
                send["MessageBody"] = short.into();
                send.to_string().into()
            }
            _ => body,
        }
    }
}

impl SqsHandler for LongMessages {
    fn handle_operation(&self, operation: SqsOperation, body: Bytes) -> Handled {
        let (sqs, texts) = (Arc::clone(&self.sqs), Arc::clone(&self.texts));
        let body = if operation == SqsOperation::SendMessage { self.shortened(body) } else { body };
        Box::pin(async move {
            let (head, body) = sqs.handle_operation(operation, body).await?.into_parts();
            let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
            let mut answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            for message in answer["Messages"].as_array_mut().into_iter().flatten() {
                let texts = texts.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(text) = message["Body"].as_str().and_then(|short| texts.get(short)) {
                    message["Body"] = text.as_str().into();
                }
            }
            let body = if answer["Messages"].is_array() { answer.to_string().into() } else { body };
            Ok(Response::from_parts(head, SqsResponseBody::from_bytes(body)))
        })
    }
}

/// A client of a local SQS.
pub(crate) fn client(endpoint: &str) -> Client {
    let http_client = aws_smithy_http_client::Builder::new().build_http();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http_client)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

async fn create(
    client: &Client,
    name: &str,
    definition: &Definition,
    dead_letters: Option<&str>,
    visibility_seconds: u64,
) -> Result<String> {
    let mut attributes = HashMap::from([
        (QueueAttributeName::VisibilityTimeout, visibility_seconds.to_string()),
        (QueueAttributeName::MessageRetentionPeriod, definition.retention_seconds.to_string()),
    ]);
    if let (Some(arn), Some(count)) = (dead_letters, definition.max_receive_count) {
        let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": count });
        attributes.insert(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    let created = client.create_queue().queue_name(name).set_attributes(Some(attributes)).send().await;
    created.map_err(SdkError::into_service_error)?.queue_url.context("a queue has no URL")
}

/// The queues' definitions.
pub(crate) struct Definitions {
    pub(crate) fallback_queue: Definition,
    pub(crate) dead_letters: Definition,
    /// After which a message that was not deleted is received again.
    pub(crate) visibility_seconds: u64,
}

/// What of a queue's definition the emulator takes.
pub(crate) struct Definition {
    pub(crate) retention_seconds: u64,
    /// How often a message is received before it is given up; none where it is never.
    pub(crate) max_receive_count: Option<u64>,
}
