//! What pollcast is measured beside: roles that ask for the same topics at the same rate, and do
//! nothing with the answers.
//!
//! Workers share the topics. Each asks for its own, one after the other, at an even pace: no
//! schedule for each topic, no state, no comparison. Two threads, as pollcast has on two processors.

use std::io::{self, Read as _};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// So many polls may be under way.
const WORKERS: usize = 64;
/// As pollcast's pollers have it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One worker's way to ask for a topic.
pub trait Ask: Send + 'static {
    fn ask(&mut self, topic: usize) -> impl Future<Output = io::Result<()>> + Send;
}

/// Asks `topics` at `address`, each every `interval` milliseconds, until stdin ends.
pub fn run<A: Ask>(
    address: &str,
    topics: usize,
    interval: usize,
    make: impl Fn(&str) -> A,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let workers = WORKERS.min(topics);
    let interval = Duration::from_millis(interval as u64);
    for worker in 0..workers {
        let mine: Vec<usize> = (worker..topics).step_by(workers).collect();
        let ask = make(address);
        // Workers begin one after the other, so that their polls fall between each other.
        let pace = interval / u32::try_from(mine.len()).unwrap_or(u32::MAX);
        let share = pace.mul_f64(worker as f64 / workers as f64);
        runtime.spawn(async move {
            if let Err(failure) = work(ask, &mine, pace, share).await {
                eprintln!("a poll failed: {failure}");
                std::process::exit(1);
            }
        });
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

async fn work<A: Ask>(
    mut ask: A,
    topics: &[usize],
    pace: Duration,
    first: Duration,
) -> io::Result<()> {
    let mut ticks = interval_at(Instant::now() + first, pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for topic in topics.iter().cycle() {
        ticks.tick().await;
        ask.ask(*topic).await?;
    }
    Ok(())
}

/// A loop around the HTTP client that pollcast has, with the time-out that a poll has.
pub fn bare(address: &str) -> impl Ask + use<> {
    struct Bare(reqwest::Client, String);
    impl Ask for Bare {
        async fn ask(&mut self, topic: usize) -> io::Result<()> {
            let asked = async {
                let url = format!("{}{topic}", self.1);
                self.0.get(url).send().await?.bytes().await
            };
            let answered = tokio::time::timeout(TIMEOUT, asked).await?;
            answered.map(drop).map_err(io::Error::other)
        }
    }
    thread_local! {
        // One client for all workers, as all pollers share one.
        static CLIENT: reqwest::Client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
    }
    Bare(CLIENT.with(Clone::clone), format!("http://{address}/t/"))
}

/// Ready-made bytes on a socket for each worker; nothing is read but how long the answer is.
pub fn floor(address: &str) -> impl Ask + use<> {
    struct Floor {
        address: String,
        stream: Option<TcpStream>,
        buffer: Vec<u8>,
    }
    impl Ask for Floor {
        async fn ask(&mut self, topic: usize) -> io::Result<()> {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                none => {
                    let stream = TcpStream::connect(&*self.address).await?;
                    stream.set_nodelay(true)?;
                    none.insert(stream)
                }
            };
            let request = format!("GET /t/{topic} HTTP/1.1\r\nhost: upstream\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut filled = 0;
            while !self.buffer[..filled].ends_with(b"}") {
                match stream.read(&mut self.buffer[filled..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => filled += read,
                }
            }
            Ok(())
        }
    }
    Floor {
        address: address.to_owned(),
        stream: None,
        buffer: vec![0; 4096],
    }
}
