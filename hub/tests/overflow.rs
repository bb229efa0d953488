//! More messages than a child has room for.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::core::request;
use process_hub::core::spec::ChildSpec;
use process_hub::{CallError, Child, ChildError, Context, SpecExt};
use support::{Network, TestRuntime, config, id, options, until};

/// Takes a second for each message.
struct Slow(u32);

impl Child for Slow {
    const KIND: &'static str = "slow";
    type Args = ();
    type Message = ();
    type Reply = u32;

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Self(0))
    }

    async fn handle(&mut self, (): (), _: &mut Context<Self>) -> u32 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.0 += 1;
        self.0
    }
}

/// Calls beyond the mailbox are refused as such, wherever they come from, and not handled; the others are all answered.
#[tokio::test(start_paused = true)]
async fn calls_beyond_the_mailbox_are_refused_as_overload() {
    let network = Network::default();
    let mut options = options("n1", &[]);
    options.mailbox_capacity = 2;
    let host = process_hub::start(options, TestRuntime::current(), network.clone()).await.unwrap();
    let hub = host.hub(config()).child::<Slow>().start().await.unwrap();
    hub.start_child(ChildSpec::of::<Slow>("s", ()).unwrap()).await.unwrap().unwrap();
    let other = support::node(&network, "n2", &["n1"]).await;
    let there = other.hub(config()).child::<Slow>().start().await.unwrap();
    until("n2 knows of it", || there.get_pid(&id("s")).is_some() && there.nodes(true).len() == 2).await;
    let mut handled = 0;
    for caller in [&hub, &there] {
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let caller = caller.clone();
                tokio::spawn(async move { caller.call::<Slow>(&id("s"), ()).await })
            })
            .collect();
        let (mut answered, mut refused) = (0, 0);
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => answered += 1,
                Err(CallError::Refused(request::CallError::Overloaded(child))) if child == id("s") => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        // Two wait, and one is handled if it was taken before all had come.
        assert!((2..=3).contains(&answered) && refused == 6 - answered, "{answered} were answered, {refused} refused");
        handled += answered;
    }
    assert_eq!(hub.call::<Slow>(&id("s"), ()).await.unwrap(), handled + 1, "what was refused was not handled");
}
