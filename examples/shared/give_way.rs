//! A turn for the other tasks of a thread, on any runtime; tokio has `yield_now` for that.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::task::Poll;

/// Goes behind the tasks that are ready by now. A client that sends requests without a pause finds each receive and each
/// send done at once: without this, its task would never let another one run.
pub(crate) async fn give_way() {
    let mut has_given = false;
    poll_fn(|context| {
        if has_given {
            return Poll::Ready(());
        }
        has_given = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
