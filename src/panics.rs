//! Catches panics: a panic becomes `None`, so that the caller continues with the next step.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;

/// What a future comes to; `None` where it panics, which drops it and ends nothing else.
pub(crate) fn caught<T>(future: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
    // In a box, because the compiler gives up on futures that nest too deep. What a panic leaves behind is dropped with the
    // future, but for the circuit breaker's times, which may be any.
    AssertUnwindSafe(Box::pin(future)).catch_unwind().map(Result::ok)
}

/// What a function comes to; `None` where it panics.
pub(crate) fn unwound<T>(function: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(function)).ok()
}

#[cfg(test)]
mod tests {
    use super::{caught, unwound};

    #[tokio::test]
    async fn a_panic_is_caught_and_anything_else_is_not() {
        assert_eq!(caught(async { 1 }).await, Some(1));
        assert_eq!(caught(async { panic!("a defect") }).await, None::<()>);
        assert_eq!(unwound(|| 1), Some(1));
        assert_eq!(unwound(|| panic!("a defect")), None::<()>);
    }
}
