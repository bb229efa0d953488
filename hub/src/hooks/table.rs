//! Which handlers are registered. Written by the driver alone (and the hub's builder before there is one).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use process_hub_core::hook::HookKind;

use crate::hooks::{Change, HandlerInfo, HookError, HookHandler};

/// The handlers of a hub on this node.
#[derive(Default)]
pub(crate) struct Hooks {
    /// Those of each kind in the order in which they are run.
    handlers: RwLock<BTreeMap<HookKind, Arc<[HookHandler]>>>,
    /// One bit for each kind that has any.
    wanted: AtomicU64,
}

impl Hooks {
    /// Whether there are handlers of this kind. Costs next to nothing.
    pub(crate) fn wants(&self, kind: HookKind) -> bool {
        self.wanted.load(Ordering::Acquire) & bit(kind) != 0
    }

    pub(crate) fn of(&self, kind: HookKind) -> Arc<[HookHandler]> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        handlers.get(&kind).cloned().unwrap_or_default()
    }

    pub(crate) fn list(&self) -> Vec<HandlerInfo> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        let of_kind = |(kind, handlers): (&HookKind, &Arc<[HookHandler]>)| {
            let info =
                |handler: &HookHandler| HandlerInfo { kind: *kind, id: handler.id.clone(), priority: handler.priority };
            handlers.iter().map(info).collect::<Vec<_>>()
        };
        handlers.iter().flat_map(of_kind).collect()
    }

    pub(crate) fn change(&self, change: Change) -> Result<(), HookError> {
        match change {
            Change::Register(kind, group) => self.register(kind, group),
            Change::Cancel(kind, ids) => {
                self.put(kind, self.of(kind).iter().filter(|handler| !ids.contains(&handler.id)).cloned().collect());
                Ok(())
            }
        }
    }

    fn register(&self, kind: HookKind, group: Vec<HookHandler>) -> Result<(), HookError> {
        if let Some(wrong) = group.iter().find(|handler| !handler.fits(kind)) {
            return Err(HookError::WrongKind { kind, id: wrong.id.clone() });
        }
        let mut all = self.of(kind).to_vec();
        let mut taken: BTreeSet<_> = all.iter().map(|handler| handler.id.clone()).collect();
        let ids: Vec<_> = group.iter().map(|handler| &handler.id).filter(|id| !taken.insert((*id).clone())).collect();
        if !ids.is_empty() {
            return Err(HookError::AlreadyRegistered { kind, ids: ids.into_iter().cloned().collect() });
        }
        all.extend(group);
        // Stable: ties stay in the order of their registration.
        all.sort_by_key(|handler| std::cmp::Reverse(handler.priority));
        self.put(kind, all);
        Ok(())
    }

    fn put(&self, kind: HookKind, all: Vec<HookHandler>) {
        let mut handlers = self.handlers.write().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            self.wanted.fetch_and(!bit(kind), Ordering::Release);
            handlers.remove(&kind);
        } else {
            handlers.insert(kind, all.into());
            self.wanted.fetch_or(bit(kind), Ordering::Release);
        }
    }
}

fn bit(kind: HookKind) -> u64 {
    1 << (kind as u32 % u64::BITS)
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(id: &str, priority: i32) -> HookHandler {
        HookHandler::new(id, |_, _| async {}).priority(priority)
    }

    fn ids(hooks: &Hooks, kind: HookKind) -> Vec<String> {
        hooks.of(kind).iter().map(|handler| handler.id.to_string()).collect()
    }

    #[test]
    fn higher_priorities_come_first_and_ties_as_registered() {
        let (hooks, kind) = (Hooks::default(), HookKind::ChildRegistered);
        assert!(!hooks.wants(kind));
        hooks.change(Change::Register(kind, vec![handler("b", 0), handler("low", -1), handler("a", 0)])).unwrap();
        hooks.change(Change::Register(kind, vec![handler("high", 9), handler("c", 0)])).unwrap();
        assert_eq!(ids(&hooks, kind), ["high", "b", "a", "c", "low"]);
        assert!(hooks.wants(kind) && !hooks.wants(HookKind::ChildUnregistered));
    }

    #[test]
    fn a_duplicate_refuses_the_group() {
        let (hooks, kind) = (Hooks::default(), HookKind::ChildRegistered);
        hooks.change(Change::Register(kind, vec![handler("a", 0)])).unwrap();
        let refused = hooks.change(Change::Register(kind, vec![handler("b", 0), handler("a", 0)]));
        assert_eq!(refused, Err(HookError::AlreadyRegistered { kind, ids: vec!["a".into()] }));
        let refused = hooks.change(Change::Register(kind, vec![handler("c", 0), handler("c", 0)]));
        assert_eq!(refused, Err(HookError::AlreadyRegistered { kind, ids: vec!["c".into()] }));
        assert_eq!(ids(&hooks, kind), ["a"]);
        // Another kind is another matter.
        hooks.change(Change::Register(HookKind::PreNodeJoin, vec![handler("a", 0)])).unwrap();
        assert_eq!(hooks.list().len(), 2);
    }

    #[test]
    fn unknown_ids_are_cancelled_in_peace() {
        let (hooks, kind) = (Hooks::default(), HookKind::ChildRegistered);
        hooks.change(Change::Cancel(kind, vec!["nobody".into()])).unwrap();
        hooks.change(Change::Register(kind, vec![handler("a", 0), handler("b", 0)])).unwrap();
        hooks.change(Change::Cancel(kind, vec!["a".into(), "nobody".into()])).unwrap();
        assert_eq!(ids(&hooks, kind), ["b"]);
        hooks.change(Change::Cancel(kind, vec!["b".into()])).unwrap();
        assert!(!hooks.wants(kind) && hooks.list().is_empty());
    }

    #[test]
    fn an_alter_handler_is_for_the_alter_hook_alone() {
        let hooks = Hooks::default();
        let alter = || HookHandler::alter("x", |_, spec| async { spec });
        let refused = hooks.change(Change::Register(HookKind::ChildRegistered, vec![alter()]));
        assert_eq!(refused, Err(HookError::WrongKind { kind: HookKind::ChildRegistered, id: "x".into() }));
        let refused = hooks.change(Change::Register(HookKind::ChildDataAlter, vec![handler("x", 0)]));
        assert_eq!(refused, Err(HookError::WrongKind { kind: HookKind::ChildDataAlter, id: "x".into() }));
        hooks.change(Change::Register(HookKind::ChildDataAlter, vec![alter()])).unwrap();
    }
}
