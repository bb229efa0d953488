//! See the body, which the driver's tests run as well.

#![no_main]

use libfuzzer_sys::fuzz_target;
use process_hub::SpecExt;
use process_hub::core::spec::ChildSpec;

#[path = "../bodies/hooks.rs"]
mod body;
#[path = "../../hub/tests/support/mod.rs"]
mod support;

fuzz_target!(|bytes: &[u8]| {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let node = support::node(&support::Network::default(), "n1", &[]).await;
        let hub = support::hub(&node).await;
        let child = |name: &str| ChildSpec::of::<support::Counter>(name, 0).expect("a name");
        // A panic, be it caught or not, is what libFuzzer looks for.
        body::run(&hub, bytes, false, child).await;
    });
});
