//! The kinds of children a hub knows on this node: how to run one, without knowing its types.

#[cfg(feature = "json")]
pub(crate) mod json;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use process_hub_core::id::Kind;

use crate::child::Child;
use crate::error::OpenHubError;
use crate::instance::{Job, run};
use crate::runtime::BoxFuture;

/// How to run children of one kind.
pub(crate) trait AnyKind: Send + Sync {
    /// The task of one instance, from its start to its end.
    fn task(&self, job: Job) -> BoxFuture<()>;

    #[cfg(feature = "json")]
    fn json(&self) -> &dyn json::AnyJson;
}

pub(crate) struct Typed<C>(PhantomData<fn() -> C>);

impl<C: Child> AnyKind for Typed<C> {
    fn task(&self, job: Job) -> BoxFuture<()> {
        Box::pin(run::<C>(job))
    }

    #[cfg(feature = "json")]
    fn json(&self) -> &dyn json::AnyJson {
        self
    }
}

/// The registered kinds of a hub on this node.
#[derive(Clone, Default)]
pub(crate) struct Kinds(BTreeMap<Kind, Arc<dyn AnyKind>>);

impl Kinds {
    pub(crate) fn with<C: Child>(mut self) -> Result<Self, OpenHubError> {
        let kind = Kind::new(C::KIND)?;
        let typed = Arc::new(Typed::<C>(PhantomData));
        if self.0.insert(kind.clone(), typed).is_some() {
            return Err(OpenHubError::DuplicateKind(kind));
        }
        Ok(self)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Kind> {
        self.0.keys()
    }

    pub(crate) fn get(&self, kind: &Kind) -> Option<&dyn AnyKind> {
        self.0.get(kind).map(Arc::as_ref)
    }

    /// The known kinds, as a list for people.
    pub(crate) fn known(&self) -> String {
        if self.0.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<_> = self.0.keys().map(|kind| format!("`{kind}`")).collect();
        names.join(", ")
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
