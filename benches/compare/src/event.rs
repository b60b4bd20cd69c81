//! The callbacks that are sent: as API Gateway makes events of them, or as they are; signed now.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use sha2::{Digest, Sha256};

pub(crate) const APP_ID: &str = "1400000000";
pub(crate) const TOKEN: &str = "a-token-of-no-app";

/// OpenIM's, where they are asked for.
pub(crate) const CREDENTIALS: &str = "user:password";
/// The header that these come to.
pub(crate) const AUTHORIZATION: &str = "Basic dXNlcjpwYXNzd29yZA==";

const TENCENT_CHAT: &str = "/tencent-chat";
const OPENIM: &str = "/openim/callbackAfterSetGroupInfoExCommand";

/// Tencent's callback of a created group with so many members.
pub(crate) fn create_group(members: usize) -> String {
    tencent_chat(&body(members, ""))
}

/// Tencent's callback of a created group whose body has so many bytes, by a long introduction.
pub(crate) fn create_group_of(bytes: usize) -> String {
    let missing = bytes.saturating_sub(body(1, "").len());
    let mut introduction: String =
        (0..=missing / 40).map(|number| format!("Line {number} of what the group says of itself. ")).collect();
    introduction.truncate(missing);
    tencent_chat(&body(1, &introduction))
}

fn body(members: usize, introduction: &str) -> String {
    let members: Vec<_> = (0..members).map(|number| json!({ "Member_Account": format!("u{number:07}") })).collect();
    let body = json!({
        "CallbackCommand": "Group.CallbackAfterCreateGroup", "EventTime": 1_669_872_112_042_i64,
        "GroupId": "@TGS#2QX7PLM4K", "Name": "Trail runners", "Operator_Account": "admin01", "Owner_Account": "u_wei",
        "Type": "Public", "UserDefinedDataList": [{ "Key": "Region", "Value": "eu-1" }], "MemberList": members,
        "Introduction": introduction,
    });
    body.to_string()
}

fn tencent_chat(body: &str) -> String {
    event(TENCENT_CHAT, &query(), body)
}

fn query() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let sign: String = Sha256::digest(format!("{TOKEN}{now}")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "SdkAppid={APP_ID}&CallbackCommand=Group.CallbackAfterCreateGroup&contenttype=json&ClientIP=203.0.113.7&OptPlatform=RESTAPI&Sign={sign}&RequestTime={now}"
    )
}

/// OpenIM's callback of a renamed group.
pub(crate) fn set_group_info() -> String {
    event(OPENIM, "", RENAMED)
}

const RENAMED: &str = r#"{"callbackCommand":"callbackAfterSetGroupInfoExCommand","operationID":"","groupID":"2559562921","groupName":"NewGroupName","notification":"","introduction":null,"faceURL":null,"ex":null,"needVerification":null,"lookMemberInfo":null,"applyMemberFriend":null}"#;

/// The path, query and body of [`create_group`]'s callback, as Tencent sends them.
pub(crate) fn sent_create_group(members: usize) -> (String, String) {
    (format!("{TENCENT_CHAT}?{}", query()), body(members, ""))
}

/// The path and body of [`set_group_info`]'s callback, as OpenIM sends them.
pub(crate) fn sent_set_group_info() -> (String, String) {
    (OPENIM.to_owned(), RENAMED.to_owned())
}

/// A second delivery of the same callback.
pub(crate) fn again(event: &str) -> String {
    event.replace(REQUEST_ID, "JKJaXmPLvHcESHB=")
}

const REQUEST_ID: &str = "JKJaXmPLvHcESHA=";

fn event(path: &str, query: &str, body: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": {
            "content-type": "application/json", "operationid": "op-1", "user-agent": "Go-http-client/1.1",
            "host": "abcdefghij.execute-api.us-east-1.amazonaws.com", "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "443", "x-forwarded-proto": "https", "content-length": body.len().to_string(),
        },
        "requestContext": {
            "accountId": "000000000000", "apiId": "abcdefghij", "domainPrefix": "abcdefghij", "stage": "$default",
            "domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com", "routeKey": "$default",
            "http": { "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "Go-http-client/1.1" },
            "requestId": REQUEST_ID, "time": "01/Dec/2022:05:21:52 +0000", "timeEpoch": u64::try_from(now).unwrap(),
        },
        "body": body, "isBase64Encoded": false,
    })
    .to_string()
}
