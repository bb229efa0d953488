//! One instance at a time, without a driver.

use std::time::Duration;

use bytes::Bytes;
use process_hub_core::ChildEvent::{self, Exited, Replied, StartFailed, Started};
use process_hub_core::id::Token;
use process_hub_core::spec::Role;
use process_hub_core::{ExitReason, StopReason};
use serde::{Deserialize, Serialize};

use crate::child::{Child, ChildError, StopCause};
use crate::codec;
use crate::context::Context;
use crate::testing::{Alone, stop};

/// Does as it is told.
struct Puppet {
    log: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Tell {
    Note(u32),
    Read,
    Panic,
    Hang,
    Finish,
    Fail,
    Later(u64, u32),
    Every(u64),
    Forget,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Begin {
    Well,
    Badly,
    Panicking,
    Never,
}

impl Child for Puppet {
    const KIND: &'static str = "puppet";
    type Args = Begin;
    type Message = Tell;
    type Reply = Vec<u32>;

    async fn start(args: Begin, _: &mut Context<Self>) -> Result<Self, ChildError> {
        match args {
            Begin::Well => Ok(Puppet { log: Vec::new() }),
            Begin::Badly => Err("no luck".parse::<u8>().map_err(ChildError::from).unwrap_err()),
            Begin::Panicking => panic!("no start"),
            Begin::Never => std::future::pending().await,
        }
    }

    async fn handle(&mut self, message: Tell, ctx: &mut Context<Self>) -> Vec<u32> {
        match message {
            Tell::Note(n) => self.log.push(n),
            Tell::Read => {}
            Tell::Panic => panic!("told to {}", "panic"),
            Tell::Hang => std::future::pending().await,
            Tell::Finish => ctx.stop(),
            Tell::Fail => ctx.fail(ChildError::new("told to fail")),
            Tell::Later(millis, n) => drop(ctx.send_after(Duration::from_millis(millis), Tell::Note(n))),
            Tell::Every(millis) => {
                ctx.interval(Duration::from_millis(millis), || Tell::Note(0));
            }
            Tell::Forget => {
                let timer = ctx.send_after(Duration::from_millis(1), Tell::Note(9));
                ctx.cancel(timer);
            }
        }
        self.log.clone()
    }

    async fn role_changed(&mut self, role: Role, ctx: &mut Context<Self>) {
        assert_eq!(ctx.role(), role);
        let part = if role == Role::Active { 100 } else { 200 };
        self.log.push(part + u32::try_from(ctx.token().counter).unwrap());
    }

    async fn stop(&mut self, cause: StopCause, ctx: &mut Context<Self>) {
        if cause == StopCause::Told(StopReason::Moved) {
            ctx.sleep(Duration::from_secs(3_600)).await;
        }
    }
}

fn reply(event: ChildEvent) -> (u64, Result<Vec<u32>, String>) {
    match event {
        Replied { call, reply } => (call.number, reply.map(|bytes| codec::decode(&bytes).unwrap()).map_err(Into::into)),
        other => panic!("no reply: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_answered_in_order_and_a_stop_ends_it() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Puppet>(1, Begin::Well);
    assert_eq!(alone.event().await, Started);
    alone.call::<Puppet>(&mailbox, 10, &Tell::Note(1));
    alone.call::<Puppet>(&mailbox, 11, &Tell::Note(2));
    assert_eq!(reply(alone.event().await), (10, Ok(vec![1])));
    assert_eq!(reply(alone.event().await), (11, Ok(vec![1, 2])));
    stop(&mailbox);
    assert_eq!(alone.event().await, Exited { reason: ExitReason::Shutdown });
}

#[tokio::test(start_paused = true)]
async fn it_is_told_its_role_and_token_before_messages_that_wait() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Puppet>(1, Begin::Well);
    assert_eq!(alone.event().await, Started);
    let token = |counter| Token { counter, ..crate::testing::token(1) };
    alone.call::<Puppet>(&mailbox, 10, &Tell::Note(1));
    mailbox.set_role(Role::Passive, token(1));
    mailbox.set_role(Role::Active, token(7));
    assert_eq!(reply(alone.event().await), (10, Ok(vec![107, 1])), "of two roles the last counts");
    mailbox.set_role(Role::Passive, token(7));
    alone.call::<Puppet>(&mailbox, 11, &Tell::Read);
    assert_eq!(reply(alone.event().await), (11, Ok(vec![107, 1, 207])));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_says_why_in_its_own_words() {
    let mut alone = Alone::new();
    alone.run::<Puppet>(1, Begin::Badly);
    assert_eq!(alone.event().await, StartFailed { reason: "invalid digit found in string".into() });
    alone.run::<Puppet>(2, Begin::Panicking);
    assert_eq!(alone.event().await, StartFailed { reason: "panicked: no start".into() });
}

#[tokio::test(start_paused = true)]
async fn a_panic_answers_the_caller_and_ends_the_instance() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Puppet>(1, Begin::Well);
    alone.call::<Puppet>(&mailbox, 10, &Tell::Panic);
    assert_eq!(alone.event().await, Started);
    assert_eq!(reply(alone.event().await), (10, Err("panicked: told to panic".to_owned())));
    assert_eq!(alone.event().await, Exited { reason: ExitReason::Error("panicked: told to panic".into()) });
}

#[tokio::test(start_paused = true)]
async fn it_can_end_itself_well_or_badly_after_answering() {
    let mut alone = Alone::new();
    for (tell, reason) in [(Tell::Finish, ExitReason::Normal), (Tell::Fail, ExitReason::Error("told to fail".into()))] {
        let mailbox = alone.run::<Puppet>(1, Begin::Well);
        alone.call::<Puppet>(&mailbox, 10, &tell);
        assert_eq!(alone.event().await, Started);
        assert_eq!(reply(alone.event().await), (10, Ok(vec![])));
        assert_eq!(alone.event().await, Exited { reason });
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_drops_a_callback_that_hangs_and_reports_nothing() {
    let mut alone = Alone::new();
    let hanging = alone.run::<Puppet>(1, Begin::Well);
    assert_eq!(alone.event().await, Started);
    alone.call::<Puppet>(&hanging, 10, &Tell::Hang);
    let starting = alone.run::<Puppet>(2, Begin::Never);
    let stopping = alone.run::<Puppet>(3, Begin::Well);
    assert_eq!(alone.event().await, Started);
    stopping.stop(StopReason::Moved);
    tokio::time::sleep(Duration::from_millis(1)).await;
    for mailbox in [&hanging, &starting, &stopping] {
        mailbox.kill();
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(alone.reports.try_recv().is_err());
    // Their tasks are gone, and their mailboxes with them.
    assert_eq!([&hanging, &starting, &stopping].map(std::sync::Arc::strong_count), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_another_kind_are_refused_and_do_no_harm() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Puppet>(1, Begin::Well);
    assert_eq!(alone.event().await, Started);
    let call = Some(process_hub_core::CallKey { caller: crate::testing::member("n2", 1), number: 5 });
    mailbox.push(super::Envelope { payload: Bytes::from_static(&[250, 1]), call }, 4).unwrap();
    let (number, refused) = reply(alone.event().await);
    assert_eq!(number, 5);
    assert!(refused.unwrap_err().starts_with("the message is none of kind `puppet`"));
    alone.call::<Puppet>(&mailbox, 6, &Tell::Read);
    assert_eq!(reply(alone.event().await), (6, Ok(vec![])));
}

#[tokio::test(start_paused = true)]
async fn timers_fire_in_order_and_missed_periods_are_skipped() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Puppet>(1, Begin::Well);
    assert_eq!(alone.event().await, Started);
    alone.call::<Puppet>(&mailbox, 1, &Tell::Later(20, 2));
    alone.call::<Puppet>(&mailbox, 2, &Tell::Later(10, 1));
    alone.call::<Puppet>(&mailbox, 3, &Tell::Forget);
    for number in 1..=3 {
        assert_eq!(reply(alone.event().await), (number, Ok(vec![])));
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    alone.call::<Puppet>(&mailbox, 4, &Tell::Read);
    assert_eq!(reply(alone.event().await), (4, Ok(vec![1, 2])));
    alone.call::<Puppet>(&mailbox, 5, &Tell::Every(10));
    assert_eq!(reply(alone.event().await).0, 5);
    tokio::time::sleep(Duration::from_millis(35)).await;
    alone.call::<Puppet>(&mailbox, 6, &Tell::Read);
    assert_eq!(reply(alone.event().await), (6, Ok(vec![1, 2, 0, 0, 0])));
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_hands_the_message_back() {
    let alone = Alone::new();
    let mailbox = alone.run::<Puppet>(1, Begin::Never);
    let envelope = || super::Envelope { payload: Bytes::new(), call: None };
    assert!(mailbox.push(envelope(), 2).is_ok());
    assert!(mailbox.push(envelope(), 2).is_ok());
    assert!(mailbox.push(envelope(), 2).is_err());
}

/// The budget of a child is 1.5 KB in all; this is the part of it that is made here.
#[test]
fn a_minimal_child_is_small() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let size = runtime.block_on(async { Alone::new().size::<Puppet>(Begin::Well) });
    assert!(size <= 384, "{size} bytes");
}
