//! A turn for the other tasks of a thread, on any runtime; tokio has `yield_now` for that.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::task::Poll;

/// Goes behind the tasks that are ready by now. A client that sends requests without a pause may find each receive and
/// each send done at once, as it does on Windows: without this, its task would never let another one run.
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use compio::runtime::{Runtime, spawn};

    use super::give_way;

    #[test]
    fn a_task_that_always_has_something_to_do_lets_another_one_run() {
        let done = Rc::new(Cell::new(false));
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let other = Rc::clone(&done);
            spawn(async move { other.set(true) }).detach();
            while !done.get() {
                give_way().await;
            }
        });
    }
}
