//! OpenIM's hooks before an action: whatever is answered, the server goes on with the request as it was.
//!
//! The server's own rule is written out here: how it makes the callback of its request, how it judges the answer, and what
//! it takes from it. Sources: `internal/rpc/group/callback.go`, `pkg/callbackstruct` and `pkg/common/webhook` of
//! <https://github.com/openimsdk/open-im-server>.

use group_ledger::domain::rejection::Rejection;
use group_ledger::domain::request::{MAX_BODY_BYTES, Request};
use group_ledger::domain::timestamp::Timestamp;
use http::Response;
use serde_json::{Map, Value, json};

use crate::hostile::defective;
use crate::support::{OPENIM, Sent, Table, platform, rejections};

/// A form of the hook before a group's information is set: which versions send it, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `callbackBeforeSetGroupInfoCommand`, v3.4.2 and later.
    SetGroupInfo,
    /// The same name in v3.8.1-rc.1, for the Ex request.
    OfRc1,
    /// `callbackBeforeSetGroupInfoExCommand`, v3.8.1-rc.2 and later.
    Ex,
}

const TEXTS: [&str; 4] = ["groupName", "notification", "introduction", "faceURL"];
const OPTIONAL: [&str; 4] = ["ex", "needVerification", "lookMemberInfo", "applyMemberFriend"];

/// The requests that a form's server may be about to carry out. A field that nobody touched is not there.
fn requests(form: Form) -> Vec<Map<String, Value>> {
    let mut requests = vec![Map::from_iter([("groupID".to_owned(), json!("2559562921"))])];
    let mut cross = |name: &str, values: &[Option<Value>]| {
        let with = |request: &Map<String, Value>, value: &Option<Value>| {
            let mut request = request.clone();
            request.extend(value.clone().map(|value| (name.to_owned(), value)));
            request
        };
        requests = requests.iter().flat_map(|request| values.iter().map(|value| with(request, value))).collect();
    };
    for name in TEXTS {
        let text = Some(json!("\"新\" \u{1f600} <b>"));
        // The older form's texts are plain, and so is the name in v3.8.1-rc.1.
        let is_plain = form == Form::SetGroupInfo || form == Form::OfRc1 && name == "groupName";
        let values = if is_plain { vec![None, text] } else { vec![None, Some(json!("")), text] };
        cross(name, &values);
    }
    cross("ex", &[None, Some(json!("")), Some(json!("e"))]);
    for name in &OPTIONAL[1..] {
        cross(name, &[None, Some(json!(0)), Some(json!(1))]);
    }
    requests
}

/// The callback that the server makes of a request.
fn callback(form: Form, request: &Map<String, Value>) -> Map<String, Value> {
    let command = match form {
        Form::SetGroupInfo | Form::OfRc1 => "callbackBeforeSetGroupInfoCommand",
        Form::Ex => "callbackBeforeSetGroupInfoExCommand",
    };
    let mut callback = Map::from_iter([("callbackCommand".to_owned(), json!(command))]);
    callback.insert("operationID".to_owned(), json!(""));
    callback.insert("groupID".to_owned(), request["groupID"].clone());
    for name in TEXTS.into_iter().chain(OPTIONAL) {
        let untouched = match (form, name) {
            (Form::SetGroupInfo, "needVerification" | "lookMemberInfo" | "applyMemberFriend") => json!(0),
            (Form::SetGroupInfo, _) | (Form::OfRc1, "groupName") => json!(""),
            _ => Value::Null,
        };
        callback.insert(name.to_owned(), request.get(name).cloned().unwrap_or(untouched));
    }
    callback
}

/// `CommonCallbackResp.Parse` after `json.Unmarshal`: whether the action goes on, in v3.4.2 to v3.6 and since v3.7.
fn goes_on(answer: &Map<String, Value>) -> [bool; 2] {
    let code = |name: &str| answer.get(name).map_or(Some(0), |code| i32::try_from(code.as_i64()?).ok());
    let text = |name: &str| answer.get(name).is_none_or(Value::is_string);
    let (Some(action), Some(_), Some(next)) = (code("actionCode"), code("errCode"), code("nextCode")) else {
        return [false; 2];
    };
    let is_read = text("errMsg") && text("errDlt");
    [is_read && action == 0 && next != 1, is_read && !(action == 0 && next == 1)]
}

/// The request as the server goes on with it: what `webhookBeforeSetGroupInfo` and `webhookBeforeSetGroupInfoEx` take from
/// the answer.
fn applied(form: Form, request: &Map<String, Value>, answer: &Map<String, Value>) -> Map<String, Value> {
    let mut request = request.clone();
    let mut set = |name: &str, value: Option<Value>| match value {
        Some(value) => drop(request.insert(name.to_owned(), value)),
        None => drop(request.remove(name)),
    };
    let text = |name: &str| answer.get(name).cloned().filter(|text| *text != "" && !text.is_null());
    let replaced = |name: &str| answer.get(name).cloned().filter(|value| !value.is_null());
    set("groupID", text("groupID"));
    match form {
        Form::SetGroupInfo => {
            for name in ["groupName", "faceURL", "introduction"] {
                set(name, text(name));
            }
            for name in OPTIONAL.into_iter().filter(|name| replaced(name).is_some()) {
                set(name, replaced(name));
            }
        }
        Form::OfRc1 | Form::Ex => {
            set("groupName", if form == Form::Ex { replaced("groupName") } else { text("groupName") });
            for name in ["faceURL", "introduction"].into_iter().chain(OPTIONAL) {
                set(name, replaced(name));
            }
        }
    }
    request
}

/// Whether an answer leaves a request as it was, in every version of its form.
fn is_unaltered(form: Form, request: &Map<String, Value>, answer: &str) -> bool {
    let answer: Map<String, Value> = serde_json::from_str(answer).unwrap();
    // v3.8.1-rc.1 and later judge answers as v3.7 does.
    let [up_to_v3_6, since_v3_7] = goes_on(&answer);
    let goes_on = since_v3_7 && (up_to_v3_6 || form != Form::SetGroupInfo);
    goes_on && applied(form, request, &answer) == *request
}

/// v3.8.1-rc.1's request that looks as the older form's does: no field untouched, but for the name, and one cleared or set
/// to 0. Nothing tells it apart, and the older form is what every other version sends.
fn looks_like_the_older_form(form: Form, callback: &Map<String, Value>) -> bool {
    let is_zero = |name: &str| callback[name] == "" || callback[name] == 0;
    form == Form::OfRc1 && !callback.values().any(Value::is_null) && OPTIONAL.iter().any(|name| is_zero(name))
}

/// Every request that can be told apart, with its callback.
fn matrix() -> impl Iterator<Item = (Form, Map<String, Value>, Sent)> {
    [Form::SetGroupInfo, Form::OfRc1, Form::Ex].into_iter().flat_map(|form| {
        let sent = move |request: Map<String, Value>| {
            let callback = callback(form, &request);
            let is_told = !looks_like_the_older_form(form, &callback);
            let path = format!("/openim/{}", callback["callbackCommand"].as_str().unwrap());
            is_told.then(|| (form, request, Sent::post(&path, "", Value::Object(callback).to_string())))
        };
        requests(form).into_iter().filter_map(sent)
    })
}

/// The platform's answer to a request that came to this.
fn answer(sent: &Sent, rejection: Option<Rejection>) -> String {
    let http = crate::support::http(sent.event());
    platform(OPENIM, &[])
        .respond(Some(&Request::of(&http, Timestamp::now())), rejection.map_or(Ok(()), Err))
        .into_body()
}

/// Every outcome of every request: success, and every rejection that there is.
#[test]
fn no_answer_alters_the_setting_of_a_groups_information() {
    let outcomes: Vec<_> = [None].into_iter().chain(rejections(OPENIM).map(Some)).collect();
    let (mut held, mut altered) = (0, 0);
    for (number, (form, request, sent)) in matrix().enumerate() {
        // Each request with success and one rejection after the other; each rejection with hundreds of requests of each form.
        for rejection in [None, outcomes[1 + number % (outcomes.len() - 1)]] {
            held += 1;
            altered += u32::from(!is_unaltered(form, &request, &answer(&sent, rejection)));
        }
    }
    assert_eq!((held, altered), (HELD, 0));
}

/// How many pairs of request and outcome [`matrix`] comes to.
const HELD: u32 = 23_982;

/// The rule detects an answer that alters the request: all eight fields, or none.
#[test]
fn the_servers_rule_tells_an_answer_that_alters() {
    for (form, expected_of_echo) in [(Form::SetGroupInfo, false), (Form::OfRc1, true), (Form::Ex, true)] {
        let request = Map::from_iter([("groupID".to_owned(), json!("g")), ("groupName".to_owned(), json!("n"))]);
        let mut echo = callback(form, &request);
        assert_eq!(
            is_unaltered(form, &request, &Value::Object(echo.clone()).to_string()),
            expected_of_echo,
            "{form:?}"
        );
        assert!(!is_unaltered(form, &request, r#"{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":0}"#));
        echo.insert("nextCode".to_owned(), json!(1));
        assert!(!is_unaltered(form, &request, &Value::Object(echo).to_string()), "{form:?}");
    }
}

/// The command's name may be in the path, in the query of older versions, or in the body alone.
#[test]
fn a_hook_is_known_wherever_its_command_is() {
    for (form, request, sent) in matrix().step_by(97) {
        let command = sent.path.rsplit('/').next().unwrap().to_owned();
        for (path, query) in [
            (format!("/openim/{command}"), String::new()),
            (format!("/openim//{}", command.to_uppercase()), String::new()),
            ("/openim".to_owned(), format!("command=/{command}")),
            ("/openim".to_owned(), format!("token=S/{command}")),
            ("/openim/groupCommand".to_owned(), String::new()),
        ] {
            let sent = Sent { path, query, ..Sent::post("", "", sent.body.clone()) };
            // A URL that seems to name another command is never a success.
            let success = (!sent.path.ends_with("groupCommand")).then_some(None);
            let rejections = [Some(OPENIM.rejections[0]), Some(Rejection::COMMAND_MISMATCH)];
            for rejection in success.into_iter().chain(rejections) {
                assert!(is_unaltered(form, &request, &answer(&sent, rejection)), "{} {}", sent.path, sent.query);
            }
        }
    }
}

/// Through the whole receiver: success, wrong credentials, a body that is too large, and one that API Gateway encoded.
#[tokio::test]
async fn what_becomes_of_a_hook_leaves_it_as_it_was() {
    let table = Table::start().await;
    let open = table.receiver(OPENIM, &[]);
    let closed = table.receiver(OPENIM, &[("OPENIM_CREDENTIALS", "user:password")]);
    let unaltered = |form, request: &_, response: &Response<String>, status: u16| {
        assert_eq!(response.status().as_u16(), status);
        assert!(is_unaltered(form, request, response.body()), "{form:?}: {}", response.body());
    };
    for (form, request, sent) in matrix().step_by(61) {
        unaltered(form, &request, &sent.to(&open).await, 200);
        unaltered(form, &request, &sent.to(&closed).await, 401);
    }
    for form in [Form::SetGroupInfo, Form::Ex] {
        let large = "x".repeat(MAX_BODY_BYTES);
        let request: Map<String, Value> = [("groupID", "g"), ("groupName", "n"), ("introduction", &large)]
            .map(|(name, text)| (name.to_owned(), json!(text)))
            .into_iter()
            .collect();
        let callback = callback(form, &request);
        let path = format!("/openim/{}", callback["callbackCommand"].as_str().unwrap());
        let sent = Sent::post(&path, "", Value::Object(callback).to_string());
        unaltered(form, &request, &sent.to(&open).await, 413);
        unaltered(form, &request, &sent.to(&closed).await, 413);
    }
    assert!(table.items().is_empty(), "a hook is not recorded");
}

/// A panic in checking the sender or in decoding, and a body whose command is not the URL's.
#[tokio::test]
async fn a_defect_or_a_mismatch_leaves_a_hook_as_it_was() {
    let table = Table::start().await;
    let receiver = defective(&table, 0);
    for (form, request, sent) in matrix().step_by(997) {
        let body: Map<String, Value> = serde_json::from_slice(&sent.body).unwrap();
        let with = |name: &str, value: &str| {
            let text = Value::Object(body.clone()).to_string();
            format!(r#"{},"{name}":"{value}"}}"#, text.strip_suffix('}').unwrap())
        };
        for (body, status) in [
            (with("zzz", "verify"), 500),
            (with("zzz", "decode"), 200),
            (with("callbackCommand", "callbackBeforeCreateGroupCommand"), 400),
        ] {
            let response = Sent::post(&sent.path, "", body).to(&receiver).await;
            assert_eq!(response.status(), status);
            assert!(is_unaltered(form, &request, response.body()), "{status} {form:?}: {}", response.body());
        }
    }
}

/// Nobody has vouched for it yet: what it holds must not become a tree of values.
#[test]
fn a_large_hook_takes_no_memory_but_its_own() {
    for body in [format!("{{\"a\":{}{}}}", "[".repeat(2_000_000), "]".repeat(2_000_000)), "[1],".repeat(1_000_000)] {
        let http = crate::support::http(Sent::post("/openim/callbackBeforeSetGroupInfoCommand", "", body).event());
        let request = Request::of(&http, Timestamp::now());
        let platform = platform(OPENIM, &[]);
        let measured =
            allocation_counter::measure(|| drop(platform.respond(Some(&request), Err(Rejection::TOO_LARGE))));
        assert!(measured.bytes_max < 8 * 1024 * 1024, "{} bytes", measured.bytes_max);
    }
}

/// The other hooks' servers take from an answer what it has, by fields of their own; these have none.
#[test]
fn the_other_hooks_get_no_field_back_and_go_on() {
    let codes = ["actionCode", "errCode", "errDlt", "errMsg", "nextCode"];
    for command in [
        "callbackBeforeCreateGroupCommand",
        "callbackBeforeApplyJoinGroupCommand",
        "callbackBeforeMembersJoinGroupCommand",
        "callbackBeforeInviteUserToGroupCommand",
        "callbackBeforeSetGroupMemberInfoCommand",
        "callbackBeforeSendGroupMsgCommand",
        // As v3.0 to v3.6 call some.
        "callbackMsgModifyCommand",
        "callbackOfflinePushCommand",
        "callbackOnlinePushCommand",
        "callbackSuperGroupOnlinePushCommand",
    ] {
        let body = json!({ "callbackCommand": command, "groupID": "g", "groupName": "n", "userID": "u", "ex": "e" });
        for path in [format!("/openim/{command}"), "/openim".to_owned()] {
            let sent = Sent::post(&path, "", body.to_string());
            for rejection in [None].into_iter().chain(rejections(OPENIM).map(Some)) {
                let answer: Map<String, Value> = serde_json::from_str(&answer(&sent, rejection)).unwrap();
                assert!(answer.keys().eq(codes), "{command} {rejection:?}");
                assert_eq!(goes_on(&answer), [true, true], "{command} {rejection:?}");
                assert_eq!(answer["errCode"], rejection.map_or(0, Rejection::code), "{command}");
            }
        }
    }
}

/// As the documentation shows it, wrapped and nested; the answer is plain, as its pages show.
#[test]
fn a_documented_hook_gets_plain_values_back() {
    let body = r#"{"groupInfoForSet":{"groupID":"g1","groupName":"n","ex":{"value":"e"},"notification":{}}}"#;
    let sent = Sent::post("/openim/callbackBeforeSetGroupInfoEXCommand", "", body);
    let answer: Value = serde_json::from_str(&answer(&sent, None)).unwrap();
    assert_eq!([&answer["groupID"], &answer["groupName"], &answer["ex"]], ["g1", "n", "e"]);
}

/// An event after the fact is answered as before: its rejection says so.
#[test]
fn no_other_callback_gets_its_fields_back() {
    for (path, command) in [
        ("/openim/callbackAfterSetGroupInfoCommand", "callbackAfterSetGroupInfoCommand"),
        ("/openim", "callbackAfterSetGroupInfoExCommand"),
        ("/openim", ""),
    ] {
        let sent = Sent::post(path, "", json!({ "callbackCommand": command, "groupID": "g" }).to_string());
        assert_eq!(answer(&sent, None), *platform(OPENIM, &[]).respond(None, Ok(())).body());
        let rejected: Value = serde_json::from_str(&answer(&sent, Some(OPENIM.rejections[0]))).unwrap();
        assert_eq!([&rejected["actionCode"], &rejected["errCode"]], [1, 40101]);
        assert!(rejected.get("groupID").is_none());
    }
}
