//! A stand-in for EventBridge: answers `PutEvents` as a test says, and keeps what it has accepted.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Collected, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::listener;

pub(crate) const BUS_ARN: &str = "arn:aws:events:us-east-1:000000000000:event-bus/groups";

/// The answer to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Each entry by itself: accepted, or an error code.
    Each(Vec<Option<&'static str>>),
    /// A status and an error code for all of it.
    Status(u16, &'static str),
    /// Accepted, and no answer.
    LostAnswer,
    /// Neither accepted nor answered.
    Hang,
    /// Not accepted, and an answer that is none.
    Garbage,
    /// Accepted, and an answer with one entry too few.
    Short,
}

impl Reply {
    /// Everything is accepted.
    pub(crate) fn accept(entries: &[Value]) -> Self {
        Self::Each(vec![None; entries.len()])
    }
}

type Plan = Box<dyn FnMut(&[Value]) -> Reply + Send>;

/// A bus.
pub(crate) struct TestBus {
    pub(crate) endpoint: String,
    state: Arc<State>,
}

struct State {
    plan: Mutex<Plan>,
    /// The entries that were accepted, in order.
    accepted: Mutex<Vec<Value>>,
    /// How many entries each request had.
    requests: Mutex<Vec<usize>>,
}

impl TestBus {
    /// One that answers as `plan` says for a request's entries.
    pub(crate) async fn start(plan: impl FnMut(&[Value]) -> Reply + Send + 'static) -> Self {
        Self::start_at("127.0.0.1", plan).await
    }

    /// The same, on a port of `host`.
    pub(crate) async fn start_at(host: &str, plan: impl FnMut(&[Value]) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let plan: Plan = Box::new(plan);
        let state = Arc::new(State { plan: Mutex::new(plan), accepted: Mutex::default(), requests: Mutex::default() });
        let of_all = Arc::clone(&state);
        let answer = service_fn(move |request| answer(Arc::clone(&of_all), request));
        tokio::spawn(listener::serve(listener, answer));
        Self { endpoint, state }
    }

    /// The entries that were accepted, in order.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        self.state.accepted.lock().unwrap().clone()
    }

    /// The details of the accepted entries, in order.
    pub(crate) fn details(&self) -> Vec<Value> {
        let detail = |entry: &Value| serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
        self.accepted().iter().map(detail).collect()
    }

    /// How many entries each request had.
    pub(crate) fn requests(&self) -> Vec<usize> {
        self.state.requests.lock().unwrap().clone()
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.headers()["x-amz-target"], "AWSEvents.PutEvents");
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let entries = body["Entries"].as_array().unwrap();
    assert!((1..=10).contains(&entries.len()), "EventBridge takes 1 to 10 entries");
    assert!(entries.iter().all(|entry| entry["EventBusName"] == BUS_ARN));
    state.requests.lock().unwrap().push(entries.len());
    let reply = (state.plan.lock().unwrap())(entries);
    let results = match &reply {
        Reply::Each(each) => each.clone(),
        Reply::LostAnswer | Reply::Short => vec![None; entries.len()],
        Reply::Status(..) | Reply::Hang | Reply::Garbage => Vec::new(),
    };
    let accepted = entries.iter().zip(&results).filter(|(_, result)| result.is_none());
    state.accepted.lock().unwrap().extend(accepted.map(|(entry, _)| entry.clone()));
    let result = |result: Option<&str>| match result {
        None => json!({ "EventId": "11710aed-b79e-4468-a20b-bb3c0c3b4860" }),
        Some(code) => json!({ "ErrorCode": code, "ErrorMessage": "no" }),
    };
    let failed = results.iter().flatten().count();
    let mut results: Vec<Value> = results.iter().copied().map(result).collect();
    if matches!(reply, Reply::Short) {
        results.pop();
    }
    let (status, body) = match reply {
        Reply::LostAnswer | Reply::Hang => std::future::pending().await,
        Reply::Status(status, code) => (status, json!({ "__type": code, "message": "no" }).to_string()),
        Reply::Garbage => (200, "<html>no</html>".to_owned()),
        Reply::Each(_) | Reply::Short => (200, json!({ "FailedEntryCount": failed, "Entries": results }).to_string()),
    };
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::from(body)).unwrap())
}
