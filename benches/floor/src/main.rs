//! The floor: the least Rust program that reads an API Gateway event, puts one item and answers. It verifies, decodes and
//! records nothing; what the functions take more than it is what that costs.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let setting = |name| std::env::var(name);
    let http_client =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let credentials = Credentials::new(
        setting("AWS_ACCESS_KEY_ID")?,
        setting("AWS_SECRET_ACCESS_KEY")?,
        setting("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http_client)
        .region(Region::new(setting("AWS_REGION")?))
        .credentials_provider(credentials);
    config.set_endpoint_url(setting("AWS_ENDPOINT_URL_DYNAMODB").ok());
    let (client, table) = (&Client::from_conf(config.build()), &setting("TABLE_NAME")?);
    // Opens the connection before the first event, as the functions do.
    let _ = put(client, table, "warm-up", "").await;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let id = event.payload["requestContext"]["requestId"].as_str().unwrap_or_default();
        let body = event.payload["body"].as_str().unwrap_or_default();
        put(client, table, id, body).await?;
        Ok::<_, Error>(json!({ "statusCode": 200, "body": "{}" }))
    }))
    .await
}

async fn put(client: &Client, table: &str, id: &str, body: &str) -> Result<(), Error> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = client.put_item().table_name(table).item("group_key", text(id)).item("change_key", text(id));
    put.item("raw", text(body)).condition_expression("attribute_not_exists(group_key)").send().await?;
    Ok(())
}
