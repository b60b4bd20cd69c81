//! A peer: the same work as its users would write it from the documentation's examples, in Rust, with every default.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    let table = std::env::var("TABLE_NAME")?;
    run(service_fn(|request: Request| callback(&client, &table, request))).await
}

async fn callback(client: &Client, table: &str, request: Request) -> Result<Response<Body>, Error> {
    match record(client, table, &request).await {
        Ok(()) => answer(200, json!({ "ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0 })),
        Err(error) => answer(403, json!({ "ActionStatus": "FAIL", "ErrorInfo": error.to_string(), "ErrorCode": 1 })),
    }
}

fn answer(status: u16, body: Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(body.to_string().into())?)
}

async fn record(client: &Client, table: &str, request: &Request) -> Result<(), Error> {
    // Verify.
    let query = request.query_string_parameters();
    let token = std::env::var("TENCENT_CALLBACK_TOKENS")?;
    let time = query.first("RequestTime").ok_or("no RequestTime")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    if now.abs_diff(time.parse()?) > 60 || query.first("SdkAppid") != Some(&std::env::var("TENCENT_SDK_APP_ID")?) {
        return Err("stale, or another app's".into());
    }
    if query.first("Sign") != Some(&hex::encode(Sha256::digest(format!("{token}{time}")))) {
        return Err("wrong Sign".into());
    }
    // Decode.
    let bytes: &[u8] = request.body();
    let raw = str::from_utf8(bytes)?;
    let body: Value = serde_json::from_str(raw)?;
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let members = body["MemberList"].as_array().cloned().unwrap_or_default();
    let members: Vec<AttributeValue> = members
        .iter()
        .filter_map(|member| Some(AttributeValue::S(member["Member_Account"].as_str()?.to_owned())))
        .collect();
    // Record.
    let digest = hex::encode(Sha256::digest(raw));
    let group = format!("tencent-chat#{}#{}", query.first("SdkAppid").unwrap_or_default(), text("GroupId"));
    let put = client
        .put_item()
        .table_name(table)
        .item("group_key", AttributeValue::S(group))
        .item("change_key", AttributeValue::S(format!("{}#{}", body["EventTime"], &digest[..16])))
        .item("command", AttributeValue::S(text("CallbackCommand")))
        .item("operator", AttributeValue::S(text("Operator_Account")))
        .item("name", AttributeValue::S(text("Name")))
        .item("members", AttributeValue::L(members))
        .item("digest", AttributeValue::S(digest))
        .item("raw", AttributeValue::S(raw.to_owned()))
        .condition_expression("attribute_not_exists(group_key)");
    match put.send().await.map_err(|error| error.into_service_error()) {
        Err(error) if !error.is_conditional_check_failed_exception() => Err(error.into()),
        _ => Ok(()),
    }
}
