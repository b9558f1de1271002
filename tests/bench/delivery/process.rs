//! Processes: those that are measured, and this program again in another role.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

/// Nanoseconds since some moment that is the same for all processes of this machine.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    let part = |part: i64| u64::try_from(part).expect("invariant: monotonic time is positive");
    part(time.tv_sec()) * 1_000_000_000 + part(time.tv_nsec())
}

/// Processor time of these processes so far, in nanoseconds: what the scheduler has counted for
/// each of their threads.
pub fn processor_time(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the server runs");
        let of = |task: fs::DirEntry| {
            // A thread may end meanwhile.
            let told = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let first = told.split(' ').next().and_then(|word| word.parse().ok());
            first.unwrap_or(0_u64)
        };
        tasks.flatten().map(of).sum::<u64>()
    };
    processes.iter().map(of).sum()
}

/// Resident memory of these processes, in bytes.
pub fn resident(processes: &[u32]) -> usize {
    processes
        .iter()
        .map(|process| status(*process, "VmRSS:"))
        .sum()
}

/// The most that a process has had resident since [`forget_peak`], in bytes.
pub fn peak(process: u32) -> usize {
    status(process, "VmHWM:")
}

/// Lets a process's peak begin anew.
pub fn forget_peak(process: u32) {
    let file = format!("/proc/{process}/clear_refs");
    fs::write(file, "5").expect("it is this user's process");
}

fn status(process: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a size").parse::<usize>().expect("a number") * 1024
}

/// What the kernel holds for sockets, open files and epoll, in bytes; `None` where it does not say.
pub fn kernel_memory() -> Option<usize> {
    const CACHES: [&str; 5] = [
        "TCP",
        "sock_inode_cache",
        "filp",
        "eventpoll_epi",
        "eventpoll_pwq",
    ];
    let table = fs::read_to_string("/proc/slabinfo").ok()?;
    let rows = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        CACHES.contains(&words.next()?).then_some(())?;
        let active: usize = words.next()?.parse().ok()?;
        let size: usize = words.nth(1)?.parse().ok()?;
        Some(active * size)
    });
    Some(rows.sum())
}

/// This process and all that it has started, and those in turn.
pub fn family(first: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").expect("Linux").flatten() {
        let Some(process) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Behind the name, which is in brackets and may hold anything: the state, the parent.
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut family = vec![first];
    let mut next = 0;
    while let Some(process) = family.get(next) {
        family.extend(children.remove(process).unwrap_or_default());
        next += 1;
    }
    family
}

/// A listener on a free port with the longest queue, told on stdout.
///
/// # Errors
/// The socket's.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    let listener = TcpListener::from(socket);
    println!("{}", listener.local_addr()?);
    Ok(listener)
}

/// This program in another role, which takes commands by lines and answers so.
pub struct Role {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Role {
    pub fn start(role: &str, arguments: &[String]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .arg(role)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs again");
        Self {
            commands: child.stdin.take().expect("piped"),
            answers: BufReader::new(child.stdout.take().expect("piped")).lines(),
            child,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn command(&mut self, line: &str) {
        let line = format!("{line}\n");
        let written = self.commands.write_all(line.as_bytes());
        written.expect("the other role listens");
    }

    /// The next line, waited for.
    pub fn answer(&mut self) -> String {
        let line = self.answers.next().expect("the other role runs");
        line.expect("the other role writes text")
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A server made of several processes, ended together with the first when dropped.
pub struct Server {
    first: Child,
}

impl Server {
    /// It tells its log, not us.
    pub fn start(command: &mut Command) -> Self {
        let first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self {
            first: first.expect("the server runs"),
        }
    }

    pub fn id(&self) -> u32 {
        self.first.id()
    }
}

impl Drop for Server {
    /// Asks the first to end the others, and waits for all.
    fn drop(&mut self) {
        let family = family(self.id());
        let first = Pid::from_raw(
            self.id()
                .try_into()
                .expect("the kernel has no such numbers"),
        );
        // It fails only if the server is over already.
        let _ = kill(first, Signal::SIGTERM);
        let is_over = |process: &u32| fs::read_to_string(format!("/proc/{process}/stat")).is_err();
        for _ in 0..100 {
            let is_first_over = matches!(self.first.try_wait(), Ok(Some(_)));
            if is_first_over && family[1..].iter().all(is_over) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("delivery: {first} did not end when asked");
        end(&mut self.first);
    }
}

/// Ends a process that this one has started.
pub fn end(child: &mut Child) {
    // Both fail only if it is over already.
    let _ = child.kill();
    let _ = child.wait();
}
