//! One running child: its mailbox, and the task that runs its callbacks.

mod handover;
pub(crate) mod mailbox;
#[cfg(test)]
mod tests;
pub(crate) mod timers;

use std::any::Any;
use std::future::{Future, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};

use process_hub_core::id::Token;
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::{CallKey, ChildEvent, ExitReason};
use smol_str::SmolStr;

use crate::child::{Child, ChildError, StopCause, shortened};
use crate::codec::{self, CodecError};
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
    pub(crate) standby: bool,
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
///
/// An idle child is little more than its own value: whatever a callback needs while it runs is on the heap only until
/// the callback is done. With a hundred thousand children it is the idle ones that count.
pub(crate) fn run<C: Child>(job: Job) -> impl Future<Output = ()> + Send {
    let beginning = Box::pin(begin::<C>(job));
    async move {
        let mut alive = beginning.await;
        let Some(here) = &mut alive else { return };
        report(&here.ctx, ChildEvent::Started);
        let reason = here.serve().await;
        end(alive, reason);
    }
}

/// An instance that has started.
struct Alive<C: Child> {
    child: C,
    ctx: Context<C>,
    mailbox: Arc<Mailbox>,
    // Whether it handles messages and timers: not while it stands by, nor once it was frozen.
    serving: bool,
}

/// Starts an instance; reports if that fails.
async fn begin<C: Child>(job: Job) -> Option<Alive<C>> {
    let Job { hub, spec, sequence, token, role, mailbox, standby } = job;
    let args = codec::decode::<C::Args>(&spec.args);
    let mut ctx = Context::<C>::new(hub, spec, sequence, token, role);
    let started = match args {
        Ok(args) => guarded(&mailbox, async { C::start(args, &mut ctx).await }).await,
        Err(error) => Ok(Err(ChildError::new(format!("its arguments do not fit: {error}")))),
    };
    let reason = match started {
        Ok(Ok(child)) => return Some(Alive { child, ctx, mailbox, serving: !standby }),
        Ok(Err(error)) => error.into_text(),
        Err(Cut::Panicked(text)) => text,
        Err(Cut::Killed) => return None,
    };
    report(&ctx, ChildEvent::StartFailed { reason });
    None
}

/// Lets go of an instance, then reports its end: another instance may need what it holds.
fn end<C: Child>(alive: Option<Alive<C>>, reason: Option<ExitReason>) {
    let Some(Alive { child, ctx, .. }) = alive else { return };
    let dropped = caught(move || drop(child));
    if let Some(reason) = reason {
        let reason = match dropped {
            Ok(()) => reason,
            Err(text) => ExitReason::Error(text),
        };
        report(&ctx, ChildEvent::Exited { reason });
    }
}

/// How a callback ended.
enum Outcome {
    /// Go on.
    Done,
    /// The instance has ended like this.
    Ended(ExitReason),
    /// The instance was killed.
    Killed,
}

impl<C: Child> Alive<C> {
    /// Runs callbacks until the instance ends; `None` when it was killed.
    async fn serve(&mut self) -> Option<ExitReason> {
        let mut turn = 0;
        loop {
            turn += 1;
            if turn == TURN {
                turn = 0;
                yield_now().await;
            }
            let outcome = match self.ctx.take_end() {
                Some(cause) => Box::pin(stop(&mut self.child, &mut self.ctx, &self.mailbox, cause)),
                None => {
                    let todo = next(&mut self.ctx, &self.mailbox, self.serving).await;
                    self.callback(todo)
                }
            };
            match outcome.await {
                Outcome::Done => {}
                Outcome::Ended(reason) => return Some(reason),
                Outcome::Killed => return None,
            }
        }
    }

    /// What is to be done, being done.
    fn callback(&mut self, todo: Todo<C::Message>) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        let Self { child, ctx, mailbox, serving } = self;
        match todo {
            Todo::Handle(message) => Box::pin(async move {
                let cut = guarded(mailbox, async { child.handle(message, ctx).await }).await.err();
                outcome(ctx, cut)
            }),
            Todo::Inbox(Next::Message(envelope)) => match codec::decode::<C::Message>(&envelope.payload) {
                Ok(message) => Box::pin(answer(child, ctx, mailbox, message, envelope.call)),
                Err(error) => {
                    refuse(ctx, envelope, &error);
                    Box::pin(ready(Outcome::Done))
                }
            },
            Todo::Inbox(Next::Role(role, token)) => {
                ctx.set_role(role, token);
                Box::pin(async move {
                    let cut = guarded(mailbox, async { child.role_changed(role, ctx).await }).await.err();
                    outcome(ctx, cut)
                })
            }
            Todo::Inbox(Next::Freeze(freeze)) => {
                *serving = false;
                Box::pin(handover::prepare(child, ctx, mailbox, freeze))
            }
            Todo::Inbox(Next::Take(take)) => Box::pin(handover::take(child, ctx, mailbox, take)),
            Todo::Inbox(Next::Serve(token)) => {
                *serving = true;
                ctx.set_token(token);
                Box::pin(ready(Outcome::Done))
            }
            Todo::Inbox(Next::Stop(why)) => Box::pin(stop(child, ctx, mailbox, StopCause::Told(why))),
            Todo::Inbox(Next::Killed) => Box::pin(ready(Outcome::Killed)),
        }
    }
}

/// The last callback.
async fn stop<C: Child>(child: &mut C, ctx: &mut Context<C>, mailbox: &Mailbox, cause: StopCause) -> Outcome {
    let reason = match &cause {
        StopCause::Told(_) => ExitReason::Shutdown,
        StopCause::Done => ExitReason::Normal,
        StopCause::Failed(error) => ExitReason::Error(error.clone().into_text()),
    };
    let cut = guarded(mailbox, async { child.stop(cause, ctx).await }).await.err();
    match outcome(ctx, cut) {
        Outcome::Done => Outcome::Ended(reason),
        other => other,
    }
}

fn outcome<C: Child>(ctx: &Context<C>, cut: Option<Cut>) -> Outcome {
    match cut {
        None => Outcome::Done,
        Some(Cut::Killed) => Outcome::Killed,
        Some(Cut::Panicked(text)) => {
            ctx.hub().shared().node.stats.children_panicked.one();
            Outcome::Ended(ExitReason::Error(text))
        }
    }
}

/// What the task does next.
enum Todo<M> {
    Inbox(Next),
    Handle(M),
}

/// Waits for the next thing: the mailbox first, so that its own timers cannot keep a child from stopping. Unless it is
/// serving, its messages and timers wait.
async fn next<C: Child>(ctx: &mut Context<C>, mailbox: &Mailbox, serving: bool) -> Todo<C::Message> {
    poll_fn(|cx| {
        if let Poll::Ready(next) = mailbox.poll_next(serving, cx) {
            return Poll::Ready(Todo::Inbox(next));
        }
        if serving { ctx.poll_timers(cx).map(Todo::Handle) } else { Poll::Pending }
    })
    .await
}

/// Handles a message that came from outside, and answers it if it was a call.
async fn answer<C: Child>(
    child: &mut C,
    ctx: &mut Context<C>,
    mailbox: &Mailbox,
    message: C::Message,
    call: Option<CallKey>,
) -> Outcome {
    let handled = guarded(mailbox, async { child.handle(message, ctx).await }).await;
    if let Some(call) = call {
        let reply = match &handled {
            Ok(reply) => codec::encode(reply).map_err(|error| shortened(&error.to_string())),
            Err(Cut::Panicked(text)) => Err(text.clone()),
            Err(Cut::Killed) => return Outcome::Killed,
        };
        report(ctx, ChildEvent::Replied { call, reply });
    }
    outcome(ctx, handled.err())
}

/// Answers a call that makes no sense to the kind.
fn refuse<C: Child>(ctx: &Context<C>, envelope: Envelope, error: &CodecError) {
    if let Some(call) = envelope.call {
        let reply = Err(shortened(&format!("the message is none of kind `{}`: {error}", C::KIND)));
        report(ctx, ChildEvent::Replied { call, reply });
    }
}

/// Runs a callback; ends early when it panics or the instance is killed. The callback is called in here, too: one that
/// is no `async fn` may panic before there is a future.
async fn guarded<T>(mailbox: &Mailbox, callback: impl Future<Output = T>) -> Result<T, Cut> {
    let mut callback = pin!(callback);
    poll_fn(|cx| match caught(|| callback.as_mut().poll(cx)) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => mailbox.poll_killed(cx).map(|()| Err(Cut::Killed)),
        Err(text) => Poll::Ready(Err(Cut::Panicked(text))),
    })
    .await
}

/// The same for a callback that may take until `end`; `None` when it took longer and was dropped.
async fn guarded_until<T>(
    mailbox: &Mailbox,
    end: impl Future<Output = ()>,
    callback: impl Future<Output = T>,
) -> Result<Option<T>, Cut> {
    let (mut callback, mut end) = (pin!(guarded(mailbox, callback)), pin!(end));
    poll_fn(|cx| match callback.as_mut().poll(cx) {
        Poll::Ready(called) => Poll::Ready(called.map(Some)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| Ok(None)),
    })
    .await
}

fn report<C: Child>(ctx: &Context<C>, event: ChildEvent) {
    ctx.hub().shared().report(ctx.sequence(), event);
}

/// The text of a panic in `body`. What `body` touched is used no further, but for being dropped.
pub(crate) fn caught<T>(body: impl FnOnce() -> T) -> Result<T, SmolStr> {
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
