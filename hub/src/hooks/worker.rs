//! The task that runs a hub's handlers, apart from the driver.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use process_hub_core::hook::{HookEvent, HookKind};
use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, Time};
use smol_str::SmolStr;
use tokio::sync::mpsc;

use crate::events::HubEvent;
use crate::handle::Hub;
use crate::hooks::{Act, HookHandler};
use crate::instance::caught;
use crate::runtime::BoxFuture;

/// Events that may wait for slow handlers; beyond, they are dropped and counted.
const ROOM: usize = 65_536;
/// How long the handlers of one recipe have in all, waiting included: the core waits no longer.
const ALTER_LIMIT: Duration = Duration::from_secs(5);

/// One thing to run handlers for.
#[derive(Debug)]
enum Job {
    Tell(HookEvent),
    Alter { sequence: u64, spec: Arc<ChildSpec>, until: Time },
}

/// The driver's end of the queue. Handlers end with it, after what is in it.
#[derive(Debug)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
    /// How many events were dropped since the last one that was not.
    dropped: u64,
}

impl Queue {
    /// Begins to run the handlers of a hub.
    pub(crate) fn open(hub: Hub) -> Self {
        let (jobs, waiting) = mpsc::channel(ROOM);
        let runtime = hub.runtime().clone();
        runtime.spawn(Box::pin(work(hub, waiting)));
        Self { jobs, dropped: 0 }
    }

    /// Has the handlers of an event run, if there are any.
    pub(crate) fn tell(&mut self, hub: &Hub, event: &HookEvent) {
        if !hub.shared().hooks.wants(event.kind()) {
            return;
        }
        if self.jobs.try_send(Job::Tell(event.clone())).is_ok() {
            self.dropped = 0;
            return;
        }
        hub.shared().node.stats.hook_events_dropped.one();
        self.dropped += 1;
        if self.dropped == 1 {
            tracing::error!(hub = %hub.id(), "handlers are too slow: {ROOM} events wait, and further ones are dropped");
        }
    }

    /// Has the alter handlers run over a recipe; false if that is not possible now.
    pub(crate) fn alter(&self, sequence: u64, spec: Arc<ChildSpec>, now: Time) -> bool {
        self.jobs.try_send(Job::Alter { sequence, spec, until: now + ALTER_LIMIT }).is_ok()
    }
}

async fn work(hub: Hub, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Tell(event) => tell(&hub, event).await,
            Job::Alter { sequence, spec, until } => {
                let spec = alter(&hub, spec, until).await;
                hub.shared().report(sequence, ChildEvent::Altered { spec });
            }
        }
    }
}

async fn tell(hub: &Hub, event: HookEvent) {
    for handler in hub.shared().hooks.of(event.kind()).iter() {
        let Act::Tell(act) = &handler.act else { continue };
        let (hub_again, event_again) = (hub.clone(), event.clone());
        let ran = run(hub, handler.timeout, || act(hub_again, event_again)).await;
        if let Err(why) = ran {
            report(hub, event.kind(), handler, why);
        }
    }
}

/// What the handlers, one after the other, make of a recipe. One that fails is left out.
async fn alter(hub: &Hub, declared: Arc<ChildSpec>, until: Time) -> Arc<ChildSpec> {
    let mut spec = declared;
    for handler in hub.shared().hooks.of(HookKind::ChildDataAlter).iter() {
        let Act::Alter(act) = &handler.act else { continue };
        let now = hub.runtime().now();
        if now >= until {
            break;
        }
        let (hub_again, given) = (hub.clone(), ChildSpec::clone(&spec));
        let why = match run(hub, handler.timeout.min(until.since(now)), || act(hub_again, given)).await {
            Ok(altered) if altered.id == spec.id => {
                spec = Arc::new(altered);
                continue;
            }
            Ok(_) => SmolStr::new_static("it answered with the recipe of another child"),
            Err(why) => why,
        };
        report(hub, HookKind::ChildDataAlter, handler, why);
    }
    spec
}

/// Runs a handler; what kept it from coming to its end, if something did.
async fn run<T>(hub: &Hub, limit: Duration, begin: impl FnOnce() -> BoxFuture<T>) -> Result<T, SmolStr> {
    let mut future = Some(caught(begin)?);
    let mut sleep: Option<BoxFuture<()>> = None;
    let ended = poll_fn(|cx| {
        let Some(running) = &mut future else { return Poll::Ready(Err(SmolStr::default())) };
        match caught(|| running.as_mut().poll(cx)) {
            Ok(Poll::Ready(value)) => return Poll::Ready(Ok(value)),
            Err(text) => return Poll::Ready(Err(text)),
            Ok(Poll::Pending) => {}
        }
        // Most handlers are done at once: only one that waits needs a clock.
        let runtime = hub.runtime();
        let sleep = sleep.get_or_insert_with(|| runtime.sleep_until(runtime.now() + limit));
        sleep.as_mut().poll(cx).map(|()| Err(smol_str::format_smolstr!("it took longer than {limit:?}")))
    })
    .await;
    // What a broken-off handler drops is its own code, too.
    let dropped = caught(|| drop(future.take()));
    ended.and_then(|value| dropped.map(|()| value))
}

fn report(hub: &Hub, kind: HookKind, handler: &HookHandler, why: SmolStr) {
    let shared = hub.shared();
    shared.node.stats.hook_handlers_failed.one();
    tracing::error!(hub = %hub.id(), %kind, handler = %handler.id, %why, "a handler failed; the hub goes on without it");
    shared.tell(|| HubEvent::HandlerFailed { kind, id: handler.id.clone(), why });
}
