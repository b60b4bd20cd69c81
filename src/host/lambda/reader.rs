//! The function that serves the ledger's API: hands the router the requests that API Gateway sends.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use tower::ServiceExt;
use tracing::error;

use crate::domain::timestamp::Timestamp;
use crate::host::lambda::event::Event;
use crate::host::{logging, setup};
use crate::reading::api::router;
use crate::reading::problem::Problem;
use crate::settings::Settings;

/// Runs the function until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run() -> ExitCode {
    logging::start();
    let reader = match setup::reader(&Settings::from_env()) {
        Ok(reader) => reader,
        Err(error) => {
            error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let router = router(Arc::new(reader));
    let handler = service_fn(|event: LambdaEvent<Event>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(invoke(router, event.payload).await) }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// Answers one event.
pub async fn invoke(router: Router, event: Event) -> ApiGatewayV2httpResponse {
    let response = match event.into_request(Timestamp::now(), None) {
        // A router does not fail.
        Ok(request) => match router.oneshot(request.map(Body::from)).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Err(rejection) => {
            let status = http::StatusCode::BAD_REQUEST;
            axum::response::IntoResponse::into_response(Problem::new(status, rejection.sentence()))
        }
    };
    let (parts, body) = response.into_parts();
    // It is in memory already, so that reading it does not fail.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(parts.status.as_u16());
    response.headers = parts.headers;
    // As JSON within JSON a page could be twice as long as Lambda takes.
    response.body = Some(lambda_http::Body::Text(BASE64_STANDARD.encode(body)));
    response.is_base64_encoded = true;
    response
}
