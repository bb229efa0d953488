//! The processes of the demonstration: started, listened to, and never left behind.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::network::Network;
use crate::client::http::Client;
use crate::failure::{Failure, Outcome};

/// How many of a node's last log lines are kept for a post-mortem.
const LAST_WORDS: usize = 15;
const START_LIMIT: Duration = Duration::from_secs(10);
const END_LIMIT: Duration = Duration::from_secs(15);

type Running = Arc<Mutex<BTreeMap<String, Child>>>;
type Log = Arc<Mutex<VecDeque<String>>>;

/// All processes that run. When it goes, they are killed.
pub(crate) struct Crew {
    running: Running,
    /// What every node is told beyond its name and addresses.
    told: Vec<String>,
    logs: BTreeMap<String, Log>,
    verbose: bool,
    broken_off: Arc<AtomicBool>,
}

/// A node's process, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) os_pid: u32,
    pub(crate) listen: String,
    /// Where the other nodes reach it.
    pub(crate) reached_at: String,
    pub(crate) admin: String,
    pub(crate) client: Client,
}

impl Crew {
    /// Nobody yet. From here on ctrl-c and SIGTERM kill whoever runs before they end this process.
    pub(crate) fn new(verbose: bool) -> Outcome<Crew> {
        let running = Running::default();
        let broken_off = Arc::new(AtomicBool::new(false));
        let (theirs, told) = (running.clone(), broken_off.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(Failure::failed)?;
        thread::spawn(move || {
            runtime.block_on(crate::signals::told_to_stop());
            told.store(true, Ordering::SeqCst);
            kill_all(&theirs);
            std::process::exit(130);
        });
        Ok(Crew { running, told: Vec::new(), logs: BTreeMap::new(), verbose, broken_off })
    }

    /// From here on every node that starts is told this, too.
    pub(crate) fn tell_all(&mut self, flags: &[&str]) {
        self.told = flags.iter().map(ToString::to_string).collect();
    }

    /// Starts this very program as the node `name`, and waits until it says that it is ready.
    pub(crate) fn start(&mut self, name: &str, join: &[String]) -> Outcome<Node> {
        self.launch(name, join, None)
    }

    /// The same behind a door of a network.
    pub(crate) fn start_behind(&mut self, network: &Network, name: &str, join: &[String]) -> Outcome<Node> {
        let door = network.door(name).map_err(Failure::failed)?;
        let node = self.launch(name, join, Some(&door.addr))?;
        network.open(door, &node.listen);
        Ok(node)
    }

    fn launch(&mut self, name: &str, join: &[String], advertise: Option<&str>) -> Outcome<Node> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let mut command = Command::new(program);
        command.args(["node", "--name", name, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--hub", "demo"]);
        command.args(["--cluster", "process-hub-demo", "--leave-timeout", "5", "--until-stdin-closes"]);
        command.args(&self.told);
        for addr in join {
            command.args(["--join", addr]);
        }
        if let Some(addr) = advertise {
            command.args(["--advertise", addr]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Failure::failed(format!("cannot start a process: {error}")))?;
        let (os_pid, stdout, stderr) = (child.id(), child.stdout.take(), child.stderr.take());
        locked(&self.running).insert(name.to_owned(), child);
        if let Some(stderr) = stderr {
            let log = Log::default();
            self.logs.insert(name.to_owned(), log.clone());
            let echo = self.verbose.then(|| name.to_owned());
            thread::spawn(move || keep_log(stderr, &log, echo.as_deref()));
        }
        let ready = stdout.and_then(ready_line).ok_or_else(|| Failure::failed(format!("{name} did not start")))?;
        let [listen, admin] = ["listen", "admin"].map(|key| field(&ready, key));
        let client = Client::new(&admin, None)?;
        let reached_at = advertise.unwrap_or(&listen).to_owned();
        Ok(Node { name: name.to_owned(), os_pid, listen, reached_at, admin, client })
    }

    /// Does not return once the process is being ended by a signal: what fails then is no news.
    pub(crate) fn unless_broken_off(&self) {
        while self.broken_off.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    /// SIGKILL: the process has no time to say goodbye.
    pub(crate) fn kill(&mut self, name: &str) -> Outcome {
        let child = locked(&self.running).remove(name);
        let Some(mut child) = child else { return Err(Failure::failed(format!("{name} does not run"))) };
        child.kill().and_then(|()| child.wait()).map_err(Failure::failed)?;
        Ok(())
    }

    /// Tells one to leave, and waits for it to.
    pub(crate) fn leave(&mut self, name: &str) -> Outcome {
        if let Some(child) = locked(&self.running).get_mut(name) {
            drop(child.stdin.take());
        }
        let status = self.wait_for(name, Instant::now() + END_LIMIT)?;
        locked(&self.running).remove(name);
        if status.success() { Ok(()) } else { Err(Failure::failed(format!("{name} ended with {status}"))) }
    }

    /// Tells everybody to leave, and waits for them to.
    pub(crate) fn dismiss(&mut self) -> Outcome<Vec<(String, ExitStatus)>> {
        for child in locked(&self.running).values_mut() {
            drop(child.stdin.take());
        }
        let until = Instant::now() + END_LIMIT;
        let mut ended = Vec::new();
        let names: Vec<String> = locked(&self.running).keys().cloned().collect();
        for name in names {
            let status = self.wait_for(&name, until)?;
            locked(&self.running).remove(&name);
            ended.push((name, status));
        }
        Ok(ended)
    }

    fn wait_for(&self, name: &str, until: Instant) -> Outcome<ExitStatus> {
        loop {
            let status = locked(&self.running).get_mut(name).map(Child::try_wait);
            match status {
                Some(Ok(Some(status))) => return Ok(status),
                Some(Ok(None)) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
                _ => return Err(Failure::failed(format!("{name} does not end"))),
            }
        }
    }

    /// The last log lines of every node.
    pub(crate) fn last_words(&self) -> String {
        let mut text = String::new();
        for (name, log) in &self.logs {
            for line in locked(log).iter() {
                text.push_str(&format!("  {name} | {line}\n"));
            }
        }
        text
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        kill_all(&self.running);
    }
}

fn kill_all(running: &Running) {
    for child in locked(running).values_mut() {
        // One that has ended already is no concern.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A thread that panicked leaves the map as it was: there is nothing half done in it.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_log(stderr: impl Read, log: &Log, echo: Option<&str>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(name) = echo {
            eprintln!("  {name} | {line}");
        }
        let mut log = locked(log);
        if log.len() == LAST_WORDS {
            log.pop_front();
        }
        log.push_back(line);
    }
}

/// The line with which a node says that it is ready; nothing if it ends or stays silent.
fn ready_line(stdout: impl Read + Send + 'static) -> Option<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The receiver is gone after the first line; the rest is read so that the node never writes to nobody.
            let _ = tell.send(line);
        }
    });
    told.recv_timeout(START_LIMIT).ok().filter(|line| line.starts_with("ready "))
}

/// The value of `key=value` in a line of such pairs.
fn field(line: &str, key: &str) -> String {
    let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).next().unwrap_or_default()
}
