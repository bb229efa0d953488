//! The kinds that the program `process-hub` can run. They are children like any other: read them as examples.

mod counter;
mod echo;

pub use counter::{Count, Counter, CounterMessage};
pub use echo::{AnyJson, Echo};
