//! Catches panics: a panic becomes `None`, so that the caller continues with the next step.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;

/// The future's output; `None` if it panics.
pub(crate) fn caught<T>(future: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
    // Boxed, because the compiler gives up on futures that nest too deep. Unwind safe: only the circuit breaker outlives the
    // panic, and any of its states is valid.
    AssertUnwindSafe(Box::pin(future)).catch_unwind().map(Result::ok)
}

/// The function's result; `None` if it panics.
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
