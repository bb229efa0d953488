//! What a program holds: a node, its hubs, and the operations on them.

mod hub;
mod lookup;
mod node;
mod pending;
mod start;
mod steer;
mod stop;

pub use hub::{Hub, HubBuilder, ListScope};
pub use lookup::{ChildList, ChildLookup};
pub use node::NodeHandle;
pub use pending::Pending;
pub use start::StartChildren;
pub use stop::StopChildren;

#[cfg(test)]
pub(crate) use hub::HubShared;
pub(crate) use hub::HubSlot;
pub(crate) use node::NodeShared;

use process_hub_core::id::HubId;
use process_hub_core::request::{Reply, Request};
use tokio::sync::{mpsc, oneshot};

use crate::error::Closed;
use crate::hooks::{Change, HookError};

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Something for the core.
    Request { request: Request, answer: oneshot::Sender<Reply> },
    /// A new hub on this node.
    Open { hub: Hub, answer: oneshot::Sender<Result<(), crate::error::OpenHubError>> },
    /// Other handlers of hook events.
    Hooks { hub: HubId, change: Change, answer: oneshot::Sender<Result<(), HookError>> },
    /// End everything at once.
    Shutdown,
}

/// Sends a request and waits for its one answer. Once sent, dropping the future changes nothing for the operation.
pub(crate) async fn ask(commands: &mpsc::Sender<Command>, request: Request) -> Result<Reply, Closed> {
    submit(commands, request).await?.await.map_err(|_| Closed)
}

/// Sends a request; its one answer comes through what is returned.
pub(crate) async fn submit(
    commands: &mpsc::Sender<Command>,
    request: Request,
) -> Result<oneshot::Receiver<Reply>, Closed> {
    let (answer, reply) = oneshot::channel();
    commands.send(Command::Request { request, answer }).await.map_err(|_| Closed)?;
    Ok(reply)
}
