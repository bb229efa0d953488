//! One running child: its mailbox, and the task that runs its callbacks.

pub(crate) mod mailbox;
#[cfg(test)]
mod tests;
pub(crate) mod timers;

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll};

use process_hub_core::id::Token;
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::{ChildEvent, ExitReason};
use smol_str::{SmolStr, format_smolstr};

use crate::child::{Child, ChildError, StopCause, shortened};
use crate::codec;
use crate::context::Context;
use crate::handle::Hub;
use crate::instance::mailbox::{Envelope, Mailbox, Next};

/// All it takes to run an instance.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) hub: Hub,
    pub(crate) spec: Arc<ChildSpec>,
    pub(crate) sequence: u64,
    pub(crate) token: Token,
    pub(crate) role: Role,
    pub(crate) mailbox: Arc<Mailbox>,
}

/// Messages handled in a row before others get a turn.
const TURN: u32 = 64;

/// What kept a callback from returning.
enum Cut {
    Panicked(SmolStr),
    Killed,
}

/// The task of one instance. Reports its start, its replies and its end, unless it was killed: then the driver has
/// reported its end already.
pub(crate) async fn run<C: Child>(job: Job) {
    let Job { hub, spec, sequence, token, role, mailbox } = job;
    let args = codec::decode::<C::Args>(&spec.args);
    let mut ctx = Context::<C>::new(hub, spec, sequence, token, role);
    let started = match args {
        Ok(args) => guarded(&mailbox, C::start(args, &mut ctx)).await,
        Err(error) => Ok(Err(ChildError::new(format!("its arguments do not fit: {error}")))),
    };
    let mut child = match started {
        Ok(Ok(child)) => child,
        Ok(Err(error)) => return report(&ctx, ChildEvent::StartFailed { reason: error.into_text() }),
        Err(Cut::Panicked(reason)) => return report(&ctx, ChildEvent::StartFailed { reason }),
        Err(Cut::Killed) => return,
    };
    report(&ctx, ChildEvent::Started);
    let reason = serve(&mut child, &mut ctx, &mailbox).await;
    // What the child holds is let go before its end is known: another instance may need the same.
    let dropped = caught(move || drop(child));
    if let Some(reason) = reason {
        let reason = match dropped {
            Ok(()) => reason,
            Err(text) => ExitReason::Error(text),
        };
        report(&ctx, ChildEvent::Exited { reason });
    }
}

/// Runs callbacks until the instance ends; `None` when it was killed.
async fn serve<C: Child>(child: &mut C, ctx: &mut Context<C>, mailbox: &Mailbox) -> Option<ExitReason> {
    let mut turn = 0;
    let cause = loop {
        if let Some(cause) = ctx.take_end() {
            break cause;
        }
        turn += 1;
        if turn == TURN {
            turn = 0;
            yield_now().await;
        }
        let cut = match next(ctx, mailbox).await {
            Todo::Handle(message) => guarded(mailbox, child.handle(message, ctx)).await.err(),
            Todo::Inbox(Next::Message(envelope)) => answer(child, ctx, mailbox, envelope).await.err(),
            Todo::Inbox(Next::Role(role)) => {
                ctx.set_role(role);
                guarded(mailbox, child.role_changed(role, ctx)).await.err()
            }
            Todo::Inbox(Next::Stop(why)) => break StopCause::Told(why),
            Todo::Inbox(Next::Killed) => return None,
        };
        match cut {
            None => {}
            Some(Cut::Panicked(text)) => return Some(ExitReason::Error(text)),
            Some(Cut::Killed) => return None,
        }
    };
    let reason = match &cause {
        StopCause::Told(_) => ExitReason::Shutdown,
        StopCause::Done => ExitReason::Normal,
        StopCause::Failed(error) => ExitReason::Error(error.clone().into_text()),
    };
    match guarded(mailbox, child.stop(cause, ctx)).await {
        Ok(()) => Some(reason),
        Err(Cut::Panicked(text)) => Some(ExitReason::Error(text)),
        Err(Cut::Killed) => None,
    }
}

/// What the task does next.
enum Todo<M> {
    Inbox(Next),
    Handle(M),
}

/// Waits for the next thing: the mailbox first, so that its own timers cannot keep a child from stopping.
async fn next<C: Child>(ctx: &mut Context<C>, mailbox: &Mailbox) -> Todo<C::Message> {
    poll_fn(|cx| {
        if let Poll::Ready(next) = mailbox.poll_next(cx) {
            return Poll::Ready(Todo::Inbox(next));
        }
        ctx.poll_timers(cx).map(Todo::Handle)
    })
    .await
}

/// Handles a message that came from outside, and answers it if it was a call.
async fn answer<C: Child>(
    child: &mut C,
    ctx: &mut Context<C>,
    mailbox: &Mailbox,
    envelope: Envelope,
) -> Result<(), Cut> {
    let Envelope { payload, call } = envelope;
    let handled = match codec::decode::<C::Message>(&payload) {
        Ok(message) => guarded(mailbox, child.handle(message, ctx)).await,
        Err(error) => {
            if let Some(call) = call {
                let reply = Err(format_smolstr!("the message is none of kind `{}`: {error}", C::KIND));
                report(ctx, ChildEvent::Replied { call, reply });
            }
            return Ok(());
        }
    };
    let Some(call) = call else { return handled.map(drop) };
    let (reply, result) = match handled {
        Ok(reply) => (codec::encode(&reply).map_err(|error| shortened(&error.to_string())), Ok(())),
        Err(Cut::Panicked(text)) => (Err(text.clone()), Err(Cut::Panicked(text))),
        Err(Cut::Killed) => return Err(Cut::Killed),
    };
    report(ctx, ChildEvent::Replied { call, reply });
    result
}

/// Runs a callback; ends early when it panics or the instance is killed.
async fn guarded<T>(mailbox: &Mailbox, callback: impl Future<Output = T>) -> Result<T, Cut> {
    let mut callback = pin!(callback);
    poll_fn(|cx| match caught(|| callback.as_mut().poll(cx)) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => mailbox.poll_killed(cx).map(|()| Err(Cut::Killed)),
        Err(text) => Poll::Ready(Err(Cut::Panicked(text))),
    })
    .await
}

fn report<C: Child>(ctx: &Context<C>, event: ChildEvent) {
    ctx.hub().shared().report(ctx.sequence(), event);
}

/// The text of a panic in `body`. What `body` touched is used no further, but for being dropped.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T, SmolStr> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| panic_text(panic.as_ref()))
}

fn panic_text(panic: &(dyn Any + Send)) -> SmolStr {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    shortened(&format!("panicked: {}", text.unwrap_or("(no text)")))
}

/// Lets other tasks of the runtime run.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx: &mut task::Context<'_>| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
