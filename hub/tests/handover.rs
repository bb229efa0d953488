//! Children take their state along when they move, through the driver, on a network in memory.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process_hub::core::config::{HubConfig, Migration};
use process_hub::core::id::{ChildId, NodeId};
use process_hub::core::spec::ChildSpec;
use process_hub::core::steering::{Change, SteerError as Refused};
use process_hub::{Child, ChildError, Context, Hub, ListScope, NodeHandle, SpecExt, State, SteerError};
use serde::{Deserialize, Serialize};
use support::{Network, config, id, node, until};

const SOON: Duration = Duration::from_secs(20);

/// Remembers every number that it was told, in order.
struct Ledger {
    told: Vec<u64>,
    mood: Mood,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Mood {
    Willing,
    /// Hands nothing over.
    Stubborn,
    /// Takes nothing over.
    Proud,
}

#[derive(Serialize, Deserialize)]
enum Tell {
    Note(u64),
    Read,
}

impl Child for Ledger {
    const KIND: &'static str = "ledger";
    type Args = Mood;
    type Message = Tell;
    type Reply = Vec<u64>;

    async fn start(mood: Mood, _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Ledger { told: Vec::new(), mood })
    }

    async fn handle(&mut self, message: Tell, ctx: &mut Context<Self>) -> Vec<u64> {
        match message {
            Tell::Note(n) => {
                // Long enough that others wait behind it.
                ctx.sleep(Duration::from_millis(1)).await;
                self.told.push(n);
                Vec::new()
            }
            Tell::Read => self.told.clone(),
        }
    }

    async fn prepare_handover(&mut self, _: &mut Context<Self>) -> Result<Option<State>, ChildError> {
        match self.mood {
            Mood::Stubborn => Err(ChildError::new("over my dead body")),
            _ => State::of(&self.told).map(Some),
        }
    }

    async fn accept_handover(&mut self, state: State, _: &mut Context<Self>) -> Result<(), ChildError> {
        if self.mood == Mood::Proud {
            return Err(ChildError::new("I start my own"));
        }
        self.told = state.read()?;
        Ok(())
    }
}

async fn open(node: &NodeHandle, migration: &Migration) -> Hub {
    let config = HubConfig { migration: migration.clone(), ..config() };
    node.hub(config).child::<Ledger>().start().await.unwrap()
}

async fn cluster(network: &Network, size: usize, migration: &Migration) -> Vec<(NodeHandle, Hub)> {
    let mut nodes = Vec::new();
    for number in 1..=size {
        let node = node(network, &format!("n{number}"), &["n1"]).await;
        let hub = open(&node, migration).await;
        nodes.push((node, hub));
    }
    until("all views are complete", || nodes.iter().all(|(_, hub)| hub.nodes(true).len() == size)).await;
    nodes
}

fn ledgers(count: usize, mood: Mood) -> Vec<ChildSpec> {
    (0..count).map(|n| ChildSpec::of::<Ledger>(format!("c{n}"), mood).unwrap()).collect()
}

fn here(hub: &Hub) -> usize {
    hub.process_list(ListScope::Local).len()
}

async fn read(hub: &Hub, child: &ChildId) -> Vec<u64> {
    hub.call::<Ledger>(child, Tell::Read).await.unwrap()
}

/// What callers have sent, and what of it was acknowledged.
#[derive(Default)]
struct Book {
    sent: BTreeMap<ChildId, BTreeSet<u64>>,
    acknowledged: BTreeMap<ChildId, BTreeSet<u64>>,
    refused: Vec<String>,
    over: bool,
}

/// So many call each child at a time: something waits in nearly every mailbox whenever its child moves.
const CALLERS: usize = 4;

/// Tells one child number after number until the book is closed.
async fn keep_telling(hub: Hub, child: ChildId, first: u64, book: Arc<Mutex<Book>>) {
    for number in (first..).step_by(CALLERS) {
        let child = child.clone();
        {
            let mut book = book.lock().unwrap();
            if book.over {
                return;
            }
            book.sent.entry(child.clone()).or_default().insert(number);
        }
        let told = hub.call::<Ledger>(&child, Tell::Note(number)).await;
        let mut book = book.lock().unwrap();
        match told {
            Ok(_) => drop(book.acknowledged.entry(child).or_default().insert(number)),
            Err(error) => book.refused.push(error.to_string()),
        }
    }
}

async fn nothing_is_lost_or_done_twice(migration: Migration) {
    let network = Network::default();
    let nodes = cluster(&network, 3, &migration).await;
    let (first, second) = (nodes[0].1.clone(), &nodes[1].1);
    first.start_children(ledgers(24, Mood::Willing)).await.unwrap();
    let book = Arc::new(Mutex::new(Book::default()));
    let tell = |n: usize| {
        let child = id(&format!("c{}", n / CALLERS));
        tokio::spawn(keep_telling(first.clone(), child, (n % CALLERS) as u64, book.clone()))
    };
    let callers: Vec<_> = (0..24 * CALLERS).map(tell).collect();

    // One joins, one is emptied and filled again, one leaves, one child is sent about.
    let fourth = open(&node(&network, "n4", &["n1"]).await, &migration).await;
    until("the fourth has its share", || here(&fourth) > 2).await;
    assert_eq!(second.drain(SOON).await, Ok(0));
    second.undrain().await.unwrap();
    until("the second has its share again", || here(second) > 2).await;
    assert_eq!(nodes[2].0.leave(SOON).await, Ok(0));
    let away = if first.get_pid(&id("c3")).unwrap().node.as_str() == "n1" { "n2" } else { "n1" };
    first.migrate(&id("c3"), &NodeId::new(away).unwrap(), SOON).await.unwrap();

    book.lock().unwrap().over = true;
    for caller in callers {
        caller.await.unwrap();
    }
    let book = std::mem::take(&mut *book.lock().unwrap());
    assert_eq!(book.refused, Vec::<String>::new(), "planned moves refuse nobody");
    for (child, sent) in &book.sent {
        let told = read(&first, child).await;
        let once: BTreeSet<u64> = told.iter().copied().collect();
        assert_eq!(once.len(), told.len(), "{child} was told twice: {told:?}");
        assert!(book.acknowledged[child].is_subset(&once), "{child} has forgotten something");
        assert!(once.is_subset(sent), "{child} was told what nobody sent");
    }
    let acknowledged: usize = book.acknowledged.values().map(BTreeSet::len).sum();
    assert!(acknowledged > 200, "{acknowledged}");
}

#[tokio::test(start_paused = true)]
async fn no_acknowledged_call_is_lost_or_applied_twice_under_hot_swap() {
    nothing_is_lost_or_done_twice(Migration::hot_swap().with_handover()).await;
}

#[tokio::test(start_paused = true)]
async fn no_acknowledged_call_is_lost_or_applied_twice_under_cold_swap() {
    nothing_is_lost_or_done_twice(Migration::cold_swap().with_handover()).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_hands_nothing_over_stays_and_serves() {
    let network = Network::default();
    let migration = Migration::hot_swap().with_handover();
    let nodes = cluster(&network, 1, &migration).await;
    let first = &nodes[0].1;
    first.start_children(ledgers(8, Mood::Stubborn)).await.unwrap();
    first.call::<Ledger>(&id("c1"), Tell::Note(7)).await.unwrap();
    let second = open(&node(&network, "n2", &["n1"]).await, &migration).await;
    until("it is there", || first.nodes(true).len() == 2).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((here(first), here(&second)), (8, 0));
    assert_eq!(read(&second, &id("c1")).await, [7]);
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_successor_refuses_stays_and_serves() {
    let network = Network::default();
    let migration = Migration::hot_swap().with_handover();
    let nodes = cluster(&network, 2, &migration).await;
    let first = &nodes[0].1;
    first.start_children(ledgers(1, Mood::Proud)).await.unwrap();
    first.call::<Ledger>(&id("c0"), Tell::Note(7)).await.unwrap();
    let before = first.get_pid(&id("c0")).unwrap();
    let away = if before.node.as_str() == "n1" { "n2" } else { "n1" };
    let refused = first.migrate(&id("c0"), &NodeId::new(away).unwrap(), Duration::from_secs(3)).await;
    assert!(matches!(refused, Err(SteerError::Refused(Refused::Timeout(_)))), "{refused:?}");
    assert_eq!(first.get_pid(&id("c0")), Some(before));
    assert_eq!(read(first, &id("c0")).await, [7]);
}

#[tokio::test(start_paused = true)]
async fn what_was_planned_is_what_takes_its_state_along() {
    let network = Network::default();
    let migration = Migration::hot_swap().with_handover();
    let nodes = cluster(&network, 2, &migration).await;
    let first = &nodes[0].1;
    first.start_children(ledgers(40, Mood::Willing)).await.unwrap();
    for n in 0..40 {
        first.call::<Ledger>(&id(&format!("c{n}")), Tell::Note(n)).await.unwrap();
    }
    let plan = first.plan(Change::Leave(NodeId::new("n2").unwrap())).await.unwrap();
    assert!(plan.total > 5, "{}", plan.total);
    assert_eq!(nodes[1].1.drain(SOON).await, Ok(0));
    for n in 0..40 {
        assert_eq!(read(first, &id(&format!("c{n}"))).await, [n]);
    }
    assert_eq!(here(first), 40);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_is_emptied_though_rebalancing_is_paused() {
    let network = Network::default();
    let migration = Migration::hot_swap().with_handover();
    let nodes = cluster(&network, 2, &migration).await;
    let (first, second) = (&nodes[0].1, &nodes[1].1);
    first.start_children(ledgers(20, Mood::Willing)).await.unwrap();
    first.pause().await.unwrap();
    assert!(here(second) > 2);
    assert_eq!(second.drain(SOON).await, Ok(0));
    assert_eq!(here(first), 20);
}
