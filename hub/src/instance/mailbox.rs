//! The mailbox of one instance: bounded, in order, and no larger than what is in it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use process_hub_core::id::Token;
use process_hub_core::message::StateUse;
use process_hub_core::spec::Role;
use process_hub_core::{CallKey, Queued, StopReason, Time};

/// One message on its way to a child.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) payload: Bytes,
    pub(crate) call: Option<CallKey>,
}

/// What an instance's task is to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// End: before anything that still waits.
    Stop(StopReason),
    /// Handle messages from here on, and hold this token.
    Serve(Token),
    /// Tell the child its part, and hold this token from here on.
    Role(Role, Token),
    /// Prepare its state for a successor, and handle no more messages.
    Freeze(Freeze),
    /// Take the state of another copy.
    Take(Take),
    /// Handle a message.
    Message(Envelope),
    /// Drop everything.
    Killed,
}

/// To prepare its state.
#[derive(Debug)]
pub(crate) struct Freeze {
    pub(crate) attempt: u32,
    pub(crate) until: Time,
}

/// To take a state.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) state: Bytes,
    pub(crate) why: StateUse,
    pub(crate) until: Time,
}

/// Written by the driver, read by the instance's task. A queue of the runtime's own would reserve room for messages
/// that most children never get; with a hundred thousand children that room is what counts.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Envelope>,
    stop: Option<StopReason>,
    // Most children are never told any of it, so they pay a pointer for it.
    told: Option<Box<Told>>,
    killed: bool,
    // Set only while the task waits for what comes next, or (for the kill) for a callback.
    waker: Option<Waker>,
    waits_for: WaitsFor,
}

/// What wakes the task; each of these does what those behind it do, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum WaitsFor {
    /// A message.
    #[default]
    Message,
    /// Something that it is told: it handles no messages at present.
    Order,
    /// Only the kill: a callback is under way.
    Kill,
}

/// What the driver has told and the task has not heard. Of two of a sort the last counts: what was told before it is over.
#[derive(Debug, Default)]
struct Told {
    serve: Option<Token>,
    role: Option<(Role, Token)>,
    freeze: Option<Freeze>,
    take: Option<Take>,
}

impl Mailbox {
    /// Puts a message at the end; hands it back when `capacity` messages wait already.
    pub(crate) fn push(&self, envelope: Envelope, capacity: usize) -> Result<(), Envelope> {
        let mut state = self.state();
        if state.queue.len() >= capacity {
            return Err(envelope);
        }
        state.queue.push_back(envelope);
        wake(state, WaitsFor::Message);
        Ok(())
    }

    /// Has the instance end after the present callback.
    pub(crate) fn stop(&self, why: StopReason) {
        let mut state = self.state();
        state.stop.get_or_insert(why);
        wake(state, WaitsFor::Order);
    }

    /// Has the instance told its part, before any message that still waits.
    pub(crate) fn set_role(&self, role: Role, token: Token) {
        self.tell(|told| told.role = Some((role, token)));
    }

    /// Has the instance prepare its state after the present callback, and handle no more messages.
    pub(crate) fn freeze(&self, freeze: Freeze) {
        self.tell(|told| told.freeze = Some(freeze));
    }

    /// Has the instance take the state of another copy after the present callback.
    pub(crate) fn take(&self, take: Take) {
        self.tell(|told| told.take = Some(take));
    }

    /// Has the instance handle messages, whatever kept it from that.
    pub(crate) fn serve(&self, token: Token) {
        self.tell(|told| {
            told.freeze = None;
            told.serve = Some(token);
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut state = self.state();
        change(state.told.get_or_insert_default());
        wake(state, WaitsFor::Order);
    }

    /// Has the instance's task drop whatever it is doing.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.killed = true;
        wake(state, WaitsFor::Kill);
    }

    /// Takes the messages that wait, oldest first.
    pub(crate) fn drain(&self) -> Vec<Queued> {
        let queue = std::mem::take(&mut self.state().queue);
        queue.into_iter().map(|Envelope { payload, call }| Queued { call, payload }).collect()
    }

    /// What comes next; pending until something does. Messages are kept back unless `serving`.
    pub(crate) fn poll_next(&self, serving: bool, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if state.killed {
            return Poll::Ready(Next::Killed);
        }
        if let Some(why) = state.stop.take() {
            return Poll::Ready(Next::Stop(why));
        }
        if let Some(next) = state.told.as_mut().and_then(|told| told.next()) {
            return Poll::Ready(next);
        }
        state.told = None;
        if serving && let Some(envelope) = state.queue.pop_front() {
            // An idle child keeps no room.
            if state.queue.is_empty() && state.queue.capacity() > 4 {
                state.queue = VecDeque::new();
            }
            return Poll::Ready(Next::Message(envelope));
        }
        state.waits_for = if serving { WaitsFor::Message } else { WaitsFor::Order };
        register(&mut state, cx);
        Poll::Pending
    }

    /// Ready once the instance was killed. Whatever else arrives meanwhile does not wake the task.
    pub(crate) fn poll_killed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.killed {
            return Poll::Ready(());
        }
        state.waits_for = WaitsFor::Kill;
        register(&mut state, cx);
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn next(&mut self) -> Option<Next> {
        if let Some(token) = self.serve.take() {
            return Some(Next::Serve(token));
        }
        if let Some((role, token)) = self.role.take() {
            return Some(Next::Role(role, token));
        }
        // A state that is to be taken is part of what is handed on.
        if let Some(take) = self.take.take() {
            return Some(Next::Take(take));
        }
        self.freeze.take().map(Next::Freeze)
    }
}

fn register(state: &mut State, cx: &Context<'_>) {
    match &mut state.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        empty => *empty = Some(cx.waker().clone()),
    }
}

fn wake(mut state: MutexGuard<'_, State>, news: WaitsFor) {
    if news < state.waits_for {
        return;
    }
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
