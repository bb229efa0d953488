//! A cluster of one's own children, simulated: carts that move from node to node while customers fill them. One of the two
//! kinds of cart has a bug that an ordinary test does not show, and the simulation finds it:
//!
//! ```sh
//! cargo sim-example
//! ```

#![cfg_attr(madsim, allow(clippy::unwrap_used, clippy::expect_used, reason = "an example of a test"))]

#[cfg(not(madsim))]
fn main() {
    eprintln!("this is a simulation: run it with `cargo sim-example`, which compiles it with --cfg madsim");
    std::process::exit(2);
}

#[cfg(madsim)]
fn main() {
    use simulated::{carts_are_filled_while_they_move, simulation};

    let ran = simulation::<false>().run(carts_are_filled_while_they_move::<false>);
    println!("carts that hand over all they hold: {} seeds, nothing lost", ran.seeds);

    println!("carts that forget what is not yet sorted in:");
    let careless = || simulation::<true>().run(carts_are_filled_while_they_move::<true>);
    // The harness prints the seed, and the line that repeats it.
    let found = std::panic::catch_unwind(careless).expect_err("the bug is found");
    let text = found.downcast_ref::<String>().map_or("a panic without words", String::as_str);
    println!("found: {text}");
}

#[cfg(madsim)]
mod simulated {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use madsim::rand::{Rng, thread_rng};
    use madsim::time::sleep;
    use process_hub::core::config::Migration;
    use process_hub::core::id::ChildId;
    use process_hub::core::spec::ChildSpec;
    use process_hub::{Child, ChildError, Context, SpecExt, State};
    use process_hub_madsim::{Cluster, Simulation};
    use serde::{Deserialize, Serialize};

    /// Holds what was put into it. Sorting in is dear, so it does that three at a time.
    #[derive(Default)]
    pub(crate) struct Cart<const FORGETS: bool> {
        sorted: BTreeSet<u64>,
        new: Vec<u64>,
    }

    #[derive(Serialize, Deserialize)]
    pub(crate) enum Ask {
        Put(u64),
        Show,
    }

    impl<const FORGETS: bool> Child for Cart<FORGETS> {
        const KIND: &'static str = "cart";
        type Args = ();
        type Message = Ask;
        type Reply = BTreeSet<u64>;

        async fn start((): (), _: &mut Context<Self>) -> Result<Self, ChildError> {
            Ok(Self::default())
        }

        async fn handle(&mut self, message: Ask, _: &mut Context<Self>) -> BTreeSet<u64> {
            match message {
                Ask::Put(item) => {
                    self.new.push(item);
                    if self.new.len() == 3 {
                        self.sorted.extend(self.new.drain(..));
                    }
                    BTreeSet::new()
                }
                Ask::Show => self.sorted.iter().chain(&self.new).copied().collect(),
            }
        }

        async fn prepare_handover(&mut self, _: &mut Context<Self>) -> Result<Option<State>, ChildError> {
            if !FORGETS {
                self.sorted.extend(self.new.drain(..));
            }
            State::of(&self.sorted).map(Some)
        }

        async fn accept_handover(&mut self, state: State, _: &mut Context<Self>) -> Result<(), ChildError> {
            self.sorted = state.read()?;
            Ok(())
        }
    }

    pub(crate) fn simulation<const FORGETS: bool>() -> Simulation {
        Simulation::of(|hub| hub.child::<Cart<FORGETS>>())
            .hub(|config| config.migration = Migration::hot_swap().with_handover())
            .seeds(0..20)
    }

    /// Three carts, a customer who fills them, and an operator who drains a node meanwhile: what a cart has taken, it has.
    pub(crate) async fn carts_are_filled_while_they_move<const FORGETS: bool>(cluster: Arc<Cluster>) {
        let names = ["red", "green", "blue"].map(|name| ChildId::new(name).unwrap());
        let carts = names.iter().map(|name| ChildSpec::of::<Cart<FORGETS>>(name.as_str(), ()).unwrap());
        cluster.hub(0).start_children(carts).await.unwrap();

        let operator = cluster.hub(thread_rng().gen_range(0..3));
        let drained = madsim::task::spawn(async move {
            sleep(Duration::from_millis(thread_rng().gen_range(0..2_000))).await;
            operator.drain(Duration::from_secs(30)).await
        });

        let mut taken = BTreeSet::new();
        for item in 0..60 {
            let cart = &names[thread_rng().gen_range(0..names.len())];
            if cluster.hub(0).call::<Cart<FORGETS>>(cart, Ask::Put(item)).await.is_ok() {
                taken.insert(item);
            }
            sleep(Duration::from_millis(thread_rng().gen_range(0..60))).await;
        }
        drained.await.unwrap().unwrap();

        let mut held = BTreeSet::new();
        for cart in &names {
            held.extend(cluster.hub(0).call::<Cart<FORGETS>>(cart, Ask::Show).await.unwrap());
        }
        let lost: Vec<_> = taken.difference(&held).collect();
        assert!(lost.is_empty(), "a cart has taken {lost:?}, and does not hold them any more");
    }
}
