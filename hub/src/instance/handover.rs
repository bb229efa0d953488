//! One copy of a child hands its state to another.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use process_hub_core::ChildEvent;
use process_hub_core::message::StateUse;
use smol_str::SmolStr;

use crate::child::{Child, ChildError};
use crate::context::Context;
use crate::instance::mailbox::{Freeze, Mailbox, Take};
use crate::instance::{Cut, Outcome, guarded_until, outcome, report};
use crate::state::State;

/// Has a child say what its successor is to go on from. The messages that wait are added by the driver, after which none
/// is delivered any more.
pub(super) async fn prepare<C: Child>(
    child: &mut C,
    ctx: &mut Context<C>,
    mailbox: &Mailbox,
    freeze: Freeze,
) -> Outcome {
    let until = ctx.hub().runtime().sleep_until(freeze.until);
    let prepared = guarded_until(mailbox, until, async { child.prepare_handover(ctx).await }).await;
    let (state, cut) = told(prepared);
    if matches!(cut, Some(Cut::Killed)) {
        return Outcome::Killed;
    }
    // No state travels as one of no bytes.
    let state = state.map(|state| state.flatten().map_or_else(Bytes::new, State::into_bytes));
    report(ctx, ChildEvent::State { attempt: freeze.attempt, state, queued: Vec::new() });
    outcome(ctx, cut)
}

/// Has a child go on from the state of another copy, or take it in.
pub(super) async fn take<C: Child>(child: &mut C, ctx: &mut Context<C>, mailbox: &Mailbox, take: Take) -> Outcome {
    let Take { state, why, until } = take;
    let until = ctx.hub().runtime().sleep_until(until);
    let (result, cut) = match why {
        _ if state.is_empty() => (Ok(None), None),
        StateUse::Handover => {
            let state = State::received(state);
            told(guarded_until(mailbox, until, async { child.accept_handover(state, ctx).await }).await)
        }
        StateUse::Merge { .. } => {
            let state = State::received(state);
            told(guarded_until(mailbox, until, async { child.merge(state, ctx).await }).await)
        }
    };
    if matches!(cut, Some(Cut::Killed)) {
        return Outcome::Killed;
    }
    report(ctx, ChildEvent::StateTaken { result: result.map(drop) });
    outcome(ctx, cut)
}

/// What is said of a callback, and what it means for the instance.
fn told<T>(called: Result<Option<Result<T, ChildError>>, Cut>) -> (Result<Option<T>, SmolStr>, Option<Cut>) {
    match called {
        Ok(Some(Ok(value))) => (Ok(Some(value)), None),
        Ok(Some(Err(error))) => (Err(error.into_text()), None),
        Ok(None) => (Err(SmolStr::new_static("it took too long")), None),
        Err(Cut::Panicked(text)) => (Err(text.clone()), Some(Cut::Panicked(text))),
        Err(Cut::Killed) => (Ok(None), Some(Cut::Killed)),
    }
}
