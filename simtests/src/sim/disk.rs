//! What hosts keep of what is declared while their processes do not run.

use process_hub_core::request::Request;
use process_hub_core::saved::SavedPart;

use super::event::HostId;
use super::world::World;

impl World {
    /// Writes down what is declared, as a host knows it: where something has changed since this life has done so last, as a
    /// driver does.
    pub(crate) fn save(&mut self, host: HostId) {
        let Some(hub) = self.hub(host) else { return };
        let print = (self.hosts[host].lives, hub.saved_print());
        if self.hosts[host].saved == Some(print) {
            return self.count("nothing_to_save");
        }
        let mut saving = hub.begin_saving();
        let parts = std::iter::from_fn(|| hub.save_part(&mut saving));
        let disk = parts.map(|part| {
            let mut bytes = Vec::new();
            match part.encode(&mut bytes) {
                Ok(()) => bytes,
                Err(error) => unreachable!("whatever is declared has an encoding: {error}"),
            }
        });
        (self.hosts[host].disk, self.hosts[host].saved) = (disk.collect(), Some(print));
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
