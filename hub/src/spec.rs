//! Recipes written with types.

use process_hub_core::id::{ChildId, Kind};
use process_hub_core::spec::ChildSpec;

use crate::child::Child;
use crate::codec;
use crate::error::SpecError;

/// Adds typed construction to [`ChildSpec`].
pub trait SpecExt: Sized {
    /// A permanent child of the kind `C`, with these arguments and no metadata.
    ///
    /// # Errors
    /// When the id is no name, or the arguments cannot be encoded.
    fn of<C: Child>(id: impl AsRef<str>, args: C::Args) -> Result<Self, SpecError>;
}

impl SpecExt for ChildSpec {
    fn of<C: Child>(id: impl AsRef<str>, args: C::Args) -> Result<Self, SpecError> {
        Ok(ChildSpec::new(ChildId::new(id)?, Kind::new(C::KIND)?, codec::encode(&args)?))
    }
}
