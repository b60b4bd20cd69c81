//! The floor on `lambda_http`, as its users would write it: puts the same item. The difference from the floor is what
//! `lambda_http` costs, through which the functions receive too.

use floor::Table;
use lambda_http::request::RequestContext;
use lambda_http::{Error, Request, RequestExt, Response, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let table = &Table::from_env().await?;
    lambda_http::run(service_fn(async |request: Request| {
        let Some(RequestContext::ApiGatewayV2(context)) = request.request_context_ref() else {
            return Err("no request of an HTTP API".into());
        };
        let id = context.request_id.as_deref().unwrap_or_default();
        table.put(id, str::from_utf8(request.body())?).await?;
        Ok::<_, Error>(Response::new("{}".to_owned()))
    }))
    .await
}
