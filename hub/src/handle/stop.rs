//! Stopping children.

use std::future::IntoFuture;
use std::time::Duration;

use process_hub_core::id::ChildId;
use process_hub_core::request::{Reply, Request, StopOptions, StopOutcome, StopResult};

use crate::error::{Closed, StopError};
use crate::handle::{Hub, Pending, ask, submit};
use crate::runtime::BoxFuture;

/// A stop in the making: await it for the outcome, [`StopChildren::submit`] it to await the outcome later, or
/// [`StopChildren::initiate`] it without one. Nothing happens before.
#[derive(Debug)]
#[must_use = "nothing is stopped until this is awaited, submitted or initiated"]
pub struct StopChildren {
    hub: Hub,
    ids: Vec<ChildId>,
    options: StopOptions,
}

impl StopChildren {
    pub(crate) fn new(hub: Hub, ids: Vec<ChildId>) -> Self {
        Self { hub, ids, options: StopOptions::default() }
    }

    /// One deadline for the whole stop. Default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Removes the children from the declared set and returns without waiting until they have ended.
    ///
    /// # Errors
    /// When the stop is refused as a whole; nothing was stopped then.
    pub async fn initiate(mut self) -> Result<(), StopError> {
        self.options.wait = false;
        let (hub, request) = self.request();
        match ask(hub.commands(), request).await? {
            Reply::Stop(outcome) => Ok(outcome.map(drop)?),
            _ => Err(Closed.into()),
        }
    }

    /// Hands the stop over and returns at once; what comes of it, a refusal included, is the outcome of what is
    /// returned.
    ///
    /// # Errors
    /// When the node was shut down.
    pub async fn submit(self) -> Result<Pending<StopResult, StopError>, Closed> {
        let (hub, request) = self.request();
        Ok(Pending::new(submit(hub.commands(), request).await?, outcome))
    }

    fn request(self) -> (Hub, Request) {
        let Self { hub, ids, options } = self;
        let id = hub.id().clone();
        (hub, Request::Stop { hub: id, ids, options })
    }
}

fn outcome(reply: Reply) -> Result<StopResult, StopError> {
    match reply {
        Reply::Stop(Ok(StopOutcome::Done(result))) => Ok(result),
        Reply::Stop(Err(error)) => Err(error.into()),
        _ => Err(Closed.into()),
    }
}

impl IntoFuture for StopChildren {
    type Output = Result<StopResult, StopError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (hub, request) = self.request();
            outcome(ask(hub.commands(), request).await?)
        })
    }
}
