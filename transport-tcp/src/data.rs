//! What a node's hubs have declared, in the files of a directory.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use process_hub::saved::{Outcome, SavedFile, SavedFileError, SavedPart, SavedStore, SavedWriter};
use process_hub_core::hashing::stable_hash;
use process_hub_core::id::HubId;

/// Parts that may wait to be written, of some 200 KiB each.
const WAITING: usize = 32;
/// How the files' names end, and what is put behind that while one is written.
const EXTENSION: &str = "phsaved";
const UNFINISHED: &str = "new";
/// How long what waits may take to be written as the directory is let go.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// What keeps another process out.
const LOCK: &str = "lock";

/// A directory with one file a hub: `NAME-HASH.phsaved`. It belongs to one node, which holds a lock on it while it runs.
///
/// A file is written as a whole beside the one before it, forced onto the disk, and then put in its place: after a crash of
/// the machine, too, there is one or the other. Writing happens on a thread of its own, which ends with the node.
#[derive(Debug)]
pub struct DataDir {
    saved: Mutex<BTreeMap<HubId, Vec<SavedPart>>>,
    progress: Progress,
    to_writer: Option<SyncSender<Box<SavedPart>>>,
    writer: Option<JoinHandle<()>>,
}

/// How far the writer is with each hub.
type Progress = Arc<Mutex<BTreeMap<HubId, Written>>>;

#[derive(Debug, Default)]
struct Written {
    /// Parts that were taken and are not written yet.
    waiting: usize,
    /// The saving that was begun last is lost.
    lost: bool,
}

/// A directory cannot be used. Nothing in it has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Something in it cannot be read or written.
    #[error("{} cannot hold the node's data ({source}): name a directory that can be written to", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("{} is in use by another process: give each node a directory of its own", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A file is not what was written.
    #[error(
        "{} cannot be restored, {source}: put a copy of it in its place, start the version that wrote it, or move it away once another node that knows these children is up",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// In which way.
        source: SavedFileError,
    },
    /// A file has not the name that it was given as it was written: there may be another, newer one of that hub.
    #[error("{} holds what was saved of hub `{hub}`: rename it to {name} if it is to be restored, or move it away", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// The hub that it is of.
        hub: HubId,
        /// The name that a node looks for.
        name: String,
    },
    /// A file is of another cluster.
    #[error("{} is of cluster `{of}`, and the node of `{cluster}`: name another directory", path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster that it is of.
        of: String,
        /// The node's.
        cluster: String,
    },
}

impl DataDir {
    /// Locks the directory, which is made if it is not there, and reads all that is in it.
    ///
    /// # Errors
    /// See [`DataDirError`]; no thread is left running.
    pub fn open(dir: impl Into<PathBuf>, cluster: &str) -> Result<Self, DataDirError> {
        let dir = dir.into();
        let at = |path: &Path| {
            let path = path.to_owned();
            |source| DataDirError::Io { path, source }
        };
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(at(&path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DataDirError::InUse { dir: dir.clone() },
            TryLockError::Error(source) => DataDirError::Io { path, source },
        })?;
        let saved = read(&dir, cluster)?;
        let progress = Progress::default();
        let (to_writer, parts) = sync_channel(WAITING);
        let (cluster, told) = (cluster.to_owned(), progress.clone());
        let writer = Writer { dir: dir.clone(), cluster, progress: told, files: BTreeMap::new(), _lock: lock };
        let writer =
            thread::Builder::new().name("data".to_owned()).spawn(move || writer.run(parts)).map_err(at(&dir))?;
        Ok(Self { saved: Mutex::new(saved), progress, to_writer: Some(to_writer), writer: Some(writer) })
    }
}

/// What waits is written and the lock given back, unless the disk hangs: nobody waits for that.
impl Drop for DataDir {
    fn drop(&mut self) {
        self.to_writer = None;
        let until = Instant::now() + LAST_WRITES;
        while self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SavedStore for DataDir {
    fn load(&self, hub: &HubId) -> Vec<SavedPart> {
        locked(&self.saved).remove(hub).unwrap_or_default()
    }

    fn save(&self, part: Box<SavedPart>) -> Result<(), Box<SavedPart>> {
        let Some(to_writer) = &self.to_writer else { return Err(part) };
        let hub = part.hub().clone();
        // Before it is sent, for the writer may be done with it at once.
        locked(&self.progress).entry(hub.clone()).or_default().waiting += 1;
        to_writer.try_send(part).map_err(|(TrySendError::Full(part) | TrySendError::Disconnected(part))| {
            locked(&self.progress).entry(hub).or_default().waiting -= 1;
            part
        })
    }

    fn outcome(&self, hub: &HubId) -> Outcome {
        match locked(&self.progress).get(hub) {
            Some(Written { waiting: 1.., .. }) => Outcome::Pending,
            Some(Written { lost: true, .. }) => Outcome::Lost,
            _ => Outcome::Written,
        }
    }
}

/// All that is in a directory. What was never finished goes.
fn read(dir: &Path, cluster: &str) -> Result<BTreeMap<HubId, Vec<SavedPart>>, DataDirError> {
    let io = |path: &Path, source| DataDirError::Io { path: path.to_owned(), source };
    let (mut saved, mut unfinished) = (BTreeMap::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(|source| io(dir, source))? {
        let entry = entry.map_err(|source| io(dir, source))?;
        let (path, file_name) = (entry.path(), entry.file_name());
        let Some(file_name) = file_name.to_str() else { continue };
        if file_name.ends_with(&format!(".{EXTENSION}.{UNFINISHED}")) {
            unfinished.push(path);
        } else if file_name.ends_with(&format!(".{EXTENSION}")) {
            let bytes = fs::read(&path).map_err(|source| io(&path, source))?;
            let file = SavedFile::read(&bytes).map_err(|source| DataDirError::File { path: path.clone(), source })?;
            if file.cluster != cluster {
                let (of, cluster) = (file.cluster, cluster.to_owned());
                return Err(DataDirError::OtherCluster { path, of, cluster });
            }
            let Some(hub) = file.parts.first().map(|part| part.hub().clone()) else { continue };
            if file_name != name(&hub) {
                let name = name(&hub);
                return Err(DataDirError::Copy { path, hub, name });
            }
            saved.insert(hub, file.parts);
        }
    }
    for path in unfinished {
        fs::remove_file(&path).map_err(|source| io(&path, source))?;
    }
    Ok(saved)
}

struct Writer {
    dir: PathBuf,
    cluster: String,
    progress: Progress,
    /// The files that are being written.
    files: BTreeMap<HubId, SavedWriter<BufWriter<File>>>,
    _lock: File,
}

impl Writer {
    fn run(mut self, parts: Receiver<Box<SavedPart>>) {
        for part in parts {
            let hub = part.hub().clone();
            let written = self.write(&part);
            if let Err(error) = &written {
                self.files.remove(&hub);
                tracing::error!(dir = %self.dir.display(), %hub, %error, "what the hub has declared is not saved; it is tried again");
            }
            let mut progress = locked(&self.progress);
            let progress = progress.entry(hub).or_default();
            progress.waiting = progress.waiting.saturating_sub(1);
            progress.lost = written.is_err() || progress.lost && !part.is_first();
        }
    }

    fn write(&mut self, part: &SavedPart) -> io::Result<()> {
        let hub = part.hub();
        let path = self.dir.join(name(hub));
        let unfinished = path.with_added_extension(UNFINISHED);
        if part.is_first() {
            let file = BufWriter::new(File::create(&unfinished)?);
            self.files.insert(hub.clone(), SavedWriter::begin(file, &self.cluster)?);
        }
        // Of one that failed, the rest is of no use.
        let Some(file) = self.files.get_mut(hub) else { return Ok(()) };
        file.part(part)?;
        if !part.is_last() {
            return Ok(());
        }
        let Some(file) = self.files.remove(hub) else { return Ok(()) };
        let mut file = file.into_inner();
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_dir(&self.dir)
    }
}

/// Has the names in a directory forced onto the disk, where the system can do that.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// The name of a hub's file. Two hubs never share one, whatever of their names cannot be in it.
fn name(hub: &HubId) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '_' };
    let text: String = hub.as_str().chars().map(plain).collect();
    format!("{text}-{:016x}.{EXTENSION}", stable_hash(hub.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use process_hub_core::config::HubConfig;
    use process_hub_core::id::{Boot, Member, NodeId};
    use process_hub_core::{Hub, Time};

    use super::*;

    fn part(hub: &str) -> Box<SavedPart> {
        let me = Member { node: NodeId::new("n1").unwrap(), boot: Boot(7) };
        let hub = Hub::new(HubConfig::new(HubId::new(hub).unwrap()), me, true, Time::ZERO).unwrap();
        Box::new(hub.save_part(&mut hub.begin_saving()).unwrap())
    }

    #[test]
    fn each_hub_has_its_file_and_what_is_in_it_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let hubs = ["a/b", "a_b", "ü"];
        let data = DataDir::open(dir.path(), "c").unwrap();
        hubs.iter().for_each(|hub| data.save(part(hub)).unwrap());
        assert!(matches!(DataDir::open(dir.path(), "c"), Err(DataDirError::InUse { .. })), "it is locked");
        drop(data);
        fs::write(dir.path().join("a-0.phsaved.new"), "half").unwrap();
        let data = DataDir::open(dir.path(), "c").unwrap();
        for hub in hubs {
            assert_eq!(data.load(&HubId::new(hub).unwrap()), [*part(hub)]);
        }
        drop(data);
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.len(), hubs.len() + 1, "{names:?}");
    }

    #[test]
    fn what_cannot_be_restored_is_said_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        DataDir::open(dir.path(), "c").unwrap().save(part("h")).unwrap();
        let other = DataDir::open(dir.path(), "other").unwrap_err().to_string();
        assert!(other.ends_with("is of cluster `c`, and the node of `other`: name another directory"), "{other}");
        let path = dir.path().join(name(&HubId::new("h").unwrap()));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = DataDir::open(dir.path(), "c").unwrap_err().to_string();
        assert!(error.contains("it ends at byte") && error.contains("move it away"), "{error}");
        assert_eq!(fs::read(&path).unwrap().len(), bytes.len() - 1);
    }

    #[test]
    fn a_copy_beside_a_file_is_refused_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        DataDir::open(dir.path(), "c").unwrap().save(part("h")).unwrap();
        let (own, copy) = (name(&HubId::new("h").unwrap()), dir.path().join("backup.phsaved"));
        fs::write(dir.path().join("config.yaml.new"), "not ours").unwrap();
        fs::write(dir.path().join("x.phsaved.new"), "half").unwrap();
        fs::copy(dir.path().join(&own), &copy).unwrap();
        let error = DataDir::open(dir.path(), "c").unwrap_err().to_string();
        assert!(error.contains(&format!("rename it to {own} if it is to be restored")), "{error}");
        assert!(dir.path().join("x.phsaved.new").exists(), "nothing has changed");
        fs::remove_file(&copy).unwrap();
        assert_eq!(DataDir::open(dir.path(), "c").unwrap().load(&HubId::new("h").unwrap()).len(), 1);
        assert!(dir.path().join("config.yaml.new").exists() && !dir.path().join("x.phsaved.new").exists());
    }

    #[test]
    fn a_saving_that_is_lost_is_told_and_the_former_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let hub = HubId::new("h").unwrap();
        let path = dir.path().join(name(&hub));
        let data = DataDir::open(dir.path(), "c").unwrap();
        let outcome = |data: &DataDir| {
            while data.outcome(&hub) == Outcome::Pending {
                thread::sleep(Duration::from_millis(1));
            }
            data.outcome(&hub)
        };
        assert_eq!(outcome(&data), Outcome::Written, "nothing was to be written");
        data.save(part("h")).unwrap();
        assert_eq!(outcome(&data), Outcome::Written);
        let before = fs::read(&path).unwrap();
        let in_the_way = path.with_added_extension(UNFINISHED);
        fs::create_dir(&in_the_way).unwrap();
        data.save(part("h")).unwrap();
        data.save(part("other")).unwrap();
        assert_eq!((outcome(&data), fs::read(&path).unwrap()), (Outcome::Lost, before));
        fs::remove_dir(&in_the_way).unwrap();
        data.save(part("h")).unwrap();
        assert_eq!(outcome(&data), Outcome::Written);
        drop(data);
        assert_eq!(DataDir::open(dir.path(), "c").unwrap().load(&hub).len(), 1);
    }
}
