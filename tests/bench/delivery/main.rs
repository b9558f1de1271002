//! What delivery costs, beside a bare loop of `write(2)`, nginx with nchan and Pushpin.

mod crowd;
mod event;
mod floor;
mod nchan;
mod process;
mod publisher;
mod pushpin;
mod system;
mod upstream;

use std::time::{Duration, Instant};

use crowd::Crowd;
use system::{Floor, Job, Pollcast, System};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments[at].parse::<usize>().expect("a number");
    match arguments.first().map(String::as_str) {
        Some("floor") => return floor::run().expect("the floor delivers"),
        Some("upstream") => return upstream::run(number(1), number(2)).expect("it is polled"),
        Some("origin") => return pushpin::origin().expect("it listens"),
        _ => {}
    }
    let n: usize = arguments
        .iter()
        .filter_map(|a| a.parse().ok())
        .next()
        .unwrap_or(10_000);
    let job = Job {
        size: 220,
        interval: 250,
        ballast: 2000,
        headers: String::new(),
    };
    let systems: [&dyn Fn() -> Box<dyn System>; 4] = [
        &|| Box::new(Floor::start(&job)),
        &|| Box::new(Pollcast::start(&job)),
        &|| Box::new(nchan::Nchan::start(&nchan::installed().unwrap(), &job)),
        &|| {
            Box::new(pushpin::Pushpin::start(
                &pushpin::installed().unwrap(),
                &job,
            ))
        },
    ];
    for start in systems {
        let mut system = start();
        let mut crowd = Crowd::new(system.subscription());
        crowd.gather(1, None).unwrap();
        let processes = system.processes();
        let before = process::resident(&processes);
        let slab = process::kernel_memory();
        let began = Instant::now();
        crowd.gather(n, None).unwrap();
        let rate = n as f64 / began.elapsed().as_secs_f64();
        crowd.read_for(Duration::from_secs(3)).unwrap();
        let after = process::resident(&processes);
        let slab2 = process::kernel_memory();
        crowd.times = Some(vec![]);
        let cpu = process::processor_time(&processes);
        let bytes = crowd.bytes;
        for number in 1..=5 {
            system.publish(number);
            crowd.read_for(Duration::from_secs(1)).unwrap();
        }
        crowd.have_all(5).unwrap();
        let cpu = process::processor_time(&processes) - cpu;
        let published: std::collections::HashMap<u32, u64> =
            system.published().into_iter().collect();
        let mut l: Vec<u64> = crowd
            .times
            .take()
            .unwrap()
            .into_iter()
            .map(|(n, t)| t - published[&n])
            .collect();
        l.sort_unstable();
        println!(
            "rate {rate:.0}/s rss {:.2} KiB kernel {:.2} KiB cpu {:.2} us p50 {:.1} p99 {:.1} max {:.1} ms bytes {:.1}",
            (after - before) as f64 / n as f64 / 1024.0,
            (slab2.unwrap() - slab.unwrap()) as f64 / n as f64 / 1024.0,
            cpu as f64 / l.len() as f64 / 1e3,
            l[l.len() / 2] as f64 / 1e6,
            l[l.len() * 99 / 100] as f64 / 1e6,
            l[l.len() - 1] as f64 / 1e6,
            (crowd.bytes - bytes) as f64 / l.len() as f64
        );
    }
}
