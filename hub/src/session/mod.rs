//! Links to other nodes: opened or accepted, authenticated, then framed messages both ways.
//!
//! A link is a task that reads and a task that writes. The driver alone decides which links stay; what happens on
//! them reaches it as [`News`], in order for each link.

mod accept;
mod dial;
mod gate;
mod handshake;
mod link;
pub(crate) mod outbox;
mod wait;

use std::sync::Arc;

use process_hub_core::id::{Addr, Boot, Member};
use process_hub_core::{DialFailure, Message};
use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot};

use crate::session::outbox::Outbox;

pub(crate) use crate::session::accept::{Links, Stop, accept};
pub(crate) use crate::session::dial::dial;
pub(crate) use crate::session::handshake::Credentials;

/// One link of this node, of all it ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// What the links tell the driver.
#[derive(Debug)]
pub(crate) enum News {
    /// A link is authenticated and waits for the driver's word whether it is to be kept.
    Opened(Opened),
    /// Messages arrived.
    Messages { link: LinkId, from: Member, messages: Vec<Message> },
    /// The congested outbox of the link to this member has come below its low mark.
    Drained { link: LinkId, member: Member },
    /// The link is closed.
    Lost { link: LinkId, member: Member, why: SmolStr },
    /// A dial gave no link.
    Failed { addr: Addr, reason: DialFailure },
    /// No more connections are accepted.
    NotListening,
}

/// An authenticated link.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) link: LinkId,
    pub(crate) member: Member,
    /// Where the member can be reached.
    pub(crate) addr: Addr,
    /// The highest boot the member knows of our name.
    pub(crate) known: Option<Boot>,
    /// The address that we dialled; `None` if the member dialled us.
    pub(crate) dialled: Option<Addr>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) keep: oneshot::Sender<bool>,
}

/// To the driver from the links: bounded, so that a driver that is behind slows the peers down.
pub(crate) type NewsSender = mpsc::Sender<News>;
