//! What delivery costs, beside a bare loop of `write(2)`, nginx with nchan and Pushpin.

mod crowd;
mod event;
mod floor;
mod http1;
mod http2;
mod measure;
mod member;
mod nchan;
mod process;
mod publisher;
mod pushpin;
mod system;
mod upstream;

use std::time::Duration;

use crowd::Transport;
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
    let subscribers = arguments
        .iter()
        .find_map(|a| a.parse().ok())
        .unwrap_or(10_000);
    let job = Job {
        subscribers,
        pace: Duration::from_millis(500),
        size: 220,
        interval: 10,
        ballast: 2000,
        transport: Transport::Http1,
    };
    let systems: [(&str, &dyn Fn() -> Box<dyn System>); 4] = [
        ("floor", &|| Box::new(Floor::start(&job))),
        ("pollcast", &|| Box::new(Pollcast::start(&job))),
        ("nchan", &|| {
            Box::new(nchan::Nchan::start(&nchan::installed().unwrap(), &job))
        }),
        ("pushpin", &|| {
            Box::new(pushpin::Pushpin::start(
                &pushpin::installed().unwrap(),
                &job,
            ))
        }),
    ];
    for _ in 0..2 {
        for (name, start) in &systems {
            let mut system = start();
            println!("{name} {:?}", measure::run(&mut *system, &job));
        }
    }
}
