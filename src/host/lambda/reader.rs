//! The function that serves the ledger's API: hands the router the requests that API Gateway sends.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::IntoResponse;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use tower::ServiceExt;

use crate::domain::rejection::Rejection;
use crate::domain::timestamp::Timestamp;
use crate::host::lambda::event::{Event, response};
use crate::host::lambda::{ended, started};
use crate::host::{logging, setup};
use crate::panics::unwound;
use crate::reading::api::router;
use crate::reading::problem::Problem;
use crate::settings::Settings;

/// Runs the function until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run() -> ExitCode {
    logging::start(None);
    let Some(reader) = started(setup::reader(&Settings::from_env())) else { return ExitCode::FAILURE };
    let router = router(Arc::new(reader));
    let handler = service_fn(|event: LambdaEvent<Event>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(invoke(router, event.payload).await) }
    });
    ended(lambda_runtime::run(handler).await)
}

/// Answers one event.
pub async fn invoke(router: Router, event: Event) -> ApiGatewayV2httpResponse {
    let request = unwound(|| event.into_request(Timestamp::now(), None)).unwrap_or(Err(Rejection::DEFECT));
    let answer = match request {
        // A router does not fail.
        Ok(request) => match router.oneshot(request.map(Body::from)).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Err(rejection) => Problem::new(rejection.status(), rejection.sentence()).into_response(),
    };
    let (parts, body) = answer.into_parts();
    // It is in memory already, so that reading it does not fail.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // As JSON within JSON a page could be twice as long as Lambda takes.
    let mut response = response(http::Response::from_parts(parts, BASE64_STANDARD.encode(body)));
    response.is_base64_encoded = true;
    response
}
