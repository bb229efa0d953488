//! What a user writes: a child, as a typed server with asynchronous callbacks.

use std::fmt;
use std::future::Future;

use process_hub_core::StopReason;
use process_hub_core::spec::Role;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;

use crate::context::Context;
use crate::state::State;

/// A sort of child: a value with a mailbox, started and stopped by the hub, wherever in the cluster it belongs.
///
/// Messages are handled one at a time and in order. A panic in a callback ends the instance as an error and nothing
/// else. Callbacks may be written as `async fn`; what they await must be `Send`.
///
/// ```
/// use process_hub::{Child, ChildError, Context};
/// use serde::{Deserialize, Serialize};
///
/// struct Counter(i64);
///
/// #[derive(Serialize, Deserialize)]
/// enum Ask {
///     Add(i64),
///     Get,
/// }
///
/// impl Child for Counter {
///     const KIND: &'static str = "counter";
///     type Args = i64;
///     type Message = Ask;
///     type Reply = i64;
///
///     async fn start(args: i64, _: &mut Context<Self>) -> Result<Self, ChildError> {
///         Ok(Counter(args))
///     }
///
///     async fn handle(&mut self, message: Ask, _: &mut Context<Self>) -> i64 {
///         match message {
///             Ask::Add(n) => self.0 += n,
///             Ask::Get => {}
///         }
///         self.0
///     }
/// }
/// ```
pub trait Child: Sized + Send + 'static {
    /// The name that recipes use for this sort; the same on every node, 1 to 128 bytes.
    const KIND: &'static str;
    /// What an instance is started with.
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// What it can be told.
    type Message: Serialize + DeserializeOwned + Send + 'static;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// Brings an instance up. It serves, and can be found, as soon as this returns.
    ///
    /// # Errors
    /// Whatever keeps it from serving; the caller of an awaited start reads it.
    fn start(args: Self::Args, ctx: &mut Context<Self>) -> impl Future<Output = Result<Self, ChildError>> + Send;

    /// Handles one message. The reply to a cast, or to a message of its own timers, is dropped.
    fn handle(&mut self, message: Self::Message, ctx: &mut Context<Self>) -> impl Future<Output = Self::Reply> + Send;

    /// Its part has changed, or it is told its part as it comes up (where the hub's redundancy says so): `ctx.role()` says
    /// the same from here on, and `ctx.token()` is a new one where it was promoted.
    fn role_changed(&mut self, role: Role, ctx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (role, ctx);
        async {}
    }

    /// Another copy of the child is about to take its place: says what that one is to go on from. After this call it
    /// handles nothing more, neither messages nor its timers: messages that wait, and those that come, follow to the
    /// successor. Called only where the hub's migration hands states over. Default: it has no state to hand over, and its
    /// successor starts afresh from its arguments.
    ///
    /// It must stay able to go on: where the move is called off, it serves again as if it had not been asked, and may be
    /// asked anew. If the time runs out while this waits for something, the future is dropped there.
    ///
    /// # Errors
    /// Whatever keeps it from handing over just now: it goes on serving where it is, and is asked again later.
    fn prepare_handover(
        &mut self,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Option<State>, ChildError>> + Send {
        let _ = ctx;
        async { Ok(None) }
    }

    /// It is the successor: goes on from what the other copy said, after its own start and before any message. Default: it
    /// refuses, since its kind hands nothing over.
    ///
    /// # Errors
    /// Whatever keeps it from that: the other copy goes on serving.
    fn accept_handover(
        &mut self,
        state: State,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), ChildError>> + Send {
        let _ = (state, ctx);
        async { Err(ChildError::new(format!("kind `{}` takes no state over", Self::KIND))) }
    }

    /// A cut has healed, and of two copies this one stays: takes in what the other had done meanwhile, as that one said by
    /// [`Child::prepare_handover`]. At most once for each copy that lost; messages are handled before and after. Default:
    /// nothing, what the other had done is lost.
    ///
    /// # Errors
    /// Whatever keeps it from that; it is told as a hook event, and what the other had done is lost.
    fn merge(&mut self, other: State, ctx: &mut Context<Self>) -> impl Future<Output = Result<(), ChildError>> + Send {
        let _ = (other, ctx);
        async { Ok(()) }
    }

    /// The last callback, unless one panicked or the time to stop ran out. Messages that still wait are not handled.
    fn stop(&mut self, cause: StopCause, ctx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (cause, ctx);
        async {}
    }
}

/// Why an instance ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopCause {
    /// The hub wants it to.
    Told(StopReason),
    /// It called [`Context::stop`].
    Done,
    /// It called [`Context::fail`].
    Failed(ChildError),
}

/// A failure of a child, in its own words. Any error turns into one with `?`.
#[derive(Clone, PartialEq, Eq)]
pub struct ChildError(SmolStr);

impl ChildError {
    /// The longest text that travels, in bytes; the rest is cut off.
    pub const MAX_LEN: usize = 1_024;

    /// A failure with this text.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(shortened(text.as_ref()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_text(self) -> SmolStr {
        self.0
    }
}

/// As much of a text as may travel in place of a reply.
pub(crate) fn shortened(text: &str) -> SmolStr {
    SmolStr::new(&text[..text.floor_char_boundary(ChildError::MAX_LEN)])
}

impl<E: std::error::Error> From<E> for ChildError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
