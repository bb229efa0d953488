//! Starting children.

use std::future::IntoFuture;
use std::time::Duration;

use process_hub_core::id::{ChildId, NodeId};
use process_hub_core::request::{OnFailure, Reply, Request, StartOptions, StartOutcome, StartResult};
use process_hub_core::spec::{ChildSpec, Metadata};

use crate::error::{Closed, StartError};
use crate::handle::{Hub, Pending, ask, submit};
use crate::runtime::BoxFuture;

/// A start in the making: await it for the outcome, [`StartChildren::submit`] it to await the outcome later, or
/// [`StartChildren::initiate`] it without one. Nothing happens before.
#[derive(Debug)]
#[must_use = "nothing is started until this is awaited, submitted or initiated"]
pub struct StartChildren {
    hub: Hub,
    children: Vec<ChildSpec>,
    options: StartOptions,
    silent: bool,
}

impl StartChildren {
    pub(crate) fn new(hub: Hub, children: Vec<ChildSpec>) -> Self {
        Self { hub, children, options: StartOptions::default(), silent: false }
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

    /// Under [`Guided`](process_hub_core::config::Distribution::Guided): the nodes of each child, first owner first, as
    /// many as copies of it are to run. It must name every child of the batch; those that it names beside them are passed
    /// over. A node need not be there yet: its children wait for it. Default: none, as any other distribution wants it.
    ///
    /// A mapping that does not fit refuses the whole batch with `MissingChildMapping`, `InvalidChildMapping`,
    /// `ChildMappingMismatch` or `ChildReplicationMismatch`, in [`StartError::Refused`].
    pub fn child_mapping<N>(mut self, mapping: impl IntoIterator<Item = (ChildId, N)>) -> Self
    where
        N: IntoIterator<Item = NodeId>,
    {
        let nodes = |(id, nodes): (ChildId, N)| (id, nodes.into_iter().collect());
        self.options.child_mapping = Some(mapping.into_iter().map(nodes).collect());
        self
    }

    /// One deadline for the whole start. Default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Leaves children that do not start out of the log. Default: an awaited start logs them. (They are told as hook
    /// events and in the result all the same.)
    pub fn disable_logging(mut self, disable: bool) -> Self {
        self.silent = disable;
        self
    }

    /// Declares the children and returns without waiting until they run.
    ///
    /// # Errors
    /// When the batch is refused as a whole; nothing was started then.
    pub async fn initiate(mut self) -> Result<(), StartError> {
        self.options.wait = false;
        let (hub, request, _) = self.request();
        match ask(hub.commands(), request).await? {
            Reply::Start(outcome) => Ok(outcome.map(drop)?),
            _ => Err(Closed.into()),
        }
    }

    /// Hands the start over and returns at once; what comes of it, a refusal included, is the outcome of what is
    /// returned.
    ///
    /// # Errors
    /// When the node was shut down.
    pub async fn submit(self) -> Result<Pending<StartResult, StartError>, Closed> {
        let (hub, request, _) = self.request();
        Ok(Pending::new(submit(hub.commands(), request).await?, outcome))
    }

    fn request(self) -> (Hub, Request, bool) {
        let Self { hub, children, options, silent } = self;
        let id = hub.id().clone();
        (hub, Request::Start { hub: id, children, options }, silent)
    }
}

fn outcome(reply: Reply) -> Result<StartResult, StartError> {
    match reply {
        Reply::Start(Ok(StartOutcome::Done(result))) => Ok(result),
        Reply::Start(Err(error)) => Err(error.into()),
        _ => Err(Closed.into()),
    }
}

impl IntoFuture for StartChildren {
    type Output = Result<StartResult, StartError>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (hub, request, silent) = self.request();
            let result = outcome(ask(hub.commands(), request).await?)?;
            if !silent {
                for failure in &result.errors {
                    tracing::warn!(hub = %hub.id(), id = %failure.id, reason = %failure.reason, "a child was not started");
                }
            }
            Ok(result)
        })
    }
}
