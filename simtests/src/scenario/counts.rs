//! How much work a script has made.

use super::Cluster;

impl Cluster {
    /// How many inputs all nodes have handled so far.
    #[must_use]
    pub fn inputs(&self) -> u64 {
        self.world.inputs
    }

    /// How many messages all nodes have sent so far.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.world.sent.iter().sum()
    }

    /// How many instances of children have been started so far.
    #[must_use]
    pub fn started(&self) -> usize {
        self.world.watch.truth.instances.len()
    }
}
