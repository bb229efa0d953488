//! A node without std. That this links is the proof: std in any dependency brings a second panic handler, which the
//! compiler refuses. It then runs a node's first steps, and ends with status 0 if they came out as they should.

#![no_std]
#![no_main]

use core::ffi::{c_char, c_int};

use process_hub_core::config::NodeConfig;
use process_hub_core::id::{Boot, NodeId};
use process_hub_core::{Effect, Effects, Input, Node, Time};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    abort()
}

/// The precompiled `alloc` names this function and the next even where panics abort and nothing can call them.
// SAFETY: no other definition is linked in, since std is not.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    abort()
}

// SAFETY: the C runtime's entry point, once in the program.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(!first_steps().unwrap_or(false))
}

/// Whether a node that is to join another dials it.
fn first_steps() -> Option<bool> {
    let mut config = NodeConfig::new(NodeId::new("n1").ok()?, "127.0.0.1:7401");
    config.join.push("127.0.0.1:7402".into());
    let mut node = Node::new(config, Boot(1), 7).ok()?;
    let mut effects = Effects::new();
    node.handle(Time::ZERO, Input::Tick, &mut effects);
    let dials = effects.iter().any(|effect| matches!(effect, Effect::Dial { .. }));
    Some(dials && node.next_timeout().is_some())
}
