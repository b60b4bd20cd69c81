//! A parameter that the functions would not take fails before anything is deployed.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;

use group_ledger::platform::Registration;
use serde_json::Value;
use tempfile::TempDir;

use super::{functions, translated};
use crate::support::cloudformation::{Parameters, Stack, parameters, translate};
use crate::support::{OPENIM, TENCENT_CHAT, local_settings, receiver};

const REFERENCE: &str = "{{resolve:secretsmanager:group-ledger:SecretString:tencent::VERSION_ID}}";

const APP_IDS: [&str; 5] = ["", "1400000000", "14a", " 1", "-1"];
const FLAGS: [&str; 4] = ["true", "false", "True", ""];
const TOKENS: [&str; 16] = [
    "",
    "token",
    "new,old",
    "new, old,,",
    " ,new",
    "a b",
    "pa{ss}",
    REFERENCE,
    "{{resolve:ssm-secure:name:1}},old",
    ",",
    " ",
    ", ,",
    "{{resolve:secretsmanager}}",
    "{{resolve:other:name}}",
    "\u{3000}",
    "\t",
];
const CREDENTIALS: [&str; 20] = [
    "",
    "user:password",
    "user:new,user:old",
    "user:new, user:old,,",
    "user:pass:word",
    "user: pass word ",
    "us er:{}",
    REFERENCE,
    "{{resolve:ssm:name}}, user:old",
    "user",
    "user:",
    "user: ",
    ":password",
    " :password",
    "user:new,old",
    "user:new,:old",
    "user:new,user:",
    ",",
    "{{resolve:secretsmanager}}",
    "\u{3000}:\u{3000}",
];

/// A stack of the template with these parameters. The translation does not depend on them.
fn stack(given: &Parameters) -> Stack<'static> {
    Stack::new(&translated()["none, AllAtOnce, no topic"], given)
}

/// Whether `CloudFormation` takes them.
fn is_taken(given: &Parameters) -> bool {
    let stack = stack(given);
    stack.disallowed().is_empty() && stack.broken_rules().is_empty()
}

/// What a function says to the settings that it gets from a stack; nothing where there is no function.
fn start(platform: &Registration, given: &Parameters) -> Option<Result<(), String>> {
    let mut settings = local_settings("");
    settings.retain(|name, _| name.starts_with("AWS_"));
    let function = functions(&stack(given)).remove(platform.name)?;
    let variables: BTreeMap<String, String> =
        serde_json::from_value(function["Environment"]["Variables"].clone()).unwrap();
    settings.extend(variables);
    settings.insert("FALLBACK_QUEUE_URL".to_owned(), "https://localhost/fallback_queue".to_owned());
    for value in settings.values_mut() {
        *value = resolved(value, "user:password");
    }
    Some(receiver(platform, &settings).map(drop))
}

/// A parameter's value with a secret in place of each reference, as `CloudFormation` hands it to a function.
fn resolved(value: &str, secret: &str) -> String {
    let pattern = regex_lite::Regex::new(r"\{\{resolve:(secretsmanager|ssm-secure|ssm):[^{}]+\}\}").unwrap();
    pattern.replace_all(value, secret).into_owned()
}

fn tencent() -> Vec<Parameters> {
    let mut all = Vec::new();
    for app_id in APP_IDS {
        for tokens in TOKENS {
            for unsigned in FLAGS {
                all.push(parameters(&[
                    ("TencentSdkAppId", app_id),
                    ("TencentCallbackTokens", tokens),
                    ("TencentAllowUnsigned", unsigned),
                ]));
            }
        }
    }
    all
}

fn openim() -> Vec<Parameters> {
    let long = "a".repeat(64);
    let too_long = "a".repeat(65);
    let mut all = Vec::new();
    for app_id in ["openim", "my server/1", &long, &too_long, "", "a#b", " a", "a ", "群"] {
        for credentials in CREDENTIALS {
            for anonymous in FLAGS {
                all.push(parameters(&[
                    ("OpenImAppId", app_id),
                    ("OpenImCredentials", credentials),
                    ("OpenImAllowAnonymous", anonymous),
                ]));
            }
        }
    }
    all
}

#[test]
fn what_the_template_takes_the_functions_take() {
    let mut started = [0, 0];
    for given in tencent() {
        if is_taken(&given) {
            let function = start(TENCENT_CHAT, &given);
            let is_wanted = !given["TencentSdkAppId"].is_empty()
                || !given["TencentCallbackTokens"].is_empty()
                || given["TencentAllowUnsigned"] == "true";
            assert_eq!(function, is_wanted.then_some(Ok(())), "{given:?}");
            started[0] += usize::from(is_wanted);
        }
    }
    for given in openim() {
        if is_taken(&given) {
            let function = start(OPENIM, &given);
            let is_wanted = !given["OpenImCredentials"].is_empty() || given["OpenImAllowAnonymous"] == "true";
            assert_eq!(function, is_wanted.then_some(Ok(())), "{given:?}");
            started[1] += usize::from(is_wanted);
        }
    }
    // 9 values of tokens, of which the empty one needs the flag; 9 of credentials, and 3 app ids.
    assert_eq!(started, [8 * 2 + 1, (8 * 2 + 1) * 3], "the patterns take less or more than they should");
}

/// Whether the reader takes a list of tokens: `name:token`, separated by commas and split at the first colon.
fn is_list_of_readers(tokens: &str) -> bool {
    let is = |text: &str, lengths: RangeInclusive<usize>, others: &str| {
        lengths.contains(&text.len()) && text.chars().all(|one| one.is_ascii_alphanumeric() || others.contains(one))
    };
    tokens.split(',').all(|pair| {
        pair.split_once(':').is_some_and(|(name, token)| is(name, 1..=32, "_-") && is(token, 16..=256, "._~+/=-"))
    })
}

/// Pairs at the edges of what a name and a token may be, and lists of them and of references.
fn lists_of_readers() -> Vec<String> {
    let names = ["", "a", "Al-1_ce", &"n".repeat(32), &"n".repeat(33), "a b", "a.b", "é", "{"].map(str::to_owned);
    let tokens = [&"t".repeat(15), &"t".repeat(16), &"t".repeat(256), &"t".repeat(257), "0aZ._~+/=-0123456789"];
    let others =
        ["with spaces in it", "with:a:colon:in:it", "wïth_öther_letters", "with(parentheses)", "{}{}{}{}{}{}{}{}{}"];
    let mut lists = vec![String::new()];
    for name in &names {
        lists.extend(tokens.iter().chain(&others).map(|token| format!("{name}:{token}")));
    }
    let pair = "alice:0123456789abcdef";
    lists.extend([
        pair.replace(':', ""),
        format!("{pair},{pair}"),
        format!("{pair},bob:fedcba9876543210,{pair}"),
        format!("{pair},bob:short"),
        format!("{pair}, {pair}"),
        format!(" {pair}"),
        format!("{pair} "),
        format!("{pair}\n"),
        format!("{pair},"),
        format!(",{pair}"),
        format!("{pair},,{pair}"),
        ",".to_owned(),
        " ".to_owned(),
        REFERENCE.to_owned(),
        format!("{REFERENCE},{REFERENCE}"),
        format!("{pair},{REFERENCE},{pair}"),
        format!("{REFERENCE}{REFERENCE}"),
        format!("{REFERENCE} "),
        format!("alice:{REFERENCE}"),
        "{{resolve:ssm:readers:1}}".to_owned(),
        "{{resolve:ssm-secure:readers:1}}".to_owned(),
        "{{resolve:secretsmanager}}".to_owned(),
        "{{resolve:other:name}}".to_owned(),
    ]);
    lists
}

/// The reader does not start with any other list.
#[test]
fn what_the_template_takes_as_readers_is_what_the_reader_takes() {
    let mut taken = Vec::new();
    for tokens in lists_of_readers() {
        let given = parameters(&[("ReaderTokens", &tokens)]);
        let is_wanted = tokens.is_empty() || is_list_of_readers(&resolved(&tokens, "alice:0123456789abcdef"));
        assert_eq!(is_taken(&given), is_wanted, "{tokens:?}");
        if is_wanted {
            assert_eq!(functions(&stack(&given)).contains_key("reader"), !tokens.is_empty(), "{tokens:?}");
            taken.push(tokens);
        }
    }
    // The empty one; 3 names with 3 tokens; 2 lists of pairs, and 5 with references.
    assert_eq!(taken.len(), 1 + 3 * 3 + 2 + 5, "{taken:#?}");
}

/// What a function would take, and the template does not: white space for an empty text, text that looks like a reference, and
/// empty texts where there is a default.
const NARROWER: [(&str, &str); 13] = [
    ("TencentSdkAppId", " 1"),
    ("TencentCallbackTokens", " "),
    ("TencentCallbackTokens", "\t"),
    ("TencentCallbackTokens", "\u{3000}"),
    ("TencentCallbackTokens", "{{resolve:secretsmanager}}"),
    ("TencentCallbackTokens", "{{resolve:other:name}}"),
    ("TencentAllowUnsigned", ""),
    ("OpenImAppId", ""),
    ("OpenImAppId", " a"),
    ("OpenImAppId", "a "),
    ("OpenImAppId", "群"),
    ("OpenImCredentials", "{{resolve:secretsmanager}}"),
    ("OpenImAllowAnonymous", ""),
];

#[test]
fn what_the_functions_take_the_template_takes() {
    let is_narrower = |(name, value): (&String, &String)| NARROWER.contains(&(name, value));
    for given in tencent() {
        if start(TENCENT_CHAT, &given) == Some(Ok(())) && !given.iter().any(is_narrower) {
            assert!(is_taken(&given), "{given:?}: {:?}", stack(&given).disallowed());
        }
    }
    for given in openim() {
        if start(OPENIM, &given) == Some(Ok(())) && !given.iter().any(is_narrower) {
            assert!(is_taken(&given), "{given:?}: {:?}", stack(&given).disallowed());
        }
    }
}

/// What leaves a platform without a function, or with one that does not start, is told before it is deployed.
#[test]
fn what_is_set_up_by_half_or_out_of_bounds_is_rejected() {
    for (pairs, rule) in [
        (&[("TencentSdkAppId", "1400000000")][..], "TencentNeedsTokens"),
        (&[("TencentCallbackTokens", "token")], "TencentNeedsSdkAppId"),
        (&[("TencentAllowUnsigned", "true")], "TencentNeedsSdkAppId"),
    ] {
        let given = parameters(pairs);
        assert_eq!(stack(&given).broken_rules(), [rule].into(), "{given:?}");
    }
    for (name, value) in [
        ("AlarmTopicArn", "alarms"),
        ("AlarmTopicArn", "arn:aws:sqs:us-east-1:123456789012:alarms"),
        ("ThrottlingRateLimit", "0"),
        ("ThrottlingBurstLimit", "-1"),
        ("ReaderThrottlingRateLimit", "0"),
        ("ReaderThrottlingBurstLimit", "many"),
        ("RetentionDays", "0"),
        ("RetentionDays", "1.5"),
        ("OpenImReservedConcurrency", "0"),
        ("TencentRetriesAfterTimeout", "True"),
        // What YAML may make of an unquoted off.
        ("Feed", "false"),
        ("Feed", "Off"),
        ("Feed", ""),
    ] {
        assert_eq!(stack(&parameters(&[(name, value)])).disallowed(), [name].into(), "{value}");
    }
    for (name, value) in [
        ("AlarmTopicArn", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:alarms"),
        ("RetentionDays", "365"),
        ("TencentReservedConcurrency", "20"),
        ("TencentRetriesAfterTimeout", "false"),
        ("Feed", "on"),
        ("Feed", "off"),
    ] {
        assert!(is_taken(&parameters(&[(name, value)])), "{name}: {value}");
    }
}

#[test]
fn each_rule_says_what_to_do() {
    let template = &translated()["none, AllAtOnce, no topic"];
    for (name, rule) in template["Rules"].as_object().unwrap() {
        for assertion in rule["Assertions"].as_array().unwrap() {
            let description = assertion["AssertDescription"].as_str().unwrap_or_default();
            let named = template["Parameters"].as_object().unwrap().keys().filter(|name| description.contains(*name));
            assert!(named.count() > 1 && description.contains("Set "), "{name}: {description}");
        }
    }
}

/// As printed, and with what it has in comments: `make deploy` passes it on as it is.
#[test]
fn the_example_of_parameters_works() {
    let folder = TempDir::new().unwrap();
    let (example, whole) = ("parameters.example.yaml", folder.path().join("parameters.yaml"));
    let text = fs::read_to_string(example).unwrap();
    let comment = regex_lite::Regex::new(r"(?m)^# (\w+: '.*')$").unwrap();
    fs::write(&whole, comment.replace_all(&text, "$1").into_owned()).unwrap();
    let [example, whole] = [format!("file://{example}"), format!("file://{}", whole.display())];
    let (_, read) =
        translate(&BTreeMap::new(), &[&[&example, "Architecture=x86_64"], &[&whole, "Architecture=x86_64"]]);
    let [mut example, whole] = <[Parameters; 2]>::try_from(read).unwrap();
    assert!(whole.len() > example.len(), "the example has nothing in comments");
    assert_eq!(whole["AlarmTopicArn"], "arn:aws:sns:us-east-1:123456789012:alarms");
    for given in [&example, &whole] {
        assert!(is_taken(given), "{:?} {:?}", stack(given).disallowed(), stack(given).broken_rules());
        assert_eq!(given["Architecture"], "x86_64");
    }
    // Filled in, with the reference that it shows.
    let (_, reference) = text.split_once("{{").unwrap();
    let reference = format!("{{{{{}}}}}", reference.split_once("}}").unwrap().0);
    for (name, value) in [
        ("TencentSdkAppId", "1400000000"),
        ("TencentCallbackTokens", reference.as_str()),
        ("OpenImCredentials", reference.as_str()),
        ("ReaderTokens", reference.as_str()),
    ] {
        assert_eq!(example.insert(name.to_owned(), value.to_owned()), Some(String::new()), "{name}");
    }
    assert!(is_taken(&example), "{:?}", stack(&example).disallowed());
    assert_eq!([start(TENCENT_CHAT, &example), start(OPENIM, &example)], [Some(Ok(())), Some(Ok(()))]);
}

/// The transform must leave them to `CloudFormation`.
#[test]
fn the_translation_keeps_the_rules_and_patterns() {
    for (name, template) in translated().as_object().unwrap() {
        assert_eq!(template["Rules"].as_object().map_or(0, serde_json::Map::len), 2, "{name}");
        let pattern = &template["Parameters"]["OpenImCredentials"]["AllowedPattern"];
        assert!(matches!(pattern, Value::String(_)), "{name}");
    }
}
