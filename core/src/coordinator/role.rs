//! Which copy of a child serves where one does and the others stand by.
//!
//! A copy stands by when it starts. Only the first owner promotes, only its own copy, only in a complete view (so that
//! it has all rows of the others as of it), and only while nobody's copy is active: whoever was promoted in an earlier
//! view stays so as long as it owns the child. Of two active copies that a partition has made, the one later among the
//! owners steps back.

use super::Step;
use crate::config::Model;
use crate::effect::Effect;
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::message::RowState;
use crate::registry::{Key, Row};
use crate::spec::Role;

impl Hub {
    /// Promotes or demotes this node's running copy of a child, if that is due, and tells everybody.
    pub(super) fn settle_role(&mut self, step: &mut Step<'_>, key: &Key) {
        if !self.take_due_role(key) {
            return;
        }
        let Some(row) = self.registry.record(key).and_then(|record| record.mine()).cloned() else { return };
        self.outbox.row(&self.registry, &key.id, &row);
        self.tell_role(step, key, &row);
        let (id, pid) = (key.id.clone(), self.registry.pid(&row));
        self.hook(step, HookEvent::ChildRoleChanged { id, pid, role: row.role });
        self.changed(step, &key.id);
        if row.role == Role::Active {
            self.retry_waiting(step, key);
        }
    }

    /// Gives this node's running copy the role it is to have. Says whether that is another one than before; a copy that
    /// was promoted has a new token.
    pub(super) fn take_due_role(&mut self, key: &Key) -> bool {
        if self.config.redundancy.model() != Model::ActivePassive {
            return false;
        }
        if !self.view.is_complete() {
            self.work.wait(key);
            return false;
        }
        if !self.has_heard_all_out() {
            self.work.wait(key);
        }
        let Some(role) = self.due_role(key) else { return false };
        let token = if role == Role::Active {
            let Some(token) = self.take_token(key) else { return false };
            Some(token)
        } else {
            None
        };
        let lineage = self.quorum.lineage;
        self.registry.edit_mine(key, |row| {
            row.role = role;
            if let Some(token) = token {
                (row.token, row.lineage) = (token, lineage);
            }
        });
        true
    }

    /// The role that this node's running copy is to change to.
    fn due_role(&self, key: &Key) -> Option<Role> {
        let record = self.registry.record(key)?;
        let mine = record.mine().filter(|row| row.state == RowState::Running)?;
        let subject = record.subject(key)?;
        let owners = self.view.owners(&subject);
        let place = owners.iter().position(|node| **node == self.me.node)?;
        let mut active = record.theirs(&self.registry).filter(|row| row.role == Role::Active);
        let before_me = |row: &Row| owners[..place].contains(&self.registry.node_of(row));
        #[cfg(feature = "sabotage")]
        match (self.config.sabotage, mine.role) {
            (Some(crate::config::Sabotage::NeverPromote), _) => return None,
            (Some(crate::config::Sabotage::PromoteEarly), Role::Passive) if place == 0 => return Some(Role::Active),
            _ => {}
        }
        match mine.role {
            // While it is held, its first owner is about to be another.
            Role::Passive
                if place == 0
                    && active.next().is_none()
                    && !self.view.is_held(&subject)
                    && self.knows_all(key, record) =>
            {
                Some(Role::Active)
            }
            Role::Active if active.any(before_me) => Some(Role::Passive),
            Role::Active | Role::Passive => None,
        }
    }

    /// Tells an instance of this node which part it plays.
    pub(super) fn tell_role(&self, step: &mut Step<'_>, key: &Key, row: &Row) {
        step.fx.push(Effect::SetRole {
            hub: self.config.id.clone(),
            id: key.id.clone(),
            sequence: row.sequence,
            role: row.role,
            token: self.registry.token(row),
        });
    }
}
