//! Publishing: each new record as an event on an EventBridge bus.
//!
//! [`stream`] reads the records of the table's stream; [`event`] makes an event of a change; [`sender`] sends events so that the order
//! of writing within a group is kept at the call; [`bus`] and [`dead_letters`] are EventBridge and SQS behind it;
//! [`publisher`] takes a batch of the stream through all of them. Knows how a change is told ([`reading`](crate::reading)) and the
//! table; neither Lambda nor how callbacks are received.

pub mod bus;
pub mod dead_letters;
pub mod event;
pub mod publisher;
pub mod sender;
pub mod stream;
