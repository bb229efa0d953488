//! What hosts keep of what is declared while their processes do not run.

use process_hub_core::request::Request;
use process_hub_core::saved::SavedPart;

use super::event::HostId;
use super::world::World;

impl World {
    /// Writes down what is declared, as a host knows it.
    pub(crate) fn save(&mut self, host: HostId) {
        let Some(hub) = self.hub(host) else { return };
        let mut saving = hub.begin_saving();
        let parts = std::iter::from_fn(|| hub.save_part(&mut saving));
        let disk = parts.map(|part| {
            let mut bytes = Vec::new();
            match part.encode(&mut bytes) {
                Ok(()) => bytes,
                Err(error) => unreachable!("whatever is declared has an encoding: {error}"),
            }
        });
        self.hosts[host].disk = disk.collect();
        self.count("saved");
    }

    /// Hands a node what was saved.
    pub(super) fn restore(&mut self, host: HostId) {
        for bytes in self.hosts[host].disk.clone() {
            let part = match SavedPart::decode(&bytes) {
                Ok(part) => Box::new(part),
                Err(error) => unreachable!("what was encoded is read back: {error}"),
            };
            let hub = self.hub_id().clone();
            self.request(host, Request::Restore { hub, part });
            self.count("restored");
        }
    }
}
