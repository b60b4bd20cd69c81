//! The template, the manifest, the code and the documentation are of one mind.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use group_ledger::budget::Budget;
use group_ledger::ledger::WARM_UP_TIMEOUT;
use group_ledger::metrics;
use group_ledger::platform::Platform;
use group_ledger::platform::openim::OpenIm;
use group_ledger::platform::tencent_chat::TencentChat;
use group_ledger::receive::{Outcome, Receipt, Receiver};
use group_ledger::record::{PARTITION_KEY, SORT_KEY, TIME_TO_LIVE};
use group_ledger::redrive;
use group_ledger::refusal::Refusal;
use group_ledger::settings::Settings;
use group_ledger::timestamp::Timestamp;
use serde_norway::Value;

use crate::support::local_settings;
use crate::template::Template;

fn yaml(file: &str) -> Value {
    serde_norway::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The template's resources of a type, by logical id.
fn resources(kind: &str) -> Vec<(String, Value)> {
    let template = yaml("template.yaml");
    let all = template["Resources"].as_mapping().unwrap().iter();
    all.filter(|(_, resource)| resource["Type"] == kind)
        .map(|(id, resource)| (id.as_str().unwrap().to_owned(), resource["Properties"].clone()))
        .collect()
}

/// The functions' properties with the globals under them, by binary.
fn functions() -> BTreeMap<String, Value> {
    let template = yaml("template.yaml");
    let globals = template["Globals"]["Function"].as_mapping().unwrap();
    let all = template["Resources"].as_mapping().unwrap().values();
    all.filter(|resource| resource["Type"] == "AWS::Serverless::Function")
        .map(|resource| {
            let binary = resource["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap().to_owned();
            let mut properties = globals.clone();
            properties.extend(resource["Properties"].as_mapping().unwrap().clone());
            let mut variables = globals["Environment"]["Variables"].as_mapping().unwrap().clone();
            if let Some(own) = resource["Properties"].get("Environment") {
                variables.extend(own["Variables"].as_mapping().unwrap().clone());
            }
            properties.insert("Variables".into(), variables.into());
            (binary, properties.into())
        })
        .collect()
}

fn keys(mapping: &Value) -> BTreeSet<String> {
    mapping.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// What a `!Ref` refers to.
fn reference(value: &Value) -> &str {
    let Value::Tagged(tagged) = value else { panic!("{value:?} is no reference") };
    assert_eq!(tagged.tag, "Ref");
    tagged.value.as_str().unwrap()
}

#[test]
fn every_binary_is_a_function_and_every_function_a_binary() {
    let template = Template::read().unwrap();
    let (receivers, others) = (template.callback_functions(), template.other_functions());
    let binaries: BTreeSet<String> = fs::read_dir("src/bin")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(receivers.iter().chain(&others).cloned().collect::<BTreeSet<_>>(), binaries);
    assert_eq!(receivers, [TencentChat::NAME, OpenIm::NAME]);
    assert_eq!(others, [REDRIVE]);
}

/// `cargo lambda` writes `{*rest}` where API Gateway writes `{rest+}`.
#[test]
fn the_routes_are_the_families_own_and_nothing_else_is_public() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let (_, router) = manifest.split_once("[package.metadata.lambda.watch.router]\n").unwrap();
    let local: BTreeSet<String> = router.lines().take_while(|line| !line.is_empty()).map(str::to_owned).collect();
    let mut deployed = BTreeSet::new();
    for (binary, function) in functions() {
        assert!(function.get("FunctionUrlConfig").is_none(), "{binary} has a URL past API Gateway");
        for event in function.get("Events").and_then(Value::as_mapping).into_iter().flat_map(|events| events.values()) {
            assert_eq!(event["Type"], "HttpApi");
            let properties = &event["Properties"];
            assert_eq!(keys(properties), ["ApiId", "Method", "Path"].map(str::to_owned).into());
            let path = properties["Path"].as_str().unwrap();
            assert!(path == format!("/{binary}") || path.starts_with(&format!("/{binary}/")), "{path}");
            deployed.insert(format!("\"{}\" = \"{binary}\"", path.replace("{command+}", "{*command}")));
        }
    }
    assert_eq!(local, deployed);
    for kind in
        ["AWS::Lambda::Permission", "AWS::Lambda::Url", "AWS::Serverless::Api", "AWS::IAM::Role", "AWS::S3::Bucket"]
    {
        assert!(resources(kind).is_empty(), "{kind}");
    }
}

/// The function that no callback reaches.
const REDRIVE: &str = "redrive";

/// What a module calls of a service: `client.put_item()` in the code is `PutItem` in a role.
fn calls(module: &str, service: &str) -> BTreeSet<String> {
    let code: String = fs::read_to_string(module).unwrap().split_whitespace().collect();
    let calls = code.split("self.client.").skip(1).map(|call| call.split('(').next().unwrap());
    calls.map(|call| format!("{service}:{}", call.split('_').map(capitalized).collect::<String>())).collect()
}

/// What Lambda's event source does in a function's name.
fn event_source_calls() -> BTreeSet<String> {
    ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"].map(|call| format!("sqs:{call}")).into()
}

#[test]
fn each_role_allows_what_the_code_calls_and_nothing_more() {
    for (binary, function) in functions() {
        let policies = function["Policies"].as_sequence().unwrap();
        let statements = policies.iter().flat_map(|policy| policy["Statement"].as_sequence().unwrap());
        let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for statement in statements {
            assert_eq!(keys(statement), ["Action", "Effect", "Resource"].map(str::to_owned).into(), "{binary}");
            let Value::Tagged(resource) = &statement["Resource"] else { panic!("{binary} may write anywhere") };
            let actions = match &statement["Action"] {
                Value::Sequence(actions) => actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect(),
                action => BTreeSet::from([action.as_str().unwrap().to_owned()]),
            };
            allowed.entry(resource.value.as_str().unwrap().to_owned()).or_default().extend(actions);
        }
        let queue = if binary == REDRIVE { event_source_calls() } else { calls("src/spill.rs", "sqs") };
        let needed = [("GroupChanges.Arn", calls("src/ledger.rs", "dynamodb")), ("Spill.Arn", queue)];
        assert_eq!(allowed, needed.map(|(resource, calls)| (resource.to_owned(), calls)).into(), "{binary}");
    }
}

#[test]
fn the_spill_keeps_what_it_is_given_until_it_is_written() {
    let queues: BTreeMap<_, _> = resources("AWS::SQS::Queue").into_iter().collect();
    assert!(queues.keys().eq(["Spill", "SpillDeadLetters"]));
    for (id, queue) in &queues {
        assert_eq!(queue["MessageRetentionPeriod"], 14 * 24 * 60 * 60, "{id}");
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{id}");
    }
    // SQS takes one resource a statement, and one queue's only.
    let policies: Vec<_> = resources("AWS::SQS::QueuePolicy").into_iter().map(|(_, policy)| policy).collect();
    for (policy, id) in policies.iter().zip(queues.keys()) {
        assert_eq!(reference(&policy["Queues"][0]), id);
        let Value::Tagged(resource) = &policy["PolicyDocument"]["Statement"][0]["Resource"] else { panic!("{id}") };
        assert_eq!(resource.value, format!("{id}.Arn"));
        assert_eq!(yaml("template.yaml")["Resources"][id.as_str()]["DeletionPolicy"], "Retain", "{id}");
    }
    assert_eq!(policies.len(), queues.len());
    let Value::Tagged(target) = &queues["Spill"]["RedrivePolicy"]["deadLetterTargetArn"] else { panic!("no target") };
    assert_eq!(target.value, "SpillDeadLetters.Arn");
    let function = &functions()[REDRIVE];
    let visibility = queues["Spill"]["VisibilityTimeout"].as_u64().unwrap();
    assert!(visibility >= 6 * function["Timeout"].as_u64().unwrap(), "Lambda asks for six times the time-out");

    let sources = resources("AWS::Lambda::EventSourceMapping");
    let [(_, source)] = sources.as_slice() else { panic!("one event source") };
    assert_eq!(source["FunctionResponseTypes"][0], "ReportBatchItemFailures");
    assert!(source["ScalingConfig"]["MaximumConcurrency"].as_u64().unwrap() <= 10);
    // Each entry of a batch may take its second.
    assert!(source["BatchSize"].as_u64().unwrap() * 2 < function["Timeout"].as_u64().unwrap());
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

#[test]
fn the_table_is_keyed_and_kept_as_the_code_expects() {
    let tables = resources("AWS::DynamoDB::Table");
    let [(_, table)] = tables.as_slice() else { panic!("one table") };
    let key = |index: usize, role| {
        assert_eq!(table["KeySchema"][index]["KeyType"], role);
        table["KeySchema"][index]["AttributeName"].as_str().unwrap()
    };
    assert_eq!([key(0, "HASH"), key(1, "RANGE")], [PARTITION_KEY, SORT_KEY]);
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], TIME_TO_LIVE);
    assert_eq!(table["TimeToLiveSpecification"]["Enabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["DeletionProtectionEnabled"], true);
    let resource = &yaml("template.yaml")["Resources"]["GroupChanges"];
    assert_eq!([&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]], ["Retain", "Retain"]);
}

/// The settings that a function asks for when it starts.
fn settings_read<P: Platform>() -> BTreeSet<String> {
    let (mut settings, read) = (local_settings("http://127.0.0.1:1"), RefCell::new(BTreeSet::new()));
    settings.insert("SPILL_QUEUE_URL".to_owned(), "http://127.0.0.1:1/spill".to_owned());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        settings.get(name).cloned()
    };
    Receiver::<P>::from_settings(&Settings::new(&lookup)).unwrap();
    read.into_inner()
}

/// Those that the redrive asks for.
fn settings_read_by_redrive() -> BTreeSet<String> {
    let (settings, read) = (local_settings("http://127.0.0.1:1"), RefCell::new(BTreeSet::new()));
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        settings.get(name).cloned()
    };
    redrive::ledger(&Settings::new(&lookup)).unwrap();
    read.into_inner()
}

#[test]
fn each_function_is_given_the_settings_it_reads() {
    // What Lambda itself sets.
    let own = ["AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(str::to_owned);
    for (binary, read) in
        [(TencentChat::NAME, settings_read::<TencentChat>()), (OpenIm::NAME, settings_read::<OpenIm>())]
    {
        let given = keys(&functions()[binary]["Variables"]);
        assert_eq!(read.difference(&own.clone().into()).cloned().collect::<BTreeSet<_>>(), given, "{binary}");
    }
    // It has the platforms' common ones too.
    let given = keys(&functions()[REDRIVE]["Variables"]);
    assert!(settings_read_by_redrive().difference(&own.into()).all(|name| given.contains(name)));
}

#[test]
fn secrets_are_not_echoed() {
    let template = yaml("template.yaml");
    for (binary, variable) in [("tencent-chat", "TENCENT_CALLBACK_TOKENS"), ("openim", "OPENIM_CREDENTIALS")] {
        let parameter = reference(&functions()[binary]["Variables"][variable]).to_owned();
        assert_eq!(template["Parameters"][parameter.as_str()]["NoEcho"], true, "{parameter}");
        let outputs = serde_norway::to_string(&template["Outputs"]).unwrap();
        assert!(!outputs.contains(&parameter), "{parameter} is an output");
    }
}

#[test]
fn time_outs_and_memory_fit_into_each_other() {
    assert!(WARM_UP_TIMEOUT < TencentChat::PATIENCE / 4, "a slow start uses up the sender's patience");
    for (binary, patience, holds_back) in
        [(TencentChat::NAME, TencentChat::PATIENCE, true), (OpenIm::NAME, OpenIm::PATIENCE, false)]
    {
        let timeout = Duration::from_secs(functions()[binary]["Timeout"].as_u64().unwrap());
        let now = Instant::now();
        let budget = Budget::new(now, patience, Duration::ZERO, Some(timeout));
        let spent = budget.for_ledger(now) + budget.for_spill(now + budget.for_ledger(now));
        assert!(spent < patience && spent < timeout, "{binary} is cut off in its work");
        assert!(!holds_back || budget.until_given_up(now) > patience, "{binary} cannot be too late");
        assert!(timeout < Duration::from_secs(30), "{binary} outlasts API Gateway");
    }
    let readme = fs::read_to_string("README.md").unwrap();
    for (binary, function) in functions() {
        let gigabytes = function["MemorySize"].as_f64().unwrap() / 1024.0;
        assert!(readme.contains(&format!("× {gigabytes} GB")), "the README reckons with another memory for {binary}");
    }
    for (_, alarm) in resources("AWS::CloudWatch::Alarm") {
        if alarm["MetricName"] == "Latency" {
            let threshold = Duration::from_millis(alarm["Threshold"].as_u64().unwrap());
            assert!(threshold < TencentChat::PATIENCE);
        }
    }
}

#[test]
fn the_access_log_holds_neither_path_nor_query_nor_body() {
    let apis = resources("AWS::Serverless::HttpApi");
    let [(_, api)] = apis.as_slice() else { panic!("one API") };
    let format = api["AccessLogSettings"]["Format"].as_str().unwrap();
    let logged: BTreeSet<&str> = format.split('"').filter(|text| text.starts_with('$')).collect();
    let harmless = [
        "$context.error.message",
        "$context.httpMethod",
        "$context.integrationErrorMessage",
        "$context.integrationLatency",
        "$context.requestId",
        "$context.requestTime",
        "$context.responseLatency",
        "$context.routeKey",
        "$context.status",
    ];
    assert_eq!(logged, harmless.into());
    assert_eq!(format.matches('$').count(), harmless.len(), "{format}");
    serde_json::from_str::<serde_json::Value>(format).unwrap();
    assert!(api["DefaultRouteSettings"]["ThrottlingRateLimit"] != Value::Null, "anybody may run up a bill");
}

/// The metrics that alarms watch are those that the functions write.
#[test]
fn alarms_watch_metrics_that_exist() {
    let outcomes = [
        Outcome::NotStored(Refusal::NotStored),
        Outcome::Refused(Refusal::NotJson),
        Outcome::Quarantined(Refusal::NotJson),
    ];
    let mut written = BTreeSet::new();
    for outcome in outcomes {
        let receipt = Receipt::of(outcome);
        for platform in [TencentChat::NAME, OpenIm::NAME] {
            let line = metrics::line("here", platform, &receipt, Duration::from_millis(1), Timestamp::now());
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Dimensions"][0], serde_json::json!(["Platform", "Outcome"]));
            written.insert(format!("{} {} {}", directive["Metrics"][0]["Name"], line["Platform"], line["Outcome"]));
        }
    }
    let mut watched = BTreeSet::new();
    for (_, alarm) in resources("AWS::CloudWatch::Alarm") {
        for query in alarm.get("Metrics").and_then(Value::as_sequence).into_iter().flatten() {
            let metric = &query["MetricStat"]["Metric"];
            let namespace = &functions()["openim"]["Variables"]["METRICS_NAMESPACE"];
            if metric["Namespace"] == *namespace {
                let [platform, outcome] = [0, 1].map(|index| metric["Dimensions"][index]["Value"].as_str().unwrap());
                let name = metric["MetricName"].as_str().unwrap();
                watched.insert(format!("\"{name}\" \"{platform}\" \"{outcome}\""));
            } else if metric["Namespace"] == "AWS/SQS" {
                let Value::Tagged(queue) = &metric["Dimensions"][0]["Value"] else { panic!("no queue") };
                assert_eq!(queue.value, "Spill.QueueName");
            } else if *metric != Value::Null {
                assert_eq!(metric["Namespace"], "AWS/Lambda");
                let named: Vec<_> = functions().values().map(|function| function["FunctionName"].clone()).collect();
                assert!(named.contains(&metric["Dimensions"][0]["Value"]), "{metric:?}");
            }
        }
    }
    assert_eq!(watched, written);
}

#[test]
fn every_alarm_reaches_its_topic_and_its_page() {
    let operations = fs::read_to_string("docs/operations.md").unwrap();
    let alarms = resources("AWS::CloudWatch::Alarm");
    assert_eq!(alarms.len(), 11);
    for (id, alarm) in alarms {
        for actions in ["AlarmActions", "OKActions"] {
            let Value::Tagged(condition) = &alarm[actions] else { panic!("{id} tells nobody") };
            assert_eq!(reference(&condition.value[1][0]), "AlarmTopicArn", "{id}");
        }
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{id} would go off where nobody calls");
        assert!(operations.contains(&format!("### {id}")), "docs/operations.md has no section {id}");
    }
}

/// A function whose wait for a callback times out ends, and the local stack with it; nothing shows that within a test's time.
#[test]
fn the_local_stack_may_be_idle_for_ever() {
    let stack = fs::read_to_string("examples/local/stack.rs").unwrap();
    let (_, timeout) = stack.split_once(r#""--timeout", ""#).unwrap();
    let seconds: u64 = timeout.split('"').next().unwrap().parse().unwrap();
    assert!(seconds >= 365 * 24 * 60 * 60);
}

/// SAM makes a new version where this changes, and only then; without one, the alias keeps the old settings.
#[test]
fn a_changed_parameter_is_a_new_version() {
    for (binary, function) in functions() {
        assert_eq!(reference(&function["AutoPublishCodeSha256"]), "Revision", "{binary}");
    }
    let makefile = fs::read_to_string("Makefile").unwrap();
    assert!(makefile.contains(r#""Revision=$$revision""#));
    assert!(makefile.contains("cat .aws-sam/build/*/bootstrap template.yaml parameters.yaml | sha256sum"));
}
