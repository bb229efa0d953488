//! What can go wrong, one enum per operation.

use std::io;

use process_hub_core::config::ConfigError;
use process_hub_core::id::{Addr, HubId, IdError, Kind};
use process_hub_core::request;
use process_hub_core::steering;
use process_hub_core::wire::CookieError;

use crate::codec::CodecError;
use crate::hooks::HookError;

/// The node was shut down, or has left: no operation is possible any more, and nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node was shut down: start a new one")]
pub struct Closed;

/// A node could not be started. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartNodeError {
    /// A field of the configuration is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No cookie was given.
    #[error("no cookie was given: without one, no node can prove to another that it belongs to the cluster")]
    NoCookie,
    /// A cookie is no secret.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// Its address cannot be listened at.
    #[error("cannot listen at {addr}: {source}; choose an address of this machine and a port that is free")]
    Listen {
        /// Which address.
        addr: Addr,
        /// What the transport says.
        source: io::Error,
    },
}

/// A hub could not be opened. The node is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenHubError {
    /// A field of its configuration is out of its range, or the node runs a hub of that name already.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The name of a kind is no name.
    #[error(transparent)]
    KindName(#[from] IdError),
    /// Two kinds have one name.
    #[error("the kind `{0}` was registered twice: give each its own name")]
    DuplicateKind(Kind),
    /// Two handlers have one id, or one cannot handle what it is registered for.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The node runs a hub of that name already.
    #[error("this node runs a hub `{0}` already: use that one, or choose another name")]
    AlreadyOpen(HubId),
    /// The node was shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A start was refused as a whole. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The hub says no.
    #[error(transparent)]
    Refused(#[from] request::StartError),
    /// The node was shut down. If that happened while the start was awaited, it may have been carried out in part.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A stop was refused as a whole. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// The hub says no.
    #[error(transparent)]
    Refused(#[from] request::StopError),
    /// The node was shut down. If that happened while the stop was awaited, it may have been carried out in part.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Steering was refused, did not come to its end, or cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SteerError {
    /// The hub says no; each variant says whether something changed.
    #[error(transparent)]
    Refused(#[from] steering::SteerError),
    /// The node was shut down. If that happened while an operation was awaited, it may go on without this node.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A cluster's size was not reset. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// The hub says no.
    #[error(transparent)]
    Refused(#[from] request::ResetError),
    /// The node was shut down. If that happened while the reset was awaited, it may have been carried out.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A hub was not left. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveHubError {
    /// The node says no.
    #[error(transparent)]
    Refused(#[from] request::LeaveHubError),
    /// The node was shut down. If that happened while the leave was awaited, the children were ended with the node.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A message could not be handed to a child, or no reply came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The hub or the child says no; each variant says whether the child may have handled the message.
    #[error(transparent)]
    Refused(#[from] request::CallError),
    /// The message could not be encoded (it was not sent), or the reply is not of the expected type (it was handled).
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The node was shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A recipe could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The child's name, or that of its kind, is no name.
    #[error(transparent)]
    Name(#[from] IdError),
    /// The arguments could not be encoded.
    #[error(transparent)]
    Args(#[from] CodecError),
}

/// A value and a kind's bytes could not be turned into each other. Nothing was sent.
#[cfg(feature = "json")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// This node does not know the kind.
    #[error("unknown kind `{kind}`: this node knows {known}")]
    UnknownKind {
        /// Which.
        kind: Kind,
        /// The kinds it does know, as a list for people.
        known: String,
    },
    /// The JSON does not fit the kind's type.
    #[error("kind `{kind}`: the {what} given do not fit: {problem}")]
    Mismatch {
        /// Which kind.
        kind: Kind,
        /// Arguments, message or reply.
        what: &'static str,
        /// Where and why.
        problem: String,
    },
    /// The kind's type and its bytes do not fit.
    #[error("kind `{kind}`: {source}")]
    Codec {
        /// Which kind.
        kind: Kind,
        /// Why.
        source: CodecError,
    },
}
