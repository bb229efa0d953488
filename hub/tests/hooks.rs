//! Handlers of hook events: registered from the start and later, in order, cancelled, and failing on their own account.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

#[path = "../../fuzz/bodies/hooks.rs"]
mod any_order;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use process_hub::core::config::HubConfig;
use process_hub::core::hook::{HookEvent, HookKind};
use process_hub::core::id::HubId;
use process_hub::core::spec::{ChildSpec, MetaValue, Metadata};
use process_hub::{HookError, HookHandler, Hub, HubEvent, NodeHandle, OpenHubError, SpecExt};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::{Ask, Counter, Network, cluster, id, node, until};

/// What handlers write down, in the order in which they do.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// A handler that writes its id and the event's key down.
    fn handler(&self, id: &str) -> HookHandler {
        let (notes, name) = (self.clone(), id.to_owned());
        HookHandler::new(id, move |_, event: HookEvent| {
            let (notes, name) = (notes.clone(), name.clone());
            async move { notes.add(format!("{name} {}", event.key())) }
        })
    }

    fn alter(&self, id: &str) -> HookHandler {
        let (notes, name) = (self.clone(), id.to_owned());
        HookHandler::alter(id, move |_, mut spec: ChildSpec| {
            let (notes, name) = (notes.clone(), name.clone());
            async move {
                notes.add(format!("{name} child_data_alter"));
                let before = match spec.metadata.get("by") {
                    Some(MetaValue::Text(text)) => text.to_string(),
                    _ => String::new(),
                };
                spec.metadata = spec.metadata.with("by", &(before + &name));
                spec
            }
        })
    }
}

fn counter(name: &str) -> ChildSpec {
    ChildSpec::of::<Counter>(name, 0).unwrap()
}

fn config() -> HubConfig {
    HubConfig::new(HubId::new("demo").unwrap())
}

async fn one_node() -> (NodeHandle, Hub) {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = support::hub(&node).await;
    (node, hub)
}

#[tokio::test(start_paused = true)]
async fn handlers_run_by_priority_and_then_as_registered() {
    let (_node, hub) = one_node().await;
    let notes = Notes::default();
    let kind = HookKind::ChildRegistered;
    hub.register_hook_handlers(kind, [notes.handler("b"), notes.handler("first").priority(5)]).await.unwrap();
    hub.register_hook_handlers(kind, [notes.handler("a"), notes.handler("last").priority(-5)]).await.unwrap();
    let listed: Vec<_> = hub.hook_handlers().into_iter().map(|info| (info.id, info.priority)).collect();
    assert_eq!(listed, [("first".into(), 5), ("b".into(), 0), ("a".into(), 0), ("last".into(), -5)]);
    hub.start_child(counter("c")).await.unwrap().unwrap();
    until("all have run", || notes.all().len() == 4).await;
    assert_eq!(notes.all(), ["first", "b", "a", "last"].map(|name| format!("{name} child_registered")));
}

#[tokio::test(start_paused = true)]
async fn a_start_is_told_in_the_order_of_the_reference() {
    let (_node, hub) = one_node().await;
    let notes = Notes::default();
    for kind in [HookKind::ChildRegistered, HookKind::PostChildrenStart, HookKind::PreChildrenStart] {
        hub.register_hook_handlers(kind, [notes.handler("h")]).await.unwrap();
    }
    hub.register_hook_handlers(HookKind::ChildDataAlter, [notes.alter("h")]).await.unwrap();
    hub.start_child(counter("c")).await.unwrap().unwrap();
    until("all have run", || notes.all().len() == 4).await;
    let order = ["pre_children_start", "child_data_alter", "post_children_start", "child_registered"];
    assert_eq!(notes.all(), order.map(|key| format!("h {key}")));
}

#[tokio::test(start_paused = true)]
async fn cancelled_handlers_are_silent_and_unknown_ids_are_fine() {
    let (_node, hub) = one_node().await;
    let notes = Notes::default();
    let kind = HookKind::ChildRegistered;
    hub.cancel_hook_handlers(kind, ["nobody"]).await.unwrap();
    hub.register_hook_handlers(kind, [notes.handler("a"), notes.handler("b")]).await.unwrap();
    hub.start_child(counter("c1")).await.unwrap().unwrap();
    until("both have run", || notes.all().len() == 2).await;
    hub.cancel_hook_handlers(kind, ["a", "nobody"]).await.unwrap();
    hub.start_child(counter("c2")).await.unwrap().unwrap();
    until("the other has run", || notes.all().len() == 3).await;
    assert_eq!(notes.all()[2], "b child_registered");
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_id_refuses_the_whole_group() {
    let (_node, hub) = one_node().await;
    let notes = Notes::default();
    let kind = HookKind::ChildRegistered;
    hub.register_hook_handlers(kind, [notes.handler("a")]).await.unwrap();
    let refused = hub.register_hook_handlers(kind, [notes.handler("b"), notes.handler("a")]).await;
    assert_eq!(refused, Err(HookError::AlreadyRegistered { kind, ids: vec!["a".into()] }));
    assert_eq!(hub.hook_handlers().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn handlers_of_the_builder_miss_nothing() {
    let node = node(&Network::default(), "n1", &[]).await;
    let notes = Notes::default();
    let twice = [notes.handler("a"), notes.handler("a")];
    let refused = node.hub(config()).hook_handlers(HookKind::PreNodeJoin, twice).start().await;
    assert!(matches!(refused, Err(OpenHubError::Hook(HookError::AlreadyRegistered { .. }))), "{refused:?}");
    let hub = node
        .hub(config())
        .child::<Counter>()
        .hook_handlers(HookKind::PreNodeJoin, [notes.handler("a")])
        .hook_handlers(HookKind::ChildDataAlter, [notes.alter("a")])
        .hook_handlers(HookKind::ChildRegistered, [notes.handler("a")])
        .static_children([counter("s")])
        .start()
        .await
        .unwrap();
    until("the static child runs", || hub.get_pid(&id("s")).is_some()).await;
    until("all were told", || notes.all().len() == 3).await;
    assert_eq!(notes.all(), ["pre_node_join", "child_data_alter", "child_registered"].map(|key| format!("a {key}")));
}

#[tokio::test(start_paused = true)]
async fn failing_and_slow_handlers_are_reported_and_hold_nothing_up() {
    let (node, hub) = one_node().await;
    let notes = Notes::default();
    let mut events = hub.events();
    let panics = HookHandler::new("panics", |_, _| async { panic!("no") }).priority(3);
    let panics_at_once = HookHandler::new("at once", |_, _| -> std::future::Ready<()> { panic!("never") }).priority(2);
    let hangs = HookHandler::new("hangs", |_, _| std::future::pending()).timeout(Duration::from_secs(1)).priority(1);
    let kind = HookKind::ChildRegistered;
    hub.register_hook_handlers(kind, [panics, panics_at_once, hangs, notes.handler("last")]).await.unwrap();
    hub.start_child(counter("c")).await.unwrap().unwrap();
    // The hub serves while they are at it.
    hub.call::<Counter>(&id("c"), Ask::Add(1)).await.unwrap();
    assert_eq!(notes.all(), [""; 0]);
    until("the last one has run", || notes.all().len() == 1).await;
    let mut failed = Vec::new();
    while let Some(event) = events.try_next() {
        if let HubEvent::HandlerFailed { id, why, .. } = event {
            failed.push((id, why));
        }
    }
    let words = [("panics", "panicked: no"), ("at once", "panicked: never"), ("hangs", "it took longer than 1s")];
    assert_eq!(failed, words.map(|(id, why)| (id.into(), why.into())));
    assert_eq!(node.stats().hook_handlers_failed, 3);
}

#[tokio::test(start_paused = true)]
async fn alter_handlers_pass_the_recipe_on_and_leave_what_is_declared() {
    let (_node, hub) = one_node().await;
    let notes = Notes::default();
    let swaps = HookHandler::alter("swaps", |_, _| async { counter("another") }).priority(1);
    let panics = HookHandler::alter("panics", |_, _| async { panic!("no") }).priority(2);
    let kind = HookKind::ChildDataAlter;
    hub.register_hook_handlers(kind, [notes.alter("x"), notes.alter("y"), swaps, panics]).await.unwrap();
    let seen = Notes::default();
    let altered = seen.clone();
    let watch = HookHandler::alter("watch", move |_, spec: ChildSpec| {
        altered.add(format!("{:?}", spec.metadata.get("by")));
        async { spec }
    });
    hub.register_hook_handlers(kind, [watch.priority(-1)]).await.unwrap();
    hub.start_children([counter("c")]).metadata(Metadata::new().with("tag", "t")).await.unwrap();
    assert_eq!(seen.all(), [r#"Some(Text("xy"))"#]);
    let declared = hub.child_lookup(&id("c")).unwrap().spec.unwrap();
    assert_eq!((declared.metadata.tag(), declared.metadata.get("by")), (Some("t"), None));
    // A handler that hangs costs its time, and the start goes on without it.
    let hangs = HookHandler::alter("hangs", |_, _| std::future::pending()).timeout(Duration::from_secs(2));
    hub.register_hook_handlers(kind, [hangs]).await.unwrap();
    hub.start_child(counter("d")).await.unwrap().unwrap();
    hub.cancel_hook_handlers(kind, ["x", "y", "swaps", "panics", "watch", "hangs"]).await.unwrap();
    hub.start_child(counter("e")).await.unwrap().unwrap();
    assert_eq!(seen.all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_told_on_every_node() {
    let nodes = cluster(&Network::default(), 3).await;
    let told: Vec<Notes> = nodes.iter().map(|_| Notes::default()).collect();
    for ((_, hub), notes) in nodes.iter().zip(&told) {
        hub.register_hook_handlers(HookKind::ChildPidUpdated, [notes.handler("h")]).await.unwrap();
    }
    let hub = &nodes[0].1;
    let pid = hub.start_child(counter("c")).await.unwrap().unwrap();
    hub.call::<Counter>(&id("c"), Ask::Panic).await.unwrap_err();
    until("it is back", || hub.get_pid(&id("c")).is_some_and(|new| new != pid)).await;
    until("all were told", || told.iter().all(|notes| notes.all() == ["h child_pid_updated"])).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_once() {
    for leaves in [true, false] {
        let (node, hub) = one_node().await;
        let notes = Notes::default();
        hub.register_hook_handlers(HookKind::CoordinatorShutdown, [notes.handler("h")]).await.unwrap();
        if leaves {
            node.leave(Duration::from_secs(5)).await.unwrap();
        } else {
            node.shutdown().await;
        }
        until("it was told", || !notes.all().is_empty()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(notes.all(), ["h coordinator_shutdown"]);
        let closed = hub.register_hook_handlers(HookKind::PreNodeJoin, []).await;
        assert!(matches!(closed, Err(HookError::Closed(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(200) })]

    #[test]
    fn handlers_that_come_and_go_run_as_a_reference_says(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (_node, hub) = one_node().await;
            any_order::run(&hub, &bytes, true, counter).await;
        });
    }
}
