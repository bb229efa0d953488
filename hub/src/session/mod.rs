//! Links to other nodes.

pub(crate) mod outbox;
