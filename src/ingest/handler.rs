//! The handler: an [`http::Request`] in, an [`http::Response`] out, whoever received it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;

use crate::domain::rejection::Rejection;
use crate::domain::request::{Deadline, Received, Request};
use crate::domain::time_budget::TimeBudget;
use crate::domain::timestamp::Timestamp;
use crate::ingest::receive::{Outcome, Receipt, Receiver};
use crate::ingest::report::{Ids, log};
use crate::panics::{caught, unwound};

impl Receiver {
    /// Answers one request, or what was received in place of one. A panic is answered too, and ends nothing else.
    pub async fn handle(&self, request: Result<http::Request<Bytes>, Rejection>) -> http::Response<String> {
        let (start, now) = (Instant::now(), Timestamp::now());
        let received = request.as_ref().ok().and_then(|request| request.extensions().get::<Received>());
        let request = request.as_ref().map_err(|rejection| *rejection);
        let request = request.and_then(|request| unwound(|| Request::of(request, now)).ok_or(Rejection::DEFECT));
        let waited = request.as_ref().map_or(Duration::ZERO, |request| request.received_at.until(now));
        let sender_timeout = self.platform().sender_timeout();
        let budget = match received.map_or(Deadline::None, |received| received.deadline) {
            Deadline::None => TimeBudget::new(start, sender_timeout, waited, None),
            Deadline::At(deadline) => TimeBudget::new(start, sender_timeout, waited, Some(deadline - start)),
            Deadline::Passed => TimeBudget::none(start, sender_timeout),
        };
        let receipt = match &request {
            Ok(request) => caught(self.receive(request, &budget)).await.unwrap_or(Receipt::of(Outcome::Defect)),
            Err(Rejection::DEFECT) => Receipt::of(Outcome::Defect),
            Err(rejection) => Receipt::of(Outcome::Rejected(*rejection)),
        };
        self.note(&receipt, received, start.elapsed());
        let rejection = receipt.outcome.rejection();
        // This sender retries only after a timeout. Delay the error answer until it has timed out.
        if self.platform().retries_after_timeout() && matches!(receipt.outcome, Outcome::NotStored | Outcome::Defect) {
            sleep(budget.until_given_up(Instant::now())).await;
        }
        let (request, outcome) = (request.as_ref().ok(), rejection.map_or(Ok(()), Err));
        unwound(|| self.platform().respond(request, outcome)).unwrap_or_else(|| self.platform().respond(None, outcome))
    }

    /// Logs and counts a request whose body was not read, by its head. Answer it without a body: `OpenIM` takes the fields of any
    /// JSON for those of a hook's answer.
    pub fn reject_head(&self, head: &http::Request<Bytes>, rejection: Rejection, duration: Duration) {
        let rejected = if self.vouches_for(head) { Outcome::RejectedKnownCaller } else { Outcome::Rejected };
        self.note(&Receipt::of(rejected(rejection)), head.extensions().get(), duration);
    }

    /// Logs and counts a callback.
    fn note(&self, receipt: &Receipt, received: Option<&Received>, duration: Duration) {
        let ids = Ids {
            request_id: received.map_or("", |received| &received.request_id),
            caller_request_id: received.and_then(|received| received.caller_request_id.as_deref()),
        };
        log(self.platform().name(), receipt, ids, duration);
        if let Some(observer) = self.observer() {
            observer.observe(self.platform().name(), receipt, duration);
        }
    }
}
