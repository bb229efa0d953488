//! One copy at a time, without a driver: what it does when it is frozen, given a state, told to serve.

use std::time::Duration;

use bytes::Bytes;
use process_hub_core::ChildEvent::{self, Exited, Replied, Started, State as Prepared, StateTaken};
use process_hub_core::message::StateUse;
use process_hub_core::{ExitReason, Queued, StopReason, Time};
use serde::{Deserialize, Serialize};

use crate::child::{Child, ChildError};
use crate::codec;
use crate::context::Context;
use crate::instance::mailbox::{Freeze, Mailbox, Take};
use crate::state::State;
use crate::testing::{Alone, TestRuntime, token};

/// Adds up, and hands over as it is told.
struct Sum {
    total: u64,
    mood: Mood,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Mood {
    Willing,
    Refusing,
    Panicking,
    Hanging,
    Huge,
    Stateless,
    Ticking,
}

impl Child for Sum {
    const KIND: &'static str = "sum";
    type Args = Mood;
    type Message = u64;
    type Reply = u64;

    async fn start(mood: Mood, ctx: &mut Context<Self>) -> Result<Self, ChildError> {
        if mood == Mood::Ticking {
            ctx.interval(Duration::from_millis(10), || 1);
        }
        Ok(Sum { total: 0, mood })
    }

    async fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        self.total += n;
        self.total
    }

    async fn prepare_handover(&mut self, _: &mut Context<Self>) -> Result<Option<State>, ChildError> {
        match self.mood {
            Mood::Willing | Mood::Ticking => State::of(&self.total).map(Some),
            Mood::Refusing => Err(ChildError::new("not now")),
            Mood::Panicking => panic!("no state"),
            Mood::Hanging => std::future::pending().await,
            Mood::Huge => State::of(&vec![u64::MAX; State::MAX_LEN / 8]).map(Some),
            Mood::Stateless => Ok(None),
        }
    }

    async fn accept_handover(&mut self, state: State, _: &mut Context<Self>) -> Result<(), ChildError> {
        match self.mood {
            Mood::Panicking => panic!("no thanks"),
            Mood::Hanging => std::future::pending().await,
            _ => self.total = state.read()?,
        }
        Ok(())
    }

    async fn merge(&mut self, other: State, _: &mut Context<Self>) -> Result<(), ChildError> {
        self.total += other.read::<u64>()?;
        Ok(())
    }
}

fn soon() -> Time {
    use crate::runtime::Runtime;
    TestRuntime::current().now() + Duration::from_secs(5)
}

fn freeze(mailbox: &Mailbox, attempt: u32) {
    mailbox.freeze(Freeze { attempt, until: soon() });
}

fn handover(mailbox: &Mailbox, state: &Bytes) {
    mailbox.take(Take { state: state.clone(), why: StateUse::Handover, until: soon() });
}

fn prepared(attempt: u32, state: Result<u64, &str>) -> ChildEvent {
    let state = state.map(|total| codec::encode_state(&total).unwrap()).map_err(Into::into);
    Prepared { attempt, state, queued: Vec::new() }
}

fn reply(event: ChildEvent) -> (u64, u64) {
    match event {
        Replied { call, reply } => (call.number, codec::decode(&reply.unwrap()).unwrap()),
        other => panic!("no reply: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn after_its_state_was_taken_it_handles_nothing_and_what_waits_is_handed_back_in_order() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Sum>(1, Mood::Willing);
    assert_eq!(alone.event().await, Started);
    alone.call::<Sum>(&mailbox, 1, &5);
    assert_eq!(reply(alone.event().await), (1, 5));
    // Both are there before the task runs: what waits is not handled any more.
    alone.call::<Sum>(&mailbox, 2, &10);
    freeze(&mailbox, 7);
    assert_eq!(alone.event().await, prepared(7, Ok(5)));
    alone.call::<Sum>(&mailbox, 3, &20);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(alone.reports.try_recv().is_err(), "it handles nothing");
    let queued = mailbox.drain();
    let numbers = |queued: &[Queued]| queued.iter().map(|one| one.call.as_ref().unwrap().number).collect::<Vec<_>>();
    assert_eq!(numbers(&queued), [2, 3]);
    // The move is called off: it goes on, with a new token, and can be asked again.
    for Queued { call, payload } in queued {
        mailbox.push(crate::instance::Envelope { payload, call }, 10).unwrap();
    }
    mailbox.serve(token(9));
    assert_eq!(reply(alone.event().await), (2, 15));
    assert_eq!(reply(alone.event().await), (3, 35));
    freeze(&mailbox, 8);
    assert_eq!(alone.event().await, prepared(8, Ok(35)));
    mailbox.stop(StopReason::Moved);
    assert_eq!(alone.event().await, Exited { reason: ExitReason::Shutdown });
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_by_takes_the_state_first_and_serves_when_it_is_told() {
    let mut alone = Alone::new();
    let mailbox = alone.stand_by::<Sum>(1, Mood::Ticking);
    assert_eq!(alone.event().await, Started);
    alone.call::<Sum>(&mailbox, 1, &1_000);
    handover(&mailbox, &codec::encode_state(&70_u64).unwrap());
    assert_eq!(alone.event().await, StateTaken { result: Ok(()) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(alone.reports.try_recv().is_err(), "neither messages nor timers");
    mailbox.serve(token(3));
    assert_eq!(reply(alone.event().await), (1, 1_070), "the message before the timer that is overdue");
}

#[tokio::test(start_paused = true)]
async fn one_without_a_state_hands_over_none_and_takes_none() {
    let mut alone = Alone::new();
    let old = alone.run::<Sum>(1, Mood::Stateless);
    assert_eq!(alone.event().await, Started);
    freeze(&old, 1);
    let nothing = Prepared { attempt: 1, state: Ok(Bytes::new()), queued: Vec::new() };
    assert_eq!(alone.event().await, nothing);
    let new = alone.stand_by::<Sum>(2, Mood::Panicking);
    assert_eq!(alone.event().await, Started);
    handover(&new, &Bytes::new());
    assert_eq!(alone.event().await, StateTaken { result: Ok(()) }, "it is not asked");
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_hangs_or_has_too_much_says_so_and_goes_on() {
    let too_large = "the value has 75497477 bytes encoded, the limit is 67108864: make it smaller";
    let cases = [(Mood::Refusing, "not now"), (Mood::Hanging, "it took too long"), (Mood::Huge, too_large)];
    for (mood, why) in cases {
        let mut alone = Alone::new();
        let mailbox = alone.run::<Sum>(1, mood);
        assert_eq!(alone.event().await, Started);
        freeze(&mailbox, 1);
        let Prepared { state: Err(said), .. } = alone.event().await else { panic!("{mood:?} has a state") };
        assert_eq!(said, why);
        alone.call::<Sum>(&mailbox, 2, &5);
        mailbox.serve(token(2));
        assert_eq!(reply(alone.event().await), (2, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_on_either_side_is_told_and_ends_that_copy_alone() {
    let mut alone = Alone::new();
    let old = alone.run::<Sum>(1, Mood::Panicking);
    assert_eq!(alone.event().await, Started);
    freeze(&old, 1);
    assert_eq!(alone.event().await, prepared(1, Err("panicked: no state")));
    assert_eq!(alone.event().await, Exited { reason: ExitReason::Error("panicked: no state".into()) });
    let new = alone.stand_by::<Sum>(2, Mood::Panicking);
    assert_eq!(alone.event().await, Started);
    handover(&new, &codec::encode_state(&70_u64).unwrap());
    assert_eq!(alone.event().await, StateTaken { result: Err("panicked: no thanks".into()) });
    assert_eq!(alone.event().await, Exited { reason: ExitReason::Error("panicked: no thanks".into()) });
}

#[tokio::test(start_paused = true)]
async fn a_state_that_makes_no_sense_or_takes_too_long_to_take_is_refused() {
    let mut alone = Alone::new();
    let odd = alone.stand_by::<Sum>(1, Mood::Willing);
    assert_eq!(alone.event().await, Started);
    handover(&odd, &Bytes::from_static(&[1, 2, 3, 4]));
    let StateTaken { result: Err(why) } = alone.event().await else { panic!("it makes no sense") };
    assert_eq!(why, "the bytes are not such a value: 3 bytes are left over");
    let slow = alone.stand_by::<Sum>(2, Mood::Hanging);
    assert_eq!(alone.event().await, Started);
    handover(&slow, &codec::encode_state(&70_u64).unwrap());
    assert_eq!(alone.event().await, StateTaken { result: Err("it took too long".into()) });
    slow.stop(StopReason::Superseded);
    assert_eq!(alone.event().await, Exited { reason: ExitReason::Shutdown });
}

#[tokio::test(start_paused = true)]
async fn a_serving_copy_takes_in_what_another_had_done_between_two_messages() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Sum>(1, Mood::Willing);
    assert_eq!(alone.event().await, Started);
    alone.call::<Sum>(&mailbox, 1, &5);
    assert_eq!(reply(alone.event().await), (1, 5));
    let why = StateUse::Merge { token: token(4) };
    mailbox.take(Take { state: codec::encode_state(&100_u64).unwrap(), why, until: soon() });
    alone.call::<Sum>(&mailbox, 2, &1);
    assert_eq!(alone.event().await, StateTaken { result: Ok(()) });
    assert_eq!(reply(alone.event().await), (2, 106));
}

#[tokio::test(start_paused = true)]
async fn a_kill_drops_a_handover_that_hangs() {
    let mut alone = Alone::new();
    let mailbox = alone.run::<Sum>(1, Mood::Hanging);
    assert_eq!(alone.event().await, Started);
    freeze(&mailbox, 1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    mailbox.kill();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(alone.reports.try_recv().is_err());
    assert_eq!(std::sync::Arc::strong_count(&mailbox), 1);
}
