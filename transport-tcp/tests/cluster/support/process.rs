//! One node, as the operating system sees it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::{self, Answer};
use super::{PATIENCE, until};

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_process-hub");

/// Runs the program to its end.
///
/// # Panics
/// When it does not end.
pub(crate) fn run(args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let [stdout, stderr] = [read_all(stdout), read_all(stderr)];
    let end = Instant::now() + 2 * PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let _ = kill_process(pid, Signal::KILL);
            panic!("{args:?} does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Output { status: child.wait().unwrap(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Runs a command against `node`: its status, and what it printed.
pub(crate) fn client(node: &Node, args: &[&str]) -> (i32, String) {
    let output = run(&[args, &["--admin", &node.admin]].concat());
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// A command that must succeed, and say these words.
pub(crate) fn says(node: &Node, args: &[&str], words: &str) {
    let (status, said) = client(node, args);
    assert!(status == 0 && said.contains(words), "{args:?} ended with {status} and said {said:?}, not {words:?}");
}

fn read_all(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A running node; killed when it goes out of scope.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) listen: String,
    pub(crate) admin: String,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// A node on free ports, once it says that it is ready.
    pub(crate) fn start(name: &str, args: &[&str]) -> Node {
        let mut command = Command::new(PROGRAM);
        command.args(["node", "--name", name, "--admin", "127.0.0.1:0", "--log", "info,process_hub=debug"]);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        keep(child.stderr.take().unwrap(), log.clone());
        let (stdout, (tell, told)) = (child.stdout.take().unwrap(), mpsc::channel());
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            tell.send(lines.next()).unwrap();
            lines.for_each(drop);
        });
        let mut node = Node { name: name.to_owned(), listen: String::new(), admin: String::new(), child, log };
        match told.recv_timeout(Duration::from_secs(20)) {
            Ok(Some(Ok(ready))) => {
                node.listen = field(&ready, "listen");
                node.admin = field(&ready, "admin");
                node
            }
            other => panic!("{name} did not start: {other:?}; its log: {:#?}", node.log()),
        }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::ask("GET", &format!("{}{path}", self.admin), &Value::Null)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        http::ask("POST", &format!("{}{path}", self.admin), body)
    }

    pub(crate) fn delete(&self, path: &str, body: &Value) -> Answer {
        http::ask("DELETE", &format!("{}{path}", self.admin), body)
    }

    pub(crate) fn os_pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let status = until(&format!("{} ends", self.name), || self.child.try_wait().unwrap().ok_or("it runs"));
        (status, self.log())
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the log of {}, process {}", self.name, self.os_pid());
            for line in self.log.lock().unwrap().iter().rev().take(40).rev() {
                eprintln!("{line}");
            }
        }
    }
}

fn keep(stream: impl Read + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            log.lock().unwrap().push(line);
        }
    });
}

fn field(line: &str, key: &str) -> String {
    let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).next().unwrap()
}
