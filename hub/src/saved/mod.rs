//! What hubs have declared, kept where it outlives the process: a cluster that ends as a whole comes back with its children.
//!
//! The driver gives what a hub has declared to a [`SavedStore`], in parts, whenever it has changed, and no more often than once
//! a second; when the hub is opened in a later life of the node, it hands back what was kept last. To the hub, that is one
//! more member that is compared with, and one that stood still since: what was stopped meanwhile, as anybody remembers, stays
//! stopped, and what nobody else knows of waits for `recovery_grace` before it is started.
//!
//! What has changed since the last saving is lost if all nodes end at once: a child that was started does not come back, and one
//! that was stopped does. A store has one file a hub ([`SavedWriter`], [`SavedFile`]); `process-hub-tcp` keeps these in a
//! directory.

mod file;

use std::fmt;
use std::sync::Arc;

pub use file::{SavedFile, SavedFileError, SavedWriter};
use process_hub_core::id::HubId;
pub use process_hub_core::saved::SavedPart;

/// Where what hubs have declared is kept.
pub trait SavedStore: Send + Sync + 'static {
    /// What was kept of a hub by an earlier life, all parts in their order; none if nothing was. Called once, when the hub is
    /// opened, by the driver: what is to be read from a disk must have been read before.
    fn load(&self, hub: &HubId) -> Vec<SavedPart>;

    /// Takes a part of what a hub has declared, or hands it back when there is no room: it is given again a little later. The
    /// parts of a saving come in their order; a first part begins a new one, whether or not the last of an earlier one has come.
    /// A saving replaces what was kept once its last part is there, and not before. Called by the driver between two steps,
    /// so it must return at once, whatever the disk does.
    ///
    /// # Errors
    /// Hands the part back.
    fn save(&self, part: Box<SavedPart>) -> Result<(), Box<SavedPart>>;

    /// What has become of the parts of that hub that were taken. One that was lost, such as for a full disk, is done again.
    fn outcome(&self, hub: &HubId) -> Outcome;
}

/// What has become of a saving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Some of what was taken is not written yet.
    Pending,
    /// All that was taken is where it outlives the process; also where nothing was.
    Written,
    /// The last saving that was begun is lost. What was kept before is still there.
    Lost,
}

/// A [`SavedStore`] without its type.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<dyn SavedStore>);

impl Store {
    /// To be given to [`crate::NodeOptions::store`].
    pub fn new(store: impl SavedStore) -> Self {
        Self(Arc::new(store))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
