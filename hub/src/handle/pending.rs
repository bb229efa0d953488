//! An operation under way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use process_hub_core::request::Reply;
use tokio::sync::oneshot;

use crate::error::Closed;

/// The outcome of an operation that is under way, to be awaited whenever it suits. Dropping it cancels the wait, not
/// the operation.
#[derive(Debug)]
#[must_use = "the outcome is lost unless this is awaited"]
pub struct Pending<T, E> {
    reply: oneshot::Receiver<Reply>,
    read: fn(Reply) -> Result<T, E>,
}

impl<T, E> Pending<T, E> {
    pub(crate) fn new(reply: oneshot::Receiver<Reply>, read: fn(Reply) -> Result<T, E>) -> Self {
        Self { reply, read }
    }
}

impl<T, E: From<Closed>> Future for Pending<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let read = self.read;
        Pin::new(&mut self.reply).poll(cx).map(|reply| read(reply.map_err(|_| Closed)?))
    }
}
