//! What every form of the floor does of an event: puts one item with the SDK, over a connection that is open before the first.

use std::env;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::Error;

/// The table that the items are put into.
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// The table that the environment names. Opens the connection, as the functions do.
    ///
    /// # Errors
    ///
    /// If a variable is missing.
    pub async fn from_env() -> Result<Self, Error> {
        let credentials = Credentials::new(
            env::var("AWS_ACCESS_KEY_ID")?,
            env::var("AWS_SECRET_ACCESS_KEY")?,
            env::var("AWS_SESSION_TOKEN").ok(),
            None,
            "environment",
        );
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
            .region(Region::new(env::var("AWS_REGION")?))
            .credentials_provider(credentials);
        config.set_endpoint_url(env::var("AWS_ENDPOINT_URL_DYNAMODB").ok());
        let table = Self { client: Client::from_conf(config.build()), name: env::var("TABLE_NAME")? };
        let _ = table.put("warm-up", "").await;
        Ok(table)
    }

    /// Puts an item, unless there is one with its key.
    ///
    /// # Errors
    ///
    /// If DynamoDB does not take it.
    pub async fn put(&self, id: &str, body: &str) -> Result<(), Error> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put =
            self.client.put_item().table_name(&self.name).item("group_key", text(id)).item("change_key", text(id));
        put.item("raw", text(body)).condition_expression("attribute_not_exists(group_key)").send().await?;
        Ok(())
    }
}
