//! A host that nobody has heard of.

use process_hub_core::config::NodeConfig;

use super::HostId;
use super::host::{Clock, Host};
use super::world::{World, address, node_name};

impl World {
    /// One more host, which looks for these and reaches nobody else.
    pub(crate) fn add_host(&mut self, core: &[HostId]) -> HostId {
        let host = self.hosts.len();
        let mut config = NodeConfig::new(node_name(host), address(host));
        config.join = core.iter().map(|other| address(*other).into()).collect();
        config.membership = self.hosts[0].config.membership.clone();
        self.hosts.push(Host::new(config, Clock { offset: 1, ppm: 0 }));
        self.net.add_host(self.config.delay);
        self.sent.push(0);
        self.watch.truth.add_host();
        if let Some(history) = &mut self.history {
            history.join(node_name(host).as_str());
        }
        for other in (0..host).filter(|other| !core.contains(other)) {
            self.cut(host, other);
            self.cut(other, host);
        }
        host
    }
}

/// A matrix of so many hosts, as it is with one more.
pub(crate) fn widened<T: Clone>(matrix: &[T], hosts: usize, fill: &T) -> Vec<T> {
    let wide = hosts + 1;
    let cell = |at: usize| {
        let (from, to) = (at / wide, at % wide);
        if from < hosts && to < hosts { &matrix[from * hosts + to] } else { fill }
    };
    (0..wide * wide).map(|at| cell(at).clone()).collect()
}
