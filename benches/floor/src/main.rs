//! The floor: the least Rust program that reads an API Gateway event, puts one item and answers. It verifies, decodes and
//! records nothing; what the functions take more than it is what that costs.

use floor::Table;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let table = &Table::from_env().await?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let id = event.payload["requestContext"]["requestId"].as_str().unwrap_or_default();
        let body = event.payload["body"].as_str().unwrap_or_default();
        table.put(id, body).await?;
        Ok::<_, Error>(json!({ "statusCode": 200, "body": "{}" }))
    }))
    .await
}
