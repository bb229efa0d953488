//! The mailbox of one instance: bounded, in order, and no larger than what is in it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use process_hub_core::id::Token;
use process_hub_core::spec::Role;
use process_hub_core::{CallKey, StopReason};

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
    /// Tell the child its part, and hold this token from here on.
    Role(Role, Token),
    /// Handle a message.
    Message(Envelope),
    /// Drop everything.
    Killed,
}

/// Written by the driver, read by the instance's task. A queue of the runtime's own would reserve room for messages
/// that most children never get; with a hundred thousand children that room is what counts.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Envelope>,
    stop: Option<StopReason>,
    // The last one told: what was told before it, and not heard, is over.
    role: Option<Box<(Role, Token)>>,
    killed: bool,
    // Set only while the task waits for what comes next, or (for the kill) for a callback.
    waker: Option<Waker>,
    waits_for_kill_only: bool,
}

impl Mailbox {
    /// Puts a message at the end; hands it back when `capacity` messages wait already.
    pub(crate) fn push(&self, envelope: Envelope, capacity: usize) -> Result<(), Envelope> {
        let mut state = self.state();
        if state.queue.len() >= capacity {
            return Err(envelope);
        }
        state.queue.push_back(envelope);
        wake(state, false);
        Ok(())
    }

    /// Has the instance end after the present callback.
    pub(crate) fn stop(&self, why: StopReason) {
        let mut state = self.state();
        state.stop.get_or_insert(why);
        wake(state, false);
    }

    /// Has the instance told its part, before any message that still waits.
    pub(crate) fn set_role(&self, role: Role, token: Token) {
        let mut state = self.state();
        state.role = Some(Box::new((role, token)));
        wake(state, false);
    }

    /// Has the instance's task drop whatever it is doing.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.killed = true;
        wake(state, true);
    }

    /// What comes next; pending until something does.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if state.killed {
            return Poll::Ready(Next::Killed);
        }
        if let Some(why) = state.stop.take() {
            return Poll::Ready(Next::Stop(why));
        }
        if let Some(role) = state.role.take() {
            let (role, token) = *role;
            return Poll::Ready(Next::Role(role, token));
        }
        if let Some(envelope) = state.queue.pop_front() {
            // An idle child keeps no room.
            if state.queue.is_empty() && state.queue.capacity() > 4 {
                state.queue = VecDeque::new();
            }
            return Poll::Ready(Next::Message(envelope));
        }
        state.waits_for_kill_only = false;
        register(&mut state, cx);
        Poll::Pending
    }

    /// Ready once the instance was killed. Messages that arrive meanwhile do not wake the task.
    pub(crate) fn poll_killed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.killed {
            return Poll::Ready(());
        }
        state.waits_for_kill_only = true;
        register(&mut state, cx);
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn register(state: &mut State, cx: &Context<'_>) {
    match &mut state.waker {
        Some(waker) => waker.clone_from(cx.waker()),
        empty => *empty = Some(cx.waker().clone()),
    }
}

fn wake(mut state: MutexGuard<'_, State>, kill: bool) {
    if state.waits_for_kill_only && !kill {
        return;
    }
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
