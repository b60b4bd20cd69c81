//! A service that only records which of its actions it is asked for.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A stand-in for DynamoDB, EventBridge or SQS.
pub(crate) struct Recorder {
    pub(crate) endpoint: String,
    targets: Arc<Mutex<BTreeSet<String>>>,
}

impl Recorder {
    /// One that answers each request with this status and an empty JSON object.
    pub(crate) async fn start(status: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let targets = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&targets);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let answer = service_fn(move |request: Request<Incoming>| {
                    let target =
                        request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
                    seen.lock().unwrap().insert(target.expect("a request names no action"));
                    let response =
                        Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
                    std::future::ready(Ok::<_, Infallible>(response.body(Full::<Bytes>::from("{}")).unwrap()))
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { endpoint, targets }
    }

    /// The actions that it was asked for, as a role names them.
    pub(crate) fn actions(&self) -> BTreeSet<String> {
        let action = |target: &String| {
            let (version, action) = target.split_once('.').unwrap();
            let service = match version {
                "AWSEvents" => "events",
                "DynamoDB_20120810" => "dynamodb",
                "AmazonSQS" => "sqs",
                other => panic!("{other} is no service of ours"),
            };
            format!("{service}:{action}")
        };
        self.targets.lock().unwrap().iter().map(action).collect()
    }
}
