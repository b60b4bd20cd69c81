//! A service that only records which of its actions it is asked for.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::net::TcpListener;

use crate::listener;

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
        let answer = service_fn(move |request: Request<Incoming>| {
            let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
            seen.lock().unwrap().insert(target.expect("a request names no action"));
            let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
            std::future::ready(Ok::<_, Infallible>(response.body(Full::<Bytes>::from("{}")).unwrap()))
        });
        tokio::spawn(listener::serve(listener, answer));
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
