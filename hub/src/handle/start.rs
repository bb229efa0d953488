//! Starting children.

use std::future::IntoFuture;
use std::time::Duration;

use process_hub_core::id::ChildId;
use process_hub_core::request::{OnFailure, Reply, Request, StartOptions, StartOutcome, StartResult};
use process_hub_core::spec::{ChildSpec, Metadata};

use crate::error::{Closed, StartError};
use crate::handle::{Hub, ask};
use crate::runtime::BoxFuture;

/// A start in the making: await it for the outcome, or [`StartChildren::initiate`] it. Nothing happens before either.
#[derive(Debug)]
#[must_use = "nothing is started until this is awaited or initiated"]
pub struct StartChildren {
    hub: Hub,
    children: Vec<ChildSpec>,
    options: StartOptions,
}

impl StartChildren {
    pub(crate) fn new(hub: Hub, children: Vec<ChildSpec>) -> Self {
        Self { hub, children, options: StartOptions::default() }
    }

    /// Attaches this metadata to every child of the batch that has none of its own.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        for child in self.children.iter_mut().filter(|child| child.metadata.is_empty()) {
            child.metadata = metadata.clone();
        }
        self
    }

    /// Attaches this metadata to one child of the batch, in place of any other.
    pub fn child_metadata(mut self, id: &ChildId, metadata: Metadata) -> Self {
        if let Some(child) = self.children.iter_mut().find(|child| child.id == *id) {
            child.metadata = metadata;
        }
        self
    }

    /// What a failure means for the rest of the batch. Default: [`OnFailure::Continue`].
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.options.on_failure = on_failure;
        self
    }

    /// Whether to refuse the whole batch if any id is declared already. Default: yes.
    pub fn check_existing(mut self, check: bool) -> Self {
        self.options.check_existing = check;
        self
    }

    /// One deadline for the whole start. Default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Declares the children and returns without waiting until they run.
    ///
    /// # Errors
    /// When the batch is refused as a whole; nothing was started then.
    pub async fn initiate(mut self) -> Result<(), StartError> {
        self.options.wait = false;
        self.send().await.map(drop)
    }

    async fn send(self) -> Result<StartOutcome, StartError> {
        let Self { hub, children, options } = self;
        let request = Request::Start { hub: hub.id().clone(), children, options };
        match ask(hub.commands(), request).await? {
            Reply::Start(outcome) => Ok(outcome?),
            _ => Err(Closed.into()),
        }
    }
}

impl IntoFuture for StartChildren {
    type Output = Result<StartResult, StartError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.send().await? {
                StartOutcome::Done(result) => Ok(result),
                StartOutcome::Initiated => Err(Closed.into()),
            }
        })
    }
}
