//! The template, the manifest, the code and the documentation are of one mind.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{fs, io};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use group_ledger::domain::record::{PARTITION_KEY, SORT_KEY, TIME_TO_LIVE};
use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::Request;
use group_ledger::domain::time_budget::TimeBudget;
use group_ledger::domain::timestamp::Timestamp;
use group_ledger::host::aws::PUBLISHER_TIMEOUTS;
use group_ledger::host::lambda::receiver::WARM_UP_TIMEOUT;
use group_ledger::host::logging;
use group_ledger::host::setup;
use group_ledger::ingest::receive::{Outcome, Receipt, Receiver};
use group_ledger::ingest::report::{Ids, log};
use group_ledger::platform::{PLATFORMS, Registration};
use group_ledger::settings::Settings;
use serde_json::{Value, json};

use crate::support::bus::BUS_ARN;
use crate::support::cloudformation::{Deployment, Parameters, Resource, Stack, function_ids, parameters, translate};
use crate::support::lambda::Function;
use crate::support::recorder::Recorder;
use crate::support::{
    self, OPENIM, Sent, Table, change, change_with, files, local_settings, platform, platform_of, random_members,
};
use crate::template::Template;

mod make;
mod parameters;
mod platforms;
mod versions;

/// The table's index.
const FEED_INDEX: &str = "feed";

/// How long a platform's sender waits.
fn sender_timeout(registration: &Registration) -> Duration {
    platform(registration, &[]).sender_timeout()
}

type Pairs = &'static [(&'static str, &'static str)];

/// How a platform is set up: with secrets and a reserved concurrency, and open to anybody.
struct SetUp {
    platform: &'static str,
    with_secrets: Pairs,
    open: Pairs,
}

const SET_UP: [SetUp; 2] = [
    SetUp {
        platform: "tencent-chat",
        with_secrets: &[
            ("TencentSdkAppId", "1400000000"),
            ("TencentCallbackTokens", "t0ken-of-the-console"),
            ("TencentReservedConcurrency", "200"),
        ],
        open: &[("TencentSdkAppId", "1400000000"), ("TencentAllowUnsigned", "true")],
    },
    SetUp {
        platform: "openim",
        with_secrets: &[("OpenImCredentials", "user:passw0rd-of-the-url"), ("OpenImReservedConcurrency", "50")],
        open: &[("OpenImAllowAnonymous", "true"), ("RetentionDays", "30")],
    },
];

/// The parameter that deploys a reader, with a secret.
const READER_TOKENS: (&str, &str) = ("ReaderTokens", "alice:t0ken-of-a-reader");

/// The parameter that deploys a publisher.
const EVENT_BUS: (&str, &str) = ("EventBusArn", BUS_ARN);

// What a stack may have besides: how it moves to a new version, and whether alarms are sent.
const PREFERENCES: [&str; 3] = ["AllAtOnce", "Canary10Percent5Minutes", "Linear10PercentEvery1Minute"];
const TOPICS: [&str; 2] = ["", "arn:aws:sns:us-east-1:123456789012:alarms"];

struct Variant {
    platforms: Vec<&'static str>,
    preference: &'static str,
    topic: &'static str,
    parameters: Parameters,
}

impl Variant {
    fn has_reader(&self) -> bool {
        self.parameters.contains_key("ReaderTokens")
    }

    fn has_publisher(&self) -> bool {
        self.parameters.contains_key("EventBusArn")
    }

    /// The binaries of its functions.
    fn functions(&self) -> BTreeSet<String> {
        let (reader, publisher) = (self.has_reader().then_some(READER), self.has_publisher().then_some(PUBLISHER));
        self.platforms.iter().copied().chain([REPLAY]).chain(reader).chain(publisher).map(str::to_owned).collect()
    }
}

fn variants() -> BTreeMap<String, Variant> {
    let all = SET_UP.iter().flat_map(|set_up| set_up.with_secrets).copied().chain([READER_TOKENS, EVENT_BUS]).collect();
    let reader = vec![("ReaderTokens", "alice:t0ken-of-a-reader,alice:t0ken-of-tomorrow")];
    let each = SET_UP.iter().map(|set_up| (set_up.platform, vec![set_up.platform], set_up.open.to_vec()));
    let mut variants = BTreeMap::new();
    for (name, platforms, pairs) in each.chain([
        ("all", SET_UP.map(|set_up| set_up.platform).into(), all),
        ("reader", Vec::new(), reader),
        ("publisher", Vec::new(), vec![EVENT_BUS]),
        ("none", Vec::new(), Vec::new()),
    ]) {
        for preference in PREFERENCES {
            for topic in TOPICS {
                let mut parameters = parameters(&pairs);
                parameters.extend(parameters_of(preference, topic));
                let name = format!("{name}, {preference}, {}", if topic.is_empty() { "no topic" } else { "a topic" });
                variants.insert(name, Variant { platforms: platforms.clone(), preference, topic, parameters });
            }
        }
    }
    variants
}

fn parameters_of(preference: &str, topic: &str) -> Parameters {
    parameters(&[("DeploymentPreference", preference), ("AlarmTopicArn", topic)])
}

/// The template as SAM translates it for each variant.
fn translated() -> &'static Value {
    static TRANSLATED: OnceLock<Value> = OnceLock::new();
    TRANSLATED.get_or_init(|| {
        let deployment =
            |variant: Variant| Deployment { code: "code".to_owned(), stamp: None, parameters: variant.parameters };
        let deployments = variants().into_iter().map(|(name, variant)| (name, deployment(variant))).collect();
        translate(&deployments, &[]).0
    })
}

/// The stack of each variant.
fn stacks() -> Vec<(String, Variant, Stack<'static>)> {
    let stack = |(name, variant): (String, Variant)| {
        let stack = Stack::new(&translated()[&name], &variant.parameters);
        (name, variant, stack)
    };
    variants().into_iter().map(stack).collect()
}

/// The stack with everything: all platforms, a reader, a publisher, gradual deployments, a topic.
fn whole_stack() -> Stack<'static> {
    let is_whole = |(name, ..): &(String, Variant, Stack)| name == "all, Canary10Percent5Minutes, a topic";
    stacks().into_iter().find(is_whole).unwrap().2
}

/// A stack's functions, by binary.
fn functions(stack: &Stack<'_>) -> BTreeMap<String, Value> {
    let functions = stack.resources_of("AWS::Lambda::Function").into_iter();
    functions
        .map(|function| {
            let name = function.properties["FunctionName"].as_str().unwrap();
            (name.strip_prefix("stack-").unwrap().to_owned(), function.properties)
        })
        .collect()
}

/// A stack's HTTP APIs, with the stage of each.
fn apis(stack: &Stack<'_>) -> BTreeMap<String, (Value, Value)> {
    let stages = stack.resources_of("AWS::ApiGatewayV2::Stage");
    let apis = stack.resources_of("AWS::ApiGatewayV2::Api").into_iter();
    let apis: BTreeMap<_, _> = apis
        .map(|api| {
            let is_its = |stage: &&Resource| stage.properties["ApiId"] == format!("<{}>", api.id);
            let own: Vec<_> = stages.iter().filter(is_its).map(|stage| stage.properties.clone()).collect();
            let [stage] = <[Value; 1]>::try_from(own).unwrap();
            (api.id, (api.properties, stage))
        })
        .collect();
    assert_eq!(apis.len(), stages.len());
    apis
}

/// The only resource of a type.
fn only(stack: &Stack<'_>, kind: &str) -> Value {
    let mut resources = stack.resources_of(kind);
    assert_eq!(resources.len(), 1, "{kind}");
    resources.remove(0).properties
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

fn strings(array: &Value) -> BTreeSet<String> {
    array.as_array().into_iter().flatten().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_binary_is_a_function_and_every_function_a_binary() {
    let template = Template::read().unwrap();
    let (receivers, readers) = (template.callback_functions(), template.reader_functions());
    let others = template.other_functions();
    let binaries: BTreeSet<String> = fs::read_dir("src/bin")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        // What a build without features leaves out.
        .filter(|name| !["group-ledger", "server"].contains(&name.as_str()))
        .collect();
    let all = receivers.iter().chain(&readers).chain(&others).cloned();
    assert_eq!(all.collect::<BTreeSet<_>>(), binaries);
    assert_eq!(receivers, PLATFORMS.map(|platform| platform.name));
    assert_eq!(readers, [READER]);
    assert_eq!(others, [REPLAY, PUBLISHER]);
    assert_eq!(template.replay_function().unwrap(), REPLAY);
    assert_eq!(template.publisher_function().unwrap(), PUBLISHER);
}

#[test]
fn every_reference_resolves_in_every_variant() {
    for (name, variant, stack) in stacks() {
        // Resolving fails where a reference leads nowhere.
        let (resources, outputs) = (stack.resources(), stack.outputs());
        assert!(stack.disallowed().is_empty() && stack.broken_rules().is_empty(), "{name}: {:?}", stack.disallowed());
        let functions: BTreeSet<String> = functions(&stack).into_keys().collect();
        assert_eq!(functions, variant.functions(), "{name}");
        for platform in PLATFORMS {
            let output = format!("{}CallbackUrl", prefix(platform));
            assert_eq!(outputs.contains_key(&output), functions.contains(platform.name), "{name}");
        }
        let ledger = "https://<Reader>.execute-api.us-east-1.amazonaws.com/ledger";
        assert_eq!(outputs.get("LedgerUrl").map(String::as_str), variant.has_reader().then_some(ledger), "{name}");

        // Nor is there an API of callbacks, or what watches it, where a server elsewhere takes them all.
        let of_the_api = resources.iter().filter(|resource| resource.properties.to_string().contains("<Callbacks>"));
        assert_eq!(of_the_api.count() > 0, !variant.platforms.is_empty(), "{name}");
        for needed in ["GroupChanges", "FallbackQueue", "DeadLetterQueue", "ReplayFunction", "FallbackQueueAlarm"] {
            assert!(resources.iter().any(|resource| resource.id == needed), "{name}: {needed}");
        }

        // Nothing of a reader is left over where there is none.
        let of_the_reader = resources.iter().any(|resource| resource.id.starts_with("Reader"));
        assert_eq!(of_the_reader, variant.has_reader(), "{name}");

        // Nor of a publisher, nor of the stream.
        let of_the_publisher = resources.iter().any(|resource| resource.id.starts_with("Publisher"));
        assert_eq!(of_the_publisher, variant.has_publisher(), "{name}");
        let stream = &only(&stack, "AWS::DynamoDB::Table")["StreamSpecification"];
        assert_eq!(!stream.is_null(), variant.has_publisher(), "{name}");

        let alarms = resources.iter().filter(|resource| resource.kind == "AWS::CloudWatch::Alarm");
        let alarms: BTreeSet<String> = alarms.map(|alarm| format!("<{}.Arn>", alarm.id)).collect();
        let dashboard = only(&stack, "AWS::CloudWatch::Dashboard");
        let body: Value = serde_json::from_str(dashboard["DashboardBody"].as_str().unwrap()).unwrap();
        let widgets = body["widgets"].as_array().unwrap();
        let shown = widgets.iter().find(|widget| widget["type"] == "alarm").unwrap();
        assert_eq!(strings(&shown["properties"]["alarms"]), alarms, "{name}");
    }
}

#[test]
fn the_dashboards_url_is_its_partitions() {
    for (partition, domain) in [
        ("aws", "console.aws.amazon.com"),
        ("aws-cn", "console.amazonaws.cn"),
        ("aws-us-gov", "console.amazonaws-us-gov.com"),
    ] {
        let template = &translated()["none, AllAtOnce, no topic"];
        let url = Stack::in_partition(partition, template, &Parameters::new()).outputs()["DashboardUrl"].clone();
        assert!(url.starts_with(&format!("https://{domain}/cloudwatch/home?region=us-east-1#")), "{url}");
    }
}

#[test]
fn each_api_has_its_functions_routes_and_nothing_else_is_public() {
    for (name, variant, stack) in stacks() {
        let apis = apis(&stack);
        // Each API has its functions and its limits, so that readers cannot use up the callbacks'.
        let platforms = variant.platforms.iter().map(|name| platform_of(name));
        let paths = |platform: &Registration| platforms::paths(platform, "{command+}");
        let routes = platforms.flat_map(|platform| paths(platform).map(|path| (path, platform.name)));
        let mut own = BTreeMap::new();
        if !variant.platforms.is_empty() {
            own.insert("Callbacks", (routes.collect::<Vec<_>>(), ["500", "1000"]));
        }
        if variant.has_reader() {
            let routes = ["/ledger", "/ledger/{path+}"].map(|path| (path.to_owned(), READER));
            own.insert("Reader", (routes.into(), ["20", "50"]));
        }
        assert!(apis.keys().eq(own.keys()), "{name}: {:?}", apis.keys());
        let mut permitted = BTreeSet::new();
        for (id, (api, stage)) in &apis {
            let (routes, limits) = &own[id.as_str()];
            for (path, binary) in routes {
                let source = format!("arn:aws:execute-api:us-east-1:123456789012:<{id}>/*/*{path}");
                permitted.insert(((*binary).to_owned(), source));
            }
            assert_eq!(keys(&api["Body"]["paths"]), routes.iter().map(|(path, _)| path.clone()).collect(), "{name}");
            let set =
                ["ThrottlingRateLimit", "ThrottlingBurstLimit"].map(|limit| &stage["DefaultRouteSettings"][limit]);
            assert_eq!(set, limits.map(Value::from).each_ref(), "{name}: {id}");
        }
        // Whom a function lets call it.
        let mut permissions = BTreeSet::new();
        for permission in stack.resources_of("AWS::Lambda::Permission") {
            assert_eq!(permission.properties["Principal"], "apigateway.amazonaws.com", "{name}");
            let [alias, source] =
                ["FunctionName", "SourceArn"].map(|property| permission.properties[property].as_str().unwrap());
            permissions.insert((binary_of(alias, &stack), source.to_owned()));
        }
        assert_eq!(permissions, permitted, "{name}");
        let kinds: BTreeSet<String> = stack.resources().into_iter().map(|resource| resource.kind).collect();
        for public in ["AWS::Lambda::Url", "AWS::ApiGateway::RestApi", "AWS::S3::Bucket"] {
            assert!(!kinds.contains(public), "{name}: {public}");
        }
    }
}

/// The binary of the function whose alias a reference leads to.
fn binary_of(alias: &str, stack: &Stack<'_>) -> String {
    let id = alias.trim_matches(['<', '>']).strip_suffix("Aliaslive").unwrap();
    let functions = stack.resources_of("AWS::Lambda::Function");
    let function = functions.iter().find(|function| function.id == id).unwrap();
    function.properties["FunctionName"].as_str().unwrap().strip_prefix("stack-").unwrap().to_owned()
}

/// The function that no API calls.
const REPLAY: &str = "replay";

/// The function that the table's stream is handed to.
const PUBLISHER: &str = "publisher";

/// The function that readers call.
const READER: &str = "reader";

/// What the reader may do, and with what: nothing that writes, and nothing that reads the whole table.
const READER_ACTIONS: [(&str, &str); 4] = [
    ("dynamodb:BatchGetItem", "<GroupChanges.Arn>"),
    ("dynamodb:GetItem", "<GroupChanges.Arn>"),
    ("dynamodb:Query", "<GroupChanges.Arn>"),
    ("dynamodb:Query", "<GroupChanges.Arn>/index/feed"),
];

/// What Lambda's event source does in a function's name.
const EVENT_SOURCE_ACTIONS: [&str; 3] = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];

/// The same for the table's stream.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html>
const STREAM_ACTIONS: [&str; 4] =
    ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"];

/// A record, one whose body is in parts, and one that cannot be read.
fn stream_event() -> String {
    let event = fs::read_to_string("tests/publish/stream-event.json").unwrap();
    let mut event: Value = serde_json::from_str(&event).unwrap();
    let record = event["Records"][0].clone();
    let mut in_parts = record.clone();
    let image = in_parts["dynamodb"]["NewImage"].as_object_mut().unwrap();
    image.remove("change");
    image.remove("raw");
    image.insert("group_key".to_owned(), serde_json::json!({ "S": "another" }));
    image.insert("raw_key".to_owned(), serde_json::json!({ "S": "raw#1" }));
    image.insert("raw_parts".to_owned(), serde_json::json!({ "N": "1" }));
    let mut unreadable = record;
    unreadable["dynamodb"]["NewImage"]["occurred_at"]["S"] = "yesterday".into();
    event["Records"].as_array_mut().unwrap().extend([unreadable, in_parts]);
    event.to_string()
}

/// The actions that the built function calls, with a DynamoDB that answers with `status`.
async fn actions(binary: &str, status: u16) -> BTreeSet<String> {
    let (dynamodb, sqs) = (Recorder::start(status).await, Recorder::start(200).await);
    let bus = Recorder::start(200).await;
    let mut settings = local_settings(&dynamodb.endpoint);
    for (name, value) in [
        ("AWS_ENDPOINT_URL_SQS", sqs.endpoint.clone()),
        ("FALLBACK_QUEUE_URL", format!("{}/000000000000/fallback-queue", sqs.endpoint)),
        ("EVENT_BUS_ARN", BUS_ARN.to_owned()),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", bus.endpoint.clone()),
        ("PUBLISHER_DEAD_LETTER_QUEUE_URL", format!("{}/000000000000/dead-letters", sqs.endpoint)),
    ] {
        settings.insert(name.to_owned(), value);
    }
    let function = Function::start(binary, &settings).await;
    let events = if let Some(platform) = PLATFORMS.into_iter().find(|platform| platform.name == binary) {
        // A change, one with a large body, and what is not understood.
        let change = change(platform);
        let body = String::from_utf8(change.body.clone()).unwrap();
        let large = body.replacen('{', &format!(r#"{{"further":[{}],"#, random_members(400_000)), 1);
        vec![change.event(), change_with(platform, large).event(), change_with(platform, "{").event()]
    } else if binary == PUBLISHER {
        vec![stream_event()]
    } else {
        let messages = files("tests/envelopes");
        let message = |(id, body): &(String, String)| serde_json::json!({ "messageId": id, "body": body.trim() });
        vec![serde_json::json!({ "Records": messages.iter().map(message).collect::<Vec<_>>() }).to_string()]
    };
    for event in events {
        function.invoke(event, Duration::from_secs(3)).await.body.expect("the function failed");
    }
    function.kill().await;
    [dynamodb, sqs, bus].iter().flat_map(Recorder::actions).collect()
}

/// Measured, but for the reader: what the built functions ask DynamoDB, EventBridge and SQS for, when all is well and when DynamoDB fails.
#[tokio::test]
async fn each_role_allows_what_its_function_calls_and_nothing_more() {
    let stack = whole_stack();
    let roles: BTreeMap<String, Value> =
        stack.resources_of("AWS::IAM::Role").into_iter().map(|role| (role.id, role.properties)).collect();
    for (binary, function) in functions(&stack) {
        let needed: BTreeSet<(String, String)> = if binary == READER {
            READER_ACTIONS.map(|(action, resource)| (action.to_owned(), resource.to_owned())).into()
        } else {
            let mut needed = actions(&binary, 200).await;
            needed.extend(actions(&binary, 500).await);
            match binary.as_str() {
                REPLAY => needed.extend(EVENT_SOURCE_ACTIONS.map(str::to_owned)),
                PUBLISHER => needed.extend(STREAM_ACTIONS.map(str::to_owned)),
                _ => {}
            }
            let own = |action: &str| match action {
                _ if STREAM_ACTIONS.contains(&action) => "<GroupChanges.StreamArn>",
                _ if action.starts_with("events:") => BUS_ARN,
                _ if action.starts_with("dynamodb:") => "<GroupChanges.Arn>",
                _ if binary == PUBLISHER => "<PublisherDeadLetterQueue.Arn>",
                _ => "<FallbackQueue.Arn>",
            };
            needed.into_iter().map(|action| (action.clone(), own(&action).to_owned())).collect()
        };
        let role = function["Role"].as_str().unwrap().trim_matches(['<', '>']).trim_end_matches(".Arn");
        let mut allowed = BTreeSet::new();
        for policy in roles[role]["Policies"].as_array().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
                assert_eq!(keys(statement), ["Action", "Effect", "Resource"].map(str::to_owned).into(), "{binary}");
                assert_eq!(statement["Effect"], "Allow", "{binary}");
                let actions = match &statement["Action"] {
                    Value::String(action) => BTreeSet::from([action.clone()]),
                    actions => strings(actions),
                };
                let resource = statement["Resource"].as_str().unwrap();
                allowed.extend(actions.into_iter().map(|action| (action, resource.to_owned())));
            }
        }
        assert_eq!(allowed, needed, "{binary}");
    }
}

/// Beside the template's own statements.
#[test]
fn the_documentation_names_what_sam_adds_to_roles() {
    let security = fs::read_to_string("docs/security.md").unwrap();
    for (name, variant, stack) in stacks() {
        let mut added = BTreeSet::new();
        for role in stack.resources_of("AWS::IAM::Role") {
            for policy in strings(&role.properties["ManagedPolicyArns"]) {
                added.insert(policy.rsplit('/').next().unwrap().to_owned());
            }
        }
        let is_gradual = variant.preference != "AllAtOnce" && !variant.platforms.is_empty();
        let wanted = ["AWSCodeDeployRoleForLambda", "AWSLambdaBasicExecutionRole"].map(str::to_owned);
        assert_eq!(added, wanted[usize::from(!is_gradual)..].iter().cloned().collect(), "{name}");
        for policy in added {
            assert!(security.contains(&format!("`{policy}`")), "docs/security.md does not mention {policy}");
        }
    }
}

#[test]
fn the_fallback_queue_keeps_what_it_is_given_until_it_is_written() {
    let stack = whole_stack();
    let queues: BTreeMap<String, Value> =
        stack.resources_of("AWS::SQS::Queue").into_iter().map(|queue| (queue.id, queue.properties)).collect();
    assert!(queues.keys().eq(["DeadLetterQueue", "FallbackQueue", "PublisherDeadLetterQueue"]));
    for (id, queue) in &queues {
        assert_eq!(queue["MessageRetentionPeriod"], 14 * 24 * 60 * 60, "{id}");
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{id}");
        assert_eq!(queue["MaximumMessageSize"], 1024 * 1024, "{id}");
        // The publisher's dead letters only tell of records, which stay in the table.
        if id != "PublisherDeadLetterQueue" {
            assert_eq!(raw_resource(id)["DeletionPolicy"], "Retain", "{id}");
        }
    }
    // So does the log of each receiver: its `recover` lines may be the only copy of a callback.
    for platform in PLATFORMS {
        let log = raw_resource(&format!("{}Log", prefix(platform)));
        assert_eq!([&log["DeletionPolicy"], &log["UpdateReplacePolicy"]], ["Retain", "Retain"], "{}", platform.name);
    }
    // SQS takes one resource a statement, and one queue's only.
    let policies = stack.resources_of("AWS::SQS::QueuePolicy");
    assert_eq!(policies.len(), queues.len());
    for id in queues.keys() {
        let is_its = |policy: &&Resource| policy.properties["Queues"] == serde_json::json!([format!("<{id}>")]);
        let policy = &policies.iter().find(is_its).unwrap().properties;
        let statement = &policy["PolicyDocument"]["Statement"][0];
        assert_eq!(statement["Resource"], format!("<{id}.Arn>"));
        assert_eq!([&statement["Effect"], &statement["Condition"]["Bool"]["aws:SecureTransport"]], ["Deny", "false"]);
    }
    let policy = &queues["FallbackQueue"]["RedrivePolicy"];
    assert_eq!(policy["deadLetterTargetArn"], "<DeadLetterQueue.Arn>");
    let (visibility, receives) =
        (queues["FallbackQueue"]["VisibilityTimeout"].as_u64().unwrap(), policy["maxReceiveCount"].as_u64().unwrap());
    let hours = visibility * receives / 3600;
    assert_eq!(hours, 50, "docs/reliability.md and docs/operations.md say 50 hours");
    let function = &functions(&stack)[REPLAY];
    assert!(visibility >= 6 * function["Timeout"].as_u64().unwrap(), "Lambda asks for six times the timeout");

    let source = event_source("ReplayEventSource", &stack);
    assert_eq!(source["FunctionResponseTypes"][0], "ReportBatchItemFailures");
    assert!(source["ScalingConfig"]["MaximumConcurrency"].as_u64().unwrap() <= 10);
    // Each entry of a batch may take its second.
    assert!(source["BatchSize"].as_u64().unwrap() * 2 < function["Timeout"].as_u64().unwrap());
}

/// The properties of an event source.
fn event_source(id: &str, stack: &Stack<'_>) -> Value {
    let sources = stack.resources_of("AWS::Lambda::EventSourceMapping");
    assert_eq!(sources.len(), 2);
    sources.into_iter().find(|source| source.id == id).unwrap().properties
}

/// In order, for as long as the stream has them, and never without a word.
#[test]
fn the_stream_is_handed_over_until_each_record_is_done_or_told_of() {
    let stack = whole_stack();
    assert_eq!(only(&stack, "AWS::DynamoDB::Table")["StreamSpecification"]["StreamViewType"], "NEW_IMAGE");
    let source = event_source("PublisherEventSource", &stack);
    assert_eq!(source["EventSourceArn"], "<GroupChanges.StreamArn>");
    assert_eq!(binary_of(source["FunctionName"].as_str().unwrap(), &stack), PUBLISHER);
    assert_eq!(source["StartingPosition"], "TRIM_HORIZON");
    assert_eq!(source["ParallelizationFactor"], 1, "two batches of a shard at once keep no order");
    assert_eq!(source["BisectBatchOnFunctionError"], true);
    assert_eq!(source["FunctionResponseTypes"], serde_json::json!(["ReportBatchItemFailures"]));
    assert_eq!(source["DestinationConfig"]["OnFailure"]["Destination"], "<PublisherDeadLetterQueue.Arn>");
    let filters = source["FilterCriteria"]["Filters"].as_array().unwrap();
    assert_eq!(filters.len(), 1, "any filter that matches lets a record through");
    let age = source["MaximumRecordAgeInSeconds"].as_u64().unwrap();
    assert!(age <= 23 * 60 * 60, "the stream has records for 24 hours, and one that is given up must still be told of");
    let publishing = fs::read_to_string("docs/publishing.md").unwrap();
    let (timeout, retries) =
        (functions(&stack)[PUBLISHER]["Timeout"].as_u64().unwrap(), source["MaximumRetryAttempts"].as_u64().unwrap());
    assert!(retries * (timeout - 10) / 3600 >= 4, "docs/publishing.md says 4 hours");
    assert!(publishing.contains("4 hours") && publishing.contains(&format!("{} hours", age / 3600)));
    // A batch has at most 6 MB, and a record up to 400 KB: Lambda sees to that by itself.
    assert!(source["BatchSize"].as_u64().unwrap() <= 1_000);

    let alarm = &alarms(&stack)["PublisherIteratorAgeAlarm"];
    let threshold = alarm["Threshold"].as_u64().unwrap();
    assert!(threshold < age * 1_000 / 10, "the alarm leaves no time to act");
}

/// A resource with its policies, as the template has it.
fn raw_resource(id: &str) -> &'static Value {
    &translated()["none, AllAtOnce, no topic"]["Resources"][id]
}

#[test]
fn the_table_is_keyed_and_kept_as_the_code_expects() {
    let table = only(&whole_stack(), "AWS::DynamoDB::Table");
    let key = |index: usize, role| {
        assert_eq!(table["KeySchema"][index]["KeyType"], role);
        table["KeySchema"][index]["AttributeName"].as_str().unwrap()
    };
    assert_eq!([key(0, "HASH"), key(1, "RANGE")], [PARTITION_KEY, SORT_KEY]);
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], TIME_TO_LIVE);
    assert_eq!(table["TimeToLiveSpecification"]["Enabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["SSESpecification"], Value::Null, "each write would need KMS");
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["DeletionProtectionEnabled"], true);
    let index = serde_json::json!([{
        "IndexName": FEED_INDEX,
        "KeySchema": [
            { "AttributeName": "feed_key", "KeyType": "HASH" },
            { "AttributeName": "feed_at", "KeyType": "RANGE" },
        ],
        "Projection": {
            "ProjectionType": "INCLUDE",
            "NonKeyAttributes": [
                "kind", "platform", "app_id", "group_id", "operator", "group_type", "occurred_at", "received_at",
            ],
        },
    }]);
    assert_eq!(table["GlobalSecondaryIndexes"], index);
    // DynamoDB rejects a definition of any other attribute.
    let defined = table["AttributeDefinitions"].as_array().unwrap().iter();
    let defined: BTreeSet<_> =
        defined.map(|one| [&one["AttributeName"], &one["AttributeType"]].map(Value::to_string)).collect();
    let keys = [PARTITION_KEY, SORT_KEY, "feed_key", "feed_at"];
    assert_eq!(defined, keys.map(|key| [format!("\"{key}\""), "\"S\"".to_owned()]).into());
    let resource = raw_resource("GroupChanges");
    assert_eq!([&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]], ["Retain", "Retain"]);
}

/// By the template's index in an embedded DynamoDB.
#[tokio::test]
async fn the_feed_has_the_head_of_each_record_and_nothing_else() {
    let head = [
        "group_key",
        "change_key",
        "platform",
        "app_id",
        "group_id",
        "kind",
        "occurred_at",
        "received_at",
        "operator",
        "group_type",
        "feed_key",
        "feed_at",
    ];
    let command = "Group.CallbackAfterCreateGroup";
    let query = format!("SdkAppid=1400000000&CallbackCommand={command}");
    let body = |group: &str, members: &str| {
        format!(
            r#"{{"CallbackCommand":"{command}","GroupId":"{group}","Type":"Public","Operator_Account":"o","MemberList":[{members}]}}"#
        )
    };
    for (feed, places) in [("on", 2), ("off", 0)] {
        let table = Table::start().await;
        let receiver = table.receiver(crate::support::TENCENT_CHAT, &[("FEED", feed)]);
        // A record, one whose body is in parts, and what goes to quarantine.
        for body in [body("g", ""), body("large", &random_members(900_000)), "{".to_owned()] {
            Sent::post("/tencent-chat", &query, body).to(&receiver).await;
        }
        assert!(table.items().len() > 3, "nothing is in parts");
        assert_eq!((table.records().len(), table.quarantined().len()), (2, 1));
        let in_the_feed = table.feed();
        assert_eq!(in_the_feed.len(), places, "feed {feed}");
        for record in in_the_feed {
            assert_eq!(keys(&record), head.map(str::to_owned).into());
        }
    }
}

/// The settings that a function asks for when it starts.
fn settings_read(platform: &Registration) -> BTreeSet<String> {
    let (mut settings, read) = (local_settings("http://127.0.0.1:1"), RefCell::new(BTreeSet::new()));
    settings.insert("FALLBACK_QUEUE_URL".to_owned(), "http://127.0.0.1:1/fallback-queue".to_owned());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        settings.get(name).cloned()
    };
    setup::receiver(platform, &Settings::new(&lookup)).unwrap();
    let mut read = read.into_inner();
    // The log's, which a process starts once.
    read.insert("METRICS_NAMESPACE".to_owned());
    read
}

/// Those that the publisher asks for.
fn settings_read_by_publisher() -> BTreeSet<String> {
    let (mut settings, read) = (local_settings("http://127.0.0.1:1"), RefCell::new(BTreeSet::new()));
    settings.insert("EVENT_BUS_ARN".to_owned(), BUS_ARN.to_owned());
    settings.insert("PUBLISHER_DEAD_LETTER_QUEUE_URL".to_owned(), "http://127.0.0.1:1/dead-letters".to_owned());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        settings.get(name).cloned()
    };
    setup::publisher(&Settings::new(&lookup)).unwrap();
    read.into_inner()
}

/// Those that the replay asks for.
fn settings_read_by_replay() -> BTreeSet<String> {
    let (settings, read) = (local_settings("http://127.0.0.1:1"), RefCell::new(BTreeSet::new()));
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        settings.get(name).cloned()
    };
    setup::ledger(&Settings::new(&lookup)).unwrap();
    read.into_inner()
}

#[test]
fn each_function_is_given_the_settings_it_reads() {
    // What Lambda itself sets.
    let own = ["AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(str::to_owned);
    for platform in PLATFORMS {
        let (read, name) = (settings_read(platform), platform.name);
        let given = keys(&functions(&whole_stack())[name]["Environment"]["Variables"]);
        assert_eq!(read.difference(&own.clone().into()).cloned().collect::<BTreeSet<_>>(), given, "{name}");
    }
    // It has the platforms' common ones too.
    let given = keys(&functions(&whole_stack())[REPLAY]["Environment"]["Variables"]);
    assert!(settings_read_by_replay().difference(&own.clone().into()).all(|name| given.contains(name)));
    // The common ones and its own.
    let read: BTreeSet<String> = settings_read_by_publisher().difference(&own.into()).cloned().collect();
    let given_to_publisher = keys(&functions(&whole_stack())[PUBLISHER]["Environment"]["Variables"]);
    assert_eq!(given_to_publisher, &given | &read);
    // The common ones and its own: no platform's secret.
    let own: BTreeSet<_> = ["OPENIM_APP_ID", "READER_TOKENS", "TENCENT_SDK_APP_ID"].map(str::to_owned).into();
    let given_to_reader = keys(&functions(&whole_stack())[READER]["Environment"]["Variables"]);
    assert_eq!(given_to_reader, &given | &own);
}

/// The emergency switch reaches whoever writes, and is on until somebody turns it off.
#[test]
fn the_feed_is_switched_in_every_function_that_writes() {
    let template = &translated()["all, AllAtOnce, no topic"];
    let all: Vec<_> = SET_UP.iter().flat_map(|set_up| set_up.with_secrets).copied().collect();
    for (given, wanted) in [(None, "on"), (Some("on"), "on"), (Some("off"), "off")] {
        let mut given = given.map(|feed| parameters(&[("Feed", feed)])).unwrap_or_default();
        given.extend(parameters(&all));
        let functions = functions(&Stack::new(template, &given));
        for writer in PLATFORMS.map(|platform| platform.name).into_iter().chain([REPLAY]) {
            assert_eq!(functions[writer]["Environment"]["Variables"]["FEED"], wanted, "{writer}");
        }
    }
}

#[test]
fn secrets_are_not_echoed() {
    let of_platforms = SET_UP.map(|set_up| {
        let parameter = platforms::parameter(platform_of(set_up.platform), platform_of(set_up.platform).secrets);
        let (_, secrets) = set_up.with_secrets.iter().find(|(name, _)| *name == parameter).unwrap();
        (parameter, *secrets)
    });
    for (parameter, secrets) in of_platforms.into_iter().chain([(READER_TOKENS.0.to_owned(), READER_TOKENS.1)]) {
        // Of a user and a password, or a name and a token, the second.
        let secret = secrets.rsplit(':').next().unwrap();
        let template = &translated()["all, AllAtOnce, no topic"];
        assert_eq!(template["Parameters"][&parameter]["NoEcho"], true, "{parameter}");
        for (name, value) in whole_stack().outputs() {
            assert!(!value.contains(secret), "the output {name} shows {parameter}");
        }
        let shown = whole_stack().resources().into_iter().filter(|one| one.properties.to_string().contains(secret));
        let kinds: BTreeSet<String> = shown.map(|resource| resource.kind).collect();
        assert_eq!(kinds, ["AWS::Lambda::Function".to_owned()].into(), "{parameter}");
    }
}

#[test]
fn time_outs_and_memory_fit_into_each_other() {
    let functions = functions(&whole_stack());
    for registration in PLATFORMS {
        let (binary, waits) = (registration.name, sender_timeout(registration));
        let holds_back = platform(registration, &[]).retries_after_timeout();
        assert!(WARM_UP_TIMEOUT < waits / 4, "a slow start uses up the sender's timeout");
        let timeout = Duration::from_secs(functions[binary]["Timeout"].as_u64().unwrap());
        let now = Instant::now();
        let budget = TimeBudget::new(now, waits, Duration::ZERO, Some(timeout));
        let spent = budget.for_ledger(now) + budget.for_fallback_queue(now + budget.for_ledger(now));
        assert!(spent < waits && spent < timeout, "{binary} is cut off in its work");
        assert!(!holds_back || budget.until_given_up(now) > waits, "{binary} cannot be too late");
        assert!(timeout < Duration::from_secs(30), "{binary} outlasts API Gateway");
    }
    // An invocation tries again until shortly before its end.
    assert!(functions[PUBLISHER]["Timeout"].as_u64().unwrap() > 3 * PUBLISHER_TIMEOUTS.attempt.as_secs());
    let timeout = functions[READER]["Timeout"].as_u64().unwrap();
    assert!((11..30).contains(&timeout), "the reader gives DynamoDB 10 s, and API Gateway gives it 30 s");
    let readme = fs::read_to_string("README.md").unwrap();
    for (binary, function) in functions {
        let gigabytes = function["MemorySize"].as_f64().unwrap() / 1024.0;
        assert!(readme.contains(&format!("× {gigabytes} GB")), "the README reckons with another memory for {binary}");
    }
    let alarms = alarms(&whole_stack());
    let threshold = Duration::from_millis(alarms["LatencyAlarm"]["Threshold"].as_u64().unwrap());
    assert!(PLATFORMS.into_iter().all(|platform| threshold < sender_timeout(platform)));
    assert_eq!(alarms["LatencyAlarm"]["EvaluateLowSampleCountPercentile"], "ignore");
}

#[test]
fn the_access_log_holds_neither_path_nor_query_nor_body() {
    let stack = whole_stack();
    let harmless = [
        "$context.error.message",
        "$context.error.responseType",
        "$context.httpMethod",
        "$context.integrationErrorMessage",
        "$context.integrationLatency",
        "$context.requestId",
        "$context.requestTime",
        "$context.responseLatency",
        "$context.routeKey",
        "$context.status",
    ];
    let groups = stack.resources_of("AWS::Logs::LogGroup");
    let mut formats = BTreeSet::new();
    for (id, (_, stage)) in apis(&stack) {
        let format = stage["AccessLogSettings"]["Format"].as_str().unwrap();
        // Each variable is in quotes: an absent one is written as `-`.
        let fields: BTreeMap<String, String> = serde_json::from_str(format).unwrap();
        let logged: BTreeSet<&str> = fields.values().map(String::as_str).collect();
        assert_eq!(logged, harmless.into(), "{id}");
        let absent = fields.values().fold(format.to_owned(), |line, variable| line.replace(variable, "-"));
        serde_json::from_str::<Value>(&absent).unwrap();
        formats.insert(format.to_owned());
        // Other groups would use up API Gateway's resource policy.
        let (log, name) = if id == "Reader" { ("ReaderAccessLog", "reader-access") } else { ("AccessLog", "access") };
        assert_eq!(stage["AccessLogSettings"]["DestinationArn"], format!("<{log}.Arn>"));
        let group = groups.iter().find(|group| group.id == log).unwrap();
        assert_eq!(group.properties["LogGroupName"], format!("/aws/vendedlogs/stack/{name}"));
    }
    assert_eq!(formats.len(), 1, "the logs have one form");
    for group in groups {
        assert_eq!(group.properties["RetentionInDays"], "30", "{}", group.id);
    }
}

fn alarms(stack: &Stack<'_>) -> BTreeMap<String, Value> {
    stack.resources_of("AWS::CloudWatch::Alarm").into_iter().map(|alarm| (alarm.id, alarm.properties)).collect()
}

/// A metric: namespace, name and dimensions.
type Metric = (String, String, BTreeMap<String, String>);

/// What an alarm watches.
fn watched(alarm: &Value) -> Vec<Metric> {
    let metric = |metric: &Value| {
        let dimensions = metric["Dimensions"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let dimensions = dimensions.map(|dimension| (text(&dimension["Name"]), text(&dimension["Value"]))).collect();
        (text(&metric["Namespace"]), text(&metric["MetricName"]), dimensions)
    };
    match alarm["Metrics"].as_array() {
        None => vec![metric(alarm)],
        Some(queries) => {
            let metrics = queries.iter().filter_map(|query| query["MetricStat"].get("Metric"));
            metrics.map(metric).collect()
        }
    }
}

/// The metrics that a line of the functions makes CloudWatch write.
fn written(line: &str) -> Vec<Metric> {
    let line: Value = serde_json::from_str(line).unwrap();
    let mut written = Vec::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        for set in directive["Dimensions"].as_array().unwrap() {
            let value = |name: &String| (name.clone(), line[name].as_str().unwrap().to_owned());
            let dimensions: BTreeMap<_, _> = strings(set).iter().map(value).collect();
            for metric in directive["Metrics"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                written.push((text(&directive["Namespace"]), text(&metric["Name"]), dimensions.clone()));
            }
        }
    }
    written
}

/// The line of metrics for a callback that was sent with these credentials and this body.
async fn line_for(namespace: &str, receiver: &Receiver, credentials: &str, body: &str) -> String {
    let authorization = format!("Basic {}", BASE64_STANDARD.encode(credentials));
    let event = Sent::post("/openim", "", body).header("authorization", &authorization).event();
    let http = crate::support::http(&event);
    let request = Request::of(&http, Timestamp::now());
    let budget = TimeBudget::new(Instant::now(), sender_timeout(OPENIM), Duration::ZERO, None);
    line(namespace, &receiver.receive(&request, &budget).await)
}

/// The line of a callback with this receipt, which counts it.
fn line(namespace: &str, receipt: &Receipt) -> String {
    let written = Written::default();
    let to = written.clone();
    tracing::subscriber::with_default(logging::subscriber(Some(namespace), move || to.clone()), || {
        // Another thread may have cached that no subscriber wants this event.
        tracing::callsite::rebuild_interest_cache();
        log(OPENIM.name, receipt, Ids::default(), Duration::from_millis(1));
    });
    let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    written.lines().next().unwrap().to_owned()
}

/// A log in memory.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A dimension or metric that the line itself does not have makes CloudWatch drop the whole line.
#[test]
fn every_name_that_is_declared_is_in_the_line() {
    let receipt = Receipt { kind: Some("group.created"), ..Receipt::of(Outcome::Recorded) };
    let before = Timestamp::now().unix_millis();
    for receipt in [receipt, Receipt::of(Outcome::Ignored), Receipt::of(Outcome::Quarantined(Rejection::NOT_JSON))] {
        let line: Value = serde_json::from_str(&line("Here", &receipt)).unwrap();
        assert!(line["_aws"]["Timestamp"].as_i64().unwrap() >= before, "{line}");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "Here");
            let dimensions = directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap());
            for dimension in dimensions {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension} in {line}");
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric} in {line}");
            }
        }
        let expected = [receipt.outcome.as_str(), receipt.kind.unwrap_or("none"), OPENIM.name];
        assert_eq!([&line["outcome"], &line["kind"], &line["platform"]], expected);
        assert_eq!(
            [&line["callbacks"], &line["duration_us"], &line["message"]],
            [&json!(1), &json!(1000), &json!("callback")]
        );
    }
}

/// A search of dimensions that no metric has finds nothing, and says nothing; a namespace with a `/` is found in quotes only.
#[test]
fn the_dashboard_searches_metrics_that_are_written() {
    let written = written(&line("Here", &Receipt::of(Outcome::Recorded)));
    let sets: Vec<BTreeSet<&str>> =
        written.iter().map(|(_, _, dimensions)| dimensions.keys().map(String::as_str).collect()).collect();
    let stack = whole_stack();
    let dashboards = stack.resources_of("AWS::CloudWatch::Dashboard");
    let body = dashboards[0].properties["DashboardBody"].as_str().unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let text = body.to_string().replace("\\\"", "\"");
    let searches: Vec<&str> = text.split("SEARCH('{").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
    assert_eq!(searches.len(), 2, "{text}");
    for search in searches {
        let (namespace, dimensions) = search.trim_start_matches('\\').split_once(',').unwrap();
        assert!(namespace.starts_with('"') && namespace.ends_with('"'), "{search}");
        let dimensions: BTreeSet<&str> = dimensions.split(',').collect();
        assert!(sets.contains(&dimensions), "no metric has the dimensions of {search}");
    }
}

#[tokio::test]
async fn alarms_watch_metrics_that_are_written() {
    let stack = whole_stack();
    let namespace = &functions(&stack)[OPENIM.name]["Environment"]["Variables"]["METRICS_NAMESPACE"];
    let namespace = namespace.as_str().unwrap();
    let more = [("METRICS_NAMESPACE", namespace), ("OPENIM_CREDENTIALS", "user:password")];
    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &more);
    let without_table = {
        let mut settings = table.settings(&more);
        settings.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), "http://127.0.0.1:1".to_owned());
        support::receiver(OPENIM, &settings).unwrap()
    };
    let change = r#"{"callbackCommand":"callbackAfterCreateGroupCommand","groupID":"g"}"#;
    let mut all = BTreeSet::new();
    for line in [
        line_for(namespace, &receiver, "user:password", change).await,
        line_for(namespace, &receiver, "user:password", r#"{"callbackCommand":"callbackAfterCreateGroupCommand"}"#)
            .await,
        line_for(namespace, &receiver, "user:wrong", change).await,
        line_for(namespace, &receiver, "stranger:wrong", change).await,
        line_for(namespace, &without_table, "user:password", change).await,
        // No request is known to meet one.
        line(namespace, &Receipt::of(Outcome::Defect)),
    ] {
        all.extend(written(&line));
    }
    let mut unwritten = Vec::new();
    for (id, alarm) in alarms(&stack) {
        for metric in watched(&alarm) {
            let (namespace, name, dimensions) = &metric;
            let dimensions: Vec<_> = dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            match (namespace.as_str(), name.as_str(), dimensions.as_slice()) {
                ("AWS/Lambda", "Errors" | "IteratorAge" | "Throttles", [("FunctionName", function)]) => {
                    let whose = function.trim_matches(['<', '>']).strip_suffix("Function").unwrap();
                    assert!(id.starts_with(whose), "{id}: {function}");
                }
                ("AWS/ApiGateway", "5xx" | "Latency", [("ApiId", "<Callbacks>")])
                | (
                    "AWS/SQS",
                    "ApproximateAgeOfOldestMessage"
                    | "ApproximateNumberOfMessagesVisible"
                    | "ApproximateNumberOfMessagesNotVisible",
                    [
                        (
                            "QueueName",
                            "<FallbackQueue.QueueName>"
                            | "<DeadLetterQueue.QueueName>"
                            | "<PublisherDeadLetterQueue.QueueName>",
                        ),
                    ],
                )
                | (
                    "AWS/DynamoDB",
                    "WriteThrottleEvents",
                    [("GlobalSecondaryIndexName", FEED_INDEX), ("TableName", "<GroupChanges>")],
                ) => {}
                _ if all.contains(&metric) => {}
                _ => unwritten.push((id.clone(), metric)),
            }
        }
    }
    assert!(unwritten.is_empty(), "no line has what these watch: {unwritten:#?}");
}

/// The logical id of a platform's function.
fn function_id(platform: &Registration) -> String {
    function_ids().remove(platform.name).unwrap_or_else(|| panic!("the template has no function of {}", platform.name))
}

/// What the logical ids of a platform's resources begin with.
fn prefix(platform: &Registration) -> String {
    let id = function_id(platform);
    id.strip_suffix("Function").unwrap_or_else(|| panic!("{id} does not end in Function")).to_owned()
}

/// What a platform's release is rolled back for.
fn rollback_alarms(platform: &Registration) -> BTreeSet<String> {
    let common = ["<DefectsAlarm>", "<KnownCallersRejectedAlarm>", "<NotStoredAlarm>", "<QuarantinedAlarm>"];
    common.map(str::to_owned).into_iter().chain([format!("<{}ErrorsAlarm>", prefix(platform))]).collect()
}

/// No alarm stops a deployment at once: it may be the repair of what raised the alarm.
#[test]
fn a_gradual_deployment_is_rolled_back_by_its_alarms_and_no_other_one_is() {
    for (name, variant, stack) in stacks() {
        let groups = stack.resources_of("AWS::CodeDeploy::DeploymentGroup");
        if variant.preference == "AllAtOnce" {
            let left = stack.resources().into_iter().filter(|resource| resource.kind.starts_with("AWS::CodeDeploy"));
            assert_eq!(left.count(), 0, "{name}");
            let template = &translated()[&name];
            let policies = template["Resources"].as_object().unwrap().values();
            assert_eq!(policies.filter(|resource| resource.get("UpdatePolicy").is_some()).count(), 0, "{name}");
            continue;
        }
        assert_eq!(groups.len(), variant.platforms.len(), "{name}");
        for group in groups {
            let is_its = |platform: &&Registration| group.id.starts_with(&prefix(platform));
            let platform = PLATFORMS.into_iter().find(is_its).unwrap();
            let configuration = &group.properties["AlarmConfiguration"];
            assert_eq!(configuration["Enabled"], true, "{name}");
            let alarms = configuration["Alarms"].as_array().unwrap().iter();
            let alarms: Vec<_> = alarms.map(|alarm| alarm["Name"].as_str().unwrap().to_owned()).collect();
            assert_eq!(alarms.len(), rollback_alarms(platform).len(), "{name}");
            assert_eq!(alarms.into_iter().collect::<BTreeSet<_>>(), rollback_alarms(platform), "{name}");
            let rolls_back = &group.properties["AutoRollbackConfiguration"];
            assert_eq!(rolls_back["Enabled"], true, "{name}");
            assert!(strings(&rolls_back["Events"]).contains("DEPLOYMENT_STOP_ON_ALARM"), "{name}");
            let how = group.properties["DeploymentConfigName"].as_str().unwrap();
            assert_eq!(how, format!("CodeDeployDefault.Lambda{}", variant.preference), "{name}");
        }
    }
}

/// A canary takes five minutes.
#[test]
fn rollback_alarms_see_one_bad_callback_within_a_minute() {
    let alarms = alarms(&whole_stack());
    for id in PLATFORMS.map(rollback_alarms).iter().flatten() {
        let alarm = &alarms[id.trim_matches(['<', '>'])];
        assert_eq!([&alarm["Period"], &alarm["Threshold"], &alarm["DatapointsToAlarm"]], [60, 1, 1], "{id}");
        assert_eq!(alarm["Statistic"], "Sum", "{id}");
        // Anybody can be rejected.
        assert!(
            watched(alarm).iter().all(|(.., dimensions)| dimensions.get("outcome").is_none_or(|one| one != "rejected"))
        );
    }
}

#[test]
fn an_alarm_allows_for_metrics_that_come_late() {
    for (id, alarm) in alarms(&whole_stack()) {
        let count = |name: &str| alarm[name].as_u64().unwrap();
        assert!(count("DatapointsToAlarm") < count("EvaluationPeriods"), "{id} looks at no more than it needs");
        for query in alarm["Metrics"].as_array().into_iter().flatten() {
            let expression = query["Expression"].as_str().unwrap_or_default();
            assert!(!expression.contains("FILL"), "{id} takes late data for zeros");
        }
    }
}

#[test]
fn every_alarm_reaches_its_topic_and_its_page() {
    let operations = fs::read_to_string("docs/operations.md").unwrap();
    for (name, variant, stack) in stacks() {
        for (id, alarm) in alarms(&stack) {
            for actions in ["AlarmActions", "OKActions"] {
                let wanted = if variant.topic.is_empty() { Value::Null } else { serde_json::json!([variant.topic]) };
                assert_eq!(alarm[actions], wanted, "{name}: {id}");
            }
            assert_eq!(alarm["TreatMissingData"], "notBreaching", "{id} would go off where nobody calls");
            assert!(operations.contains(&format!("### {id}\n")), "docs/operations.md has no section {id}");
        }
    }
    let alarms = alarms(&whole_stack());
    for section in operations.lines().filter_map(|line| line.strip_prefix("### ")).filter(|id| id.ends_with("Alarm")) {
        assert!(alarms.contains_key(section), "docs/operations.md has a section {section}, and no alarm has that name");
    }
}
