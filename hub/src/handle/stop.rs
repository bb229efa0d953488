//! Stopping children.

use std::future::IntoFuture;
use std::time::Duration;

use process_hub_core::id::ChildId;
use process_hub_core::request::{Reply, Request, StopOptions, StopOutcome, StopResult};

use crate::error::{Closed, StopError};
use crate::handle::{Hub, ask};
use crate::runtime::BoxFuture;

/// A stop in the making: await it for the outcome, or [`StopChildren::initiate`] it. Nothing happens before either.
#[derive(Debug)]
#[must_use = "nothing is stopped until this is awaited or initiated"]
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
        self.send().await.map(drop)
    }

    async fn send(self) -> Result<StopOutcome, StopError> {
        let Self { hub, ids, options } = self;
        let request = Request::Stop { hub: hub.id().clone(), ids, options };
        match ask(hub.commands(), request).await? {
            Reply::Stop(outcome) => Ok(outcome?),
            _ => Err(Closed.into()),
        }
    }
}

impl IntoFuture for StopChildren {
    type Output = Result<StopResult, StopError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.send().await? {
                StopOutcome::Done(result) => Ok(result),
                StopOutcome::Initiated => Err(Closed.into()),
            }
        })
    }
}
