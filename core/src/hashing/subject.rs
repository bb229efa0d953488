//! What, beside the view, decides where a declared child belongs.

use alloc::sync::Arc;

use crate::message::Assignment;
use crate::spec::{ChildSpec, Labels};

/// A child, as far as its owners depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// Of its id.
    pub(crate) hash: u64,
    /// Its recipe, where it is declared.
    pub(crate) spec: Option<&'a Arc<ChildSpec>>,
    /// The nodes that somebody chose for it: they go before what the distribution says.
    pub(crate) assigned: Option<&'a Assignment>,
}

impl<'a> Subject<'a> {
    /// A child that is not declared.
    pub(crate) fn undeclared(hash: u64) -> Self {
        Self { hash, spec: None, assigned: None }
    }

    /// The labels that its nodes must have.
    pub(crate) fn requires(&self) -> Option<&'a Labels> {
        self.spec.map(|spec| &spec.requires).filter(|labels| !labels.is_empty())
    }
}
