//! The read view: a mirror of the registry that any thread reads without asking the driver.
//!
//! Only the driver writes. Readers of different children touch different shards. A row names its member through a
//! cell that the driver marks dead in the moment the member leaves the view, so that no reader is shown an instance of
//! a member that is gone, however many rows it had.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashTable;
use process_hub_core::id::{ChildId, Member, Pid, Token};
use process_hub_core::registry::{Lookup, Placement};
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::steering::Steering;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::handle::{ChildList, ChildLookup};

const SHARDS: usize = 64;

/// The mirror of one hub's registry.
pub(crate) struct ReadView {
    // Kept from everybody else, so that ids cannot be chosen to collide.
    seed: u64,
    shards: Box<[RwLock<HashTable<Row>>]>,
    members: RwLock<Arc<[Member]>>,
    cells: Mutex<HashMap<Member, Arc<MemberCell>>>,
    /// How often the hub was locked or unlocked: odd while it has no quorum, so that all of this may be out of date.
    locks: AtomicU64,
    steering: RwLock<Arc<Steering>>,
}

struct Row {
    id: ChildId,
    spec: Option<Arc<ChildSpec>>,
    placed: SmallVec<[Placed; 1]>,
}

struct Placed {
    member: Arc<MemberCell>,
    sequence: u64,
    counter: u64,
    // Nearly always the member itself; then nothing is kept.
    issuer: Option<Box<Member>>,
    lineage: u32,
    role: Role,
}

/// A member as rows refer to it. Once dead it stays dead: a member that returns gets a new one.
struct MemberCell {
    member: Member,
    alive: AtomicBool,
}

impl ReadView {
    pub(crate) fn new(seed: u64, local: Member) -> Self {
        Self {
            seed,
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            members: RwLock::new(Arc::new([local])),
            cells: Mutex::default(),
            locks: AtomicU64::new(0),
            steering: RwLock::default(),
        }
    }

    // ---- writing: the driver

    /// Whether the hub is locked from here on. What a locked hub knows is put in after this says that it is locked, and what
    /// it knows once it is unlocked before this says so: then no answer lacks its mark.
    pub(crate) fn lock(&self, locked: bool) {
        let locks = self.locks.load(Ordering::Relaxed);
        if is_odd(locks) != locked {
            self.locks.store(locks + 1, Ordering::Release);
        }
    }

    /// What operators have said, as of here.
    pub(crate) fn steer(&self, steering: Steering) {
        *self.steering.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(steering);
    }

    /// Mirrors what the core's registry answers for `id`.
    pub(crate) fn apply(&self, id: &ChildId, lookup: Option<Lookup>) {
        let hash = self.hash(id);
        let row = lookup.map(|lookup| Row {
            id: id.clone(),
            spec: lookup.spec,
            placed: lookup.placements.into_iter().map(|placement| self.placed(placement)).collect(),
        });
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        match (shard.find_mut(hash, |row| row.id == *id), row) {
            (Some(old), Some(new)) => *old = new,
            (None, Some(new)) => {
                shard.insert_unique(hash, new, |row| self.hash(&row.id));
            }
            (Some(_), None) => {
                if let Ok(entry) = shard.find_entry(hash, |row| row.id == *id) {
                    entry.remove();
                }
            }
            (None, None) => {}
        }
    }

    /// Installs the view: from here on, no row of a life other than those of `shown` is shown. (A member whose boot was
    /// raised goes by another one in `members` than in its pids.)
    pub(crate) fn install(&self, members: Vec<Member>, shown: &[Member]) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.retain(|member, cell| {
            let stays = shown.contains(member);
            if !stays {
                cell.alive.store(false, Ordering::Release);
            }
            stays
        });
        drop(cells);
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members.into();
    }

    fn placed(&self, placement: Placement) -> Placed {
        let Placement { pid, role, token } = placement;
        let sequence = pid.sequence;
        let issuer = Member { node: token.node, boot: token.boot };
        let member = self.cell(pid.member());
        let issuer = (issuer != member.member).then(|| Box::new(issuer));
        Placed { member, sequence, counter: token.counter, issuer, lineage: token.lineage, role }
    }

    fn cell(&self, member: Member) -> Arc<MemberCell> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(&member) {
            return cell.clone();
        }
        let cell = Arc::new(MemberCell { member: member.clone(), alive: AtomicBool::new(true) });
        cells.insert(member, cell.clone());
        cell
    }

    // ---- reading: anybody

    pub(crate) fn is_locked(&self) -> bool {
        is_odd(self.locks.load(Ordering::Acquire))
    }

    pub(crate) fn pid(&self, id: &ChildId) -> Option<Pid> {
        let hash = self.hash(id);
        let shard = self.read(hash);
        shard.find(hash, |row| row.id == *id)?.live().next().map(Placed::pid)
    }

    pub(crate) fn pids(&self, id: &ChildId) -> Vec<Pid> {
        let hash = self.hash(id);
        let shard = self.read(hash);
        let row = shard.find(hash, |row| row.id == *id);
        row.map_or_else(Vec::new, |row| row.live().map(Placed::pid).collect())
    }

    pub(crate) fn lookup(&self, id: &ChildId) -> Option<ChildLookup> {
        let hash = self.hash(id);
        let (found, stale) = self.marked(|| self.read(hash).find(hash, |row| row.id == *id)?.lookup());
        found.map(|lookup| marked(lookup, stale))
    }

    /// Running children, those of one member or of all, whose recipe passes `wanted`, sorted by name.
    pub(crate) fn list(&self, only: Option<&Member>, wanted: impl Fn(&ChildSpec) -> bool) -> ChildList {
        let (mut children, stale) = self.marked(|| self.running(only, wanted));
        children.sort_unstable();
        ChildList { children, stale }
    }

    fn running(&self, only: Option<&Member>, wanted: impl Fn(&ChildSpec) -> bool) -> Vec<(ChildId, Vec<Pid>)> {
        let mut list = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for row in shard.iter().filter(|row| row.spec.as_deref().is_some_and(&wanted)) {
                let here = |placed: &&Placed| only.is_none_or(|only| placed.member.member == *only);
                let pids: Vec<Pid> = row.live().filter(here).map(Placed::pid).collect();
                if !pids.is_empty() {
                    list.push((row.id.clone(), pids));
                }
            }
        }
        list
    }

    pub(crate) fn dump(&self) -> BTreeMap<ChildId, ChildLookup> {
        let (rows, stale) = self.marked(|| {
            let mut rows = Vec::new();
            for shard in &self.shards {
                let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
                rows.extend(shard.iter().filter_map(|row| Some((row.id.clone(), row.lookup()?))));
            }
            rows
        });
        rows.into_iter().map(|(id, lookup)| (id, marked(lookup, stale))).collect()
    }

    /// Reads, and says whether the hub was locked at any moment meanwhile. (Whoever sees a row or a cell that was written
    /// under a lock sees that lock, too: the one was written after the other.)
    fn marked<T>(&self, read: impl FnOnce() -> T) -> (T, bool) {
        let before = self.locks.load(Ordering::Acquire);
        let found = read();
        (found, is_odd(before) || self.locks.load(Ordering::Acquire) != before)
    }

    /// How many copies run on each member of the view that runs any.
    pub(crate) fn copies(&self) -> BTreeMap<Member, usize> {
        let mut copies: Vec<(Arc<MemberCell>, usize)> = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for placed in shard.iter().flat_map(Row::live) {
                match copies.iter_mut().find(|(cell, _)| Arc::ptr_eq(cell, &placed.member)) {
                    Some((_, count)) => *count += 1,
                    None => copies.push((placed.member.clone(), 1)),
                }
            }
        }
        copies.into_iter().map(|(cell, count)| (cell.member.clone(), count)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    pub(crate) fn members(&self) -> Arc<[Member]> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn steering(&self) -> Arc<Steering> {
        self.steering.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hash(&self, id: &ChildId) -> u64 {
        xxh3_64_with_seed(id.as_str().as_bytes(), self.seed)
    }

    fn shard(&self, hash: u64) -> &RwLock<HashTable<Row>> {
        // The table uses the low bits and the top seven: take others.
        let shard = usize::try_from(hash >> 32).unwrap_or_default() % SHARDS;
        &self.shards[shard]
    }

    fn read(&self, hash: u64) -> RwLockReadGuard<'_, HashTable<Row>> {
        self.shard(hash).read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn live(&self) -> impl Iterator<Item = &Placed> {
        self.placed.iter().filter(|placed| placed.member.alive.load(Ordering::Acquire))
    }

    fn lookup(&self) -> Option<Lookup> {
        let placements: Vec<_> = self.live().map(Placed::placement).collect();
        // A row that a gone member alone upheld says nothing any more.
        (self.spec.is_some() || !placements.is_empty()).then(|| Lookup { spec: self.spec.clone(), placements })
    }
}

impl Placed {
    fn pid(&self) -> Pid {
        let member = &self.member.member;
        Pid { node: member.node.clone(), boot: member.boot, sequence: self.sequence }
    }

    fn placement(&self) -> Placement {
        let issuer = self.issuer.as_deref().unwrap_or(&self.member.member);
        let (node, boot) = (issuer.node.clone(), issuer.boot);
        let token = Token { lineage: self.lineage, counter: self.counter, node, boot };
        Placement { pid: self.pid(), role: self.role, token }
    }
}

fn is_odd(locks: u64) -> bool {
    locks % 2 == 1
}

fn marked(lookup: Lookup, stale: bool) -> ChildLookup {
    let Lookup { spec, placements } = lookup;
    ChildLookup { spec, placements, stale }
}

impl fmt::Debug for ReadView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadView").field("rows", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
