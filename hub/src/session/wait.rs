//! Limits on how long something may take.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWrite;

use crate::runtime::Runtime;

/// What `future` gives, or `None` if it takes longer than `limit`.
pub(crate) async fn within<R: Runtime, F: Future>(runtime: &R, limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = pin!(runtime.sleep_until(runtime.now() + limit));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// What `future` gives, or `None` if `cut` comes first.
pub(crate) async fn unless<F: Future>(cut: impl Future, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut cut = pin!(cut);
    poll_fn(|cx| match cut.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(cx).map(Some),
    })
    .await
}

/// Writes and flushes all of `bytes`.
///
/// # Errors
/// Those of the stream, and `TimedOut` when a single write makes no headway for `limit`.
pub(crate) async fn write_all<R: Runtime, W: AsyncWrite + Unpin>(
    runtime: &R,
    limit: Duration,
    stream: &mut W,
    bytes: &[u8],
) -> io::Result<()> {
    let mut written = 0;
    // Most writes are done at once: the sleep is made only for one that is not.
    let mut sleep = None;
    poll_fn(|cx| {
        loop {
            let step = match bytes.get(written..) {
                Some(rest) if !rest.is_empty() => Pin::new(&mut *stream).poll_write(cx, rest)?,
                _ => match Pin::new(&mut *stream).poll_flush(cx)? {
                    Poll::Ready(()) => return Poll::Ready(Ok(())),
                    Poll::Pending => Poll::Pending,
                },
            };
            match step {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => {
                    written += count;
                    sleep = None;
                }
                Poll::Pending => {
                    let sleep = sleep.get_or_insert_with(|| Box::pin(runtime.sleep_until(runtime.now() + limit)));
                    return sleep.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    })
    .await
}
