//! The sweep: one task that serves many subscribers, one after the other, without waiting for any.
//!
//! Owns who is served next. A change queues every idle member of the topic's crowd, beginning with
//! another one each time, so that nobody is always the last; what blocks is left until its
//! connection says that it goes on. Other tasks get their turn every so many.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use slab::Slab;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::error;

use super::Newcomer;
use super::client::Client;
use super::closed::Closed;
use super::crowd::Crowd;
use super::mailbox::{Mailbox, Ready};
use super::wheel::{TICK, Tick, Wheel};
use crate::clock::Clock;
use crate::hub::Topic;

/// So many are served before other tasks get their turn.
const TURN: usize = 256;

/// Many subscribers and what they wait for.
struct Shard {
    mailbox: Arc<Mailbox>,
    clients: Slab<Client>,
    crowds: Slab<Crowd>,
    /// The crowd of each topic, by the topic's address, which the crowd keeps from changing.
    crowd_of: HashMap<usize, u32>,
    /// Whom to serve, in this order.
    queue: VecDeque<u32>,
    /// Crowds that were served since the metrics were told.
    served: Vec<u32>,
    wheel: Wheel,
    clock: Clock,
    began: Instant,
    sleep: Pin<Box<Sleep>>,
    newcomers: Vec<Newcomer>,
    ready: Vec<Ready>,
}

/// Runs a shard for ever. One that fails, which is a mistake in pollcast, loses its subscribers,
/// who come back to the next.
pub async fn keep_running(mailbox: Arc<Mailbox>, clock: Clock) {
    loop {
        let shard = run(Arc::clone(&mailbox), clock);
        // It keeps its own measure of when others get their turn.
        let task = tokio::spawn(tokio::task::unconstrained(shard));
        match task.await {
            Err(failure) if failure.is_panic() => {
                error!("a writer failed and is started again; its subscribers were cut off");
            }
            Ok(_) | Err(_) => return,
        }
    }
}

async fn run(mailbox: Arc<Mailbox>, clock: Clock) -> Infallible {
    let mut shard = Shard::new(mailbox, clock);
    poll_fn(|context| shard.poll(context)).await
}

impl Shard {
    fn new(mailbox: Arc<Mailbox>, clock: Clock) -> Self {
        let began = Instant::now();
        Self {
            mailbox,
            clients: Slab::new(),
            crowds: Slab::new(),
            crowd_of: HashMap::new(),
            queue: VecDeque::new(),
            served: Vec::new(),
            wheel: Wheel::default(),
            clock,
            began,
            sleep: Box::pin(sleep_until(began)),
            newcomers: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Serves those who wait, for one turn.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Infallible> {
        let now = self.now();
        self.collect(context, now);
        self.wheel.take_due(now, |index, due| {
            if let Some(client) = self.clients.get_mut(index as usize)
                && client.timer == Some(due)
            {
                client.timer = None;
                queue(&mut self.queue, client, index);
            }
        });
        for _ in 0..TURN {
            let Some(index) = self.queue.pop_front() else {
                break;
            };
            self.serve(index, now);
        }
        let rests = self.queue.is_empty();
        for index in self.served.drain(..) {
            if let Some(crowd) = self.crowds.get_mut(index as usize) {
                crowd.report(rests);
            }
        }
        if !rests {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(tick) = self.wheel.next_look() {
            self.sleep.as_mut().reset(self.began + TICK * tick);
            if self.sleep.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    fn now(&self) -> Tick {
        let ticks = self.began.elapsed().as_millis() / TICK.as_millis();
        Tick::try_from(ticks).unwrap_or(Tick::MAX)
    }

    /// Takes in what has come.
    fn collect(&mut self, context: &Context<'_>, now: Tick) {
        let (mut newcomers, mut ready) = (
            std::mem::take(&mut self.newcomers),
            std::mem::take(&mut self.ready),
        );
        self.mailbox
            .collect(&mut newcomers, &mut ready, context.waker());
        for newcomer in newcomers.drain(..) {
            self.seat(newcomer, now);
        }
        for ready in ready.drain(..) {
            match ready {
                Ready::Crowd(index) => self.call(index),
                Ready::Grants => self.recheck(),
                Ready::Client(index) => {
                    if let Some(client) = self.clients.get_mut(index as usize) {
                        client.is_woken = true;
                        queue(&mut self.queue, client, index);
                    }
                }
            }
        }
        (self.newcomers, self.ready) = (newcomers, ready);
    }

    /// Makes a newcomer a member of its topic's crowd.
    fn seat(&mut self, newcomer: Newcomer, now: Tick) {
        let topic = newcomer.0.subscription.topic();
        let crowd = match self.crowd_of.get(&address(topic)) {
            Some(&crowd) => crowd,
            None => self.gather(Arc::clone(topic)),
        };
        let entry = self.clients.vacant_entry();
        let index = number(entry.key());
        let members = &mut self.crowds[crowd as usize].members;
        let waker = self.mailbox.bell(Ready::Client(index));
        let client = Client::new(
            newcomer,
            crowd,
            number(members.len()),
            waker,
            (now, self.clock),
        );
        members.push(index);
        queue(&mut self.queue, entry.insert(client), index);
    }

    fn gather(&mut self, topic: Arc<Topic>) -> u32 {
        let entry = self.crowds.vacant_entry();
        let index = number(entry.key());
        self.crowd_of.insert(address(&topic), index);
        let following = topic.follow(self.mailbox.bell(Ready::Crowd(index)));
        entry.insert(Crowd::new(topic, following, self.clock));
        index
    }

    /// A topic changed: everyone who waits for it is served.
    fn call(&mut self, index: u32) {
        let Some(crowd) = self.crowds.get_mut(index as usize) else {
            return;
        };
        crowd.forget();
        let first = rand::random_range(0..crowd.members.len().max(1));
        let (tail, head) = crowd.members.split_at(first);
        for &member in head.iter().chain(tail) {
            let client = &mut self.clients[member as usize];
            if !client.is_busy() {
                queue(&mut self.queue, client, member);
            }
        }
    }

    /// Grants were withdrawn: whoever lived on one is served, which ends it.
    fn recheck(&mut self) {
        for (index, client) in &mut self.clients {
            if client.is_withdrawn() && !client.is_busy() {
                queue(&mut self.queue, client, number(index));
            }
        }
    }

    fn serve(&mut self, index: u32, now: Tick) {
        let Some(client) = self.clients.get_mut(index as usize) else {
            return;
        };
        client.is_queued = false;
        let crowd = &mut self.crowds[client.crowd as usize];
        if crowd.is_served_first() {
            self.served.push(client.crowd);
        }
        match client.serve(crowd, now) {
            Ok(is_behind) => {
                if is_behind {
                    queue(&mut self.queue, client, index);
                }
                let deadline = client.deadline();
                if client.timer.is_none_or(|timer| deadline < timer) {
                    client.timer = Some(self.wheel.set(index, deadline));
                }
            }
            Err(closed) => self.dismiss(index, closed),
        }
    }

    fn dismiss(&mut self, index: u32, closed: Closed) {
        let client = self.clients.remove(index as usize);
        let crowd = &mut self.crowds[client.crowd as usize];
        crowd.members.swap_remove(client.place as usize);
        if let Some(&moved) = crowd.members.get(client.place as usize) {
            self.clients[moved as usize].place = client.place;
        }
        if crowd.members.is_empty() {
            self.crowd_of.remove(&address(&crowd.topic));
            self.crowds.remove(client.crowd as usize);
        }
        client.close(closed);
    }
}

fn queue(queue: &mut VecDeque<u32>, client: &mut Client, index: u32) {
    if !std::mem::replace(&mut client.is_queued, true) {
        queue.push_back(index);
    }
}

fn address(topic: &Arc<Topic>) -> usize {
    Arc::as_ptr(topic) as usize
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("invariant: there are fewer than 2^32 connections")
}
