//! The harness, as a user meets it: a child of one's own, simulated under many seeds, with a bug and without.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

process_hub_madsim::must_simulate!();

#[cfg(madsim)]
mod simulated {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use madsim::rand::{Rng, thread_rng};
    use madsim::time::sleep;
    use process_hub::core::id::ChildId;
    use process_hub::{Child, ChildError, Context, SpecExt, core::spec::ChildSpec};
    use process_hub_madsim::{Cluster, Simulation};
    use serde::{Deserialize, Serialize};

    thread_local! {
        /// The database of the tills. Each simulation has a thread of its own, and with it an empty one.
        static SAVED: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    fn saved(till: &str) -> u64 {
        SAVED.with_borrow(|saved| saved.get(till).copied().unwrap_or(0))
    }

    /// Adds up what is paid in, and saves it: after so many payments each.
    struct Till<const EVERY: u64> {
        name: String,
        sum: u64,
        unsaved: u64,
    }

    #[derive(Serialize, Deserialize)]
    struct Pay(u64);

    impl<const EVERY: u64> Child for Till<EVERY> {
        const KIND: &'static str = "till";
        type Args = String;
        type Message = Pay;
        type Reply = u64;

        async fn start(name: String, _: &mut Context<Self>) -> Result<Self, ChildError> {
            let sum = saved(&name);
            Ok(Till { name, sum, unsaved: 0 })
        }

        async fn handle(&mut self, Pay(amount): Pay, _: &mut Context<Self>) -> u64 {
            self.sum += amount;
            self.unsaved += 1;
            if self.unsaved >= EVERY {
                SAVED.with_borrow_mut(|saved| saved.insert(self.name.clone(), self.sum));
                self.unsaved = 0;
            }
            self.sum
        }
    }

    /// Customers pay at four tills while a machine dies and comes back; whatever was acknowledged must be saved.
    async fn a_busy_day<const EVERY: u64>(cluster: Arc<Cluster>) {
        let names: Vec<String> = (0..4).map(|number| format!("till{number}")).collect();
        let tills = names.iter().map(|name| ChildSpec::of::<Till<EVERY>>(name, name.clone()).unwrap());
        cluster.hub(0).start_children(tills).await.unwrap();
        let (dies, victim) = (thread_rng().gen_range(5..30), thread_rng().gen_range(1..3));
        let mut acknowledged = BTreeMap::<&str, u64>::new();
        for payment in 0..40 {
            if payment == dies {
                cluster.kill(victim);
                cluster.restart(victim);
            }
            let name = &names[thread_rng().gen_range(0..names.len())];
            // An error means: perhaps it was paid, perhaps not.
            if cluster.hub(0).call::<Till<EVERY>>(&ChildId::new(name).unwrap(), Pay(1)).await.is_ok() {
                *acknowledged.entry(name).or_default() += 1;
            }
            sleep(Duration::from_millis(thread_rng().gen_range(0..200))).await;
        }
        for (name, acknowledged) in acknowledged {
            let saved = saved(name);
            assert!(saved >= acknowledged, "{name}: {acknowledged} payments were acknowledged, {saved} are saved");
        }
    }

    fn words(panic: &(dyn std::any::Any + Send)) -> String {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    }

    #[test]
    fn a_till_that_saves_before_it_answers_loses_nothing() {
        let ran = Simulation::of(|hub| hub.child::<Till<1>>()).seeds(0..16).packet_loss(0.02).run(a_busy_day::<1>);
        assert!(ran.seeds > 0);
    }

    #[test]
    fn a_till_that_answers_before_it_has_saved_is_found_out() {
        let run = || Simulation::of(|hub| hub.child::<Till<5>>()).seeds(0..16).run(a_busy_day::<5>);
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("the bug is found");
        let said = words(&*panic);
        assert!(said.contains("payments were acknowledged"), "{said}");
    }

    #[test]
    fn a_scenario_that_is_not_its_seeds_alone_is_found_out() {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = || {
            Simulation::of(|hub| hub).seeds(0..1).run(|_| async {
                // Another time in each run: as a clock or a thread of one's own would be.
                sleep(Duration::from_millis(100 * RUNS.fetch_add(1, Ordering::SeqCst))).await;
            })
        };
        let said = words(&*catch_unwind(AssertUnwindSafe(run)).expect_err("two runs are not the same"));
        assert!(said.contains("two different runs"), "{said}");
    }

    #[test]
    fn a_cluster_that_was_cut_in_two_is_one_again() {
        Simulation::of(|hub| hub.child::<Till<1>>()).nodes(5).seeds(0..3).run(|cluster| async move {
            cluster.isolate(&[3, 4]);
            process_hub_madsim::until("both sides have noticed", || {
                cluster.hub(0).nodes(true).len() == 3 && cluster.hub(4).nodes(true).len() == 2
            })
            .await;
            cluster.rejoin(&[3, 4]);
            cluster.complete(5).await;
        });
    }
}
