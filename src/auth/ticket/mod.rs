//! Tickets: what an event stream is opened with where no header can be sent.
//!
//! Promises that a ticket opens nothing but what it was asked for, within its time, from where it was
//! asked for, and once only where that is wanted: which tickets were used is never forgotten before
//! they end, and new ones are refused instead. Whoever comes by a ticket is held to the grant of
//! whoever asked for it.

mod seal;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;

use super::Denied;
use super::grant::{Grant, Proof};
use crate::config::{Tickets, Uses};
use crate::core::event::Timestamp;
use seal::{Number, Seal, Slip};

/// How many tickets there may be at once, used ones included until they end.
const MOST: usize = 50_000;
/// How many of them may be of one client.
const MOST_OF_CLIENT: usize = 500;
/// How long a stream may last that was let in by a ticket of another process, which cannot withdraw
/// it.
const ELSEWHERE: Duration = Duration::from_secs(15 * 60);

/// Where tickets are given out and taken.
#[derive(Debug)]
pub struct Desk {
    rules: Arc<Tickets>,
    seal: Seal,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tickets: HashMap<Number, Entry>,
    of_client: HashMap<IpAddr, usize>,
    /// When those are dropped that are over.
    tidy_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    until: Timestamp,
    /// Whose it is, if it was given out here.
    grant: Option<Arc<Grant>>,
    asked_by: Option<IpAddr>,
    is_used: bool,
}

/// Why there is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTicket {
    /// There are as many as there may be.
    Full,
    /// The client has as many as it may have.
    ClientFull,
    /// None can be made.
    Failed,
}

impl Desk {
    /// A desk that has given out nothing yet.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(rules: Tickets) -> Result<Self, ErrorStack> {
        Ok(Self {
            seal: Seal::new(rules.secret.as_ref())?,
            state: Mutex::default(),
            rules: Arc::new(rules),
        })
    }

    /// How tickets are given out.
    pub fn rules(&self) -> &Arc<Tickets> {
        &self.rules
    }

    /// A ticket for `target`, to be used by `client` alone where tickets are bound.
    ///
    /// # Errors
    /// [`NoTicket`] if there is none.
    pub fn give(
        &self,
        target: &str,
        client: Option<IpAddr>,
        grant: &Arc<Grant>,
        now: Timestamp,
    ) -> Result<String, NoTicket> {
        let until = later(now, self.rules.ttl);
        let asked_by = client.map(network);
        let mut number = [0; 16];
        rand_bytes(&mut number).map_err(|_| NoTicket::Failed)?;
        let known = |(name, value): &(HeaderName, HeaderValue)| {
            (name.as_str().to_owned(), value.as_bytes().to_vec())
        };
        let slip = Slip {
            number,
            until: until.0,
            target: sha256(target.as_bytes()),
            client: client.filter(|_| self.rules.bind),
            who: grant.who().to_owned(),
            expires: grant.expires().map(|end| end.0),
            pass_on: grant.pass_on().iter().map(known).collect(),
        };
        let ticket = self.seal.close(&slip).map_err(|_| NoTicket::Failed)?;
        let mut state = self.lock();
        state.tidy(now, self.rules.ttl);
        let mine = asked_by.and_then(|client| state.of_client.get(&client));
        if mine.is_some_and(|mine| *mine >= MOST_OF_CLIENT) {
            return Err(NoTicket::ClientFull);
        }
        let entry = Entry {
            until,
            grant: Some(Arc::clone(grant)),
            asked_by,
            is_used: false,
        };
        match state.keep(number, entry) {
            true => Ok(ticket),
            false => Err(NoTicket::Full),
        }
    }

    /// What a ticket lets in by, if it is for this target and client, and may be used now.
    ///
    /// # Errors
    /// [`Denied`] if it does not let in.
    pub fn take(
        &self,
        ticket: &str,
        target: &str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<Grant>, Denied> {
        let slip = self.seal.open(ticket).ok_or(Denied::Invalid)?;
        let is_mine = slip.client.is_none() || slip.client == client;
        if now.0 >= slip.until || slip.target != sha256(target.as_bytes()) || !is_mine {
            return Err(Denied::Invalid);
        }
        let mut state = self.lock();
        state.tidy(now, self.rules.ttl);
        let once = self.rules.uses == Uses::Once;
        let grant = match state.tickets.get_mut(&slip.number) {
            Some(entry) if entry.is_used => return Err(Denied::Invalid),
            Some(entry) => {
                entry.is_used = once;
                match once {
                    true => entry.grant.take(),
                    false => entry.grant.clone(),
                }
            }
            None if once => {
                let entry = Entry {
                    until: Timestamp(slip.until),
                    grant: None,
                    asked_by: None,
                    is_used: true,
                };
                if !state.keep(slip.number, entry) {
                    return Err(Denied::Unavailable);
                }
                None
            }
            None => None,
        };
        drop(state);
        let grant = grant.unwrap_or_else(|| Arc::new(foreign(slip, now)));
        match grant.is_over(now) {
            true => Err(Denied::Invalid),
            false => Ok(grant),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by whoever panics here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops what is over, once in a while.
    fn tidy(&mut self, now: Timestamp, every: Duration) {
        if self.tidy_at.is_some_and(|at| now < at) {
            return;
        }
        let of_client = &mut self.of_client;
        self.tickets.retain(|_, entry| {
            let stays = now < entry.until;
            if let (false, Some(client)) = (stays, entry.asked_by)
                && let Some(count) = of_client.get_mut(&client)
            {
                *count -= 1;
                if *count == 0 {
                    of_client.remove(&client);
                }
            }
            stays
        });
        self.tidy_at = Some(later(now, every / 4));
    }

    /// Whether there is room for one more.
    fn keep(&mut self, number: Number, entry: Entry) -> bool {
        if self.tickets.len() >= MOST {
            return false;
        }
        if let Some(client) = entry.asked_by {
            *self.of_client.entry(client).or_default() += 1;
        }
        self.tickets.insert(number, entry);
        true
    }
}

/// What is known of whoever got a ticket from another process that has the same secret.
fn foreign(slip: Slip, now: Timestamp) -> Grant {
    let end = later(now, ELSEWHERE);
    let expires = slip
        .expires
        .map_or(end, |expires| end.min(Timestamp(expires)));
    let mut grant = Grant::default();
    grant.add(Proof::Ticket {
        who: slip.who,
        expires,
    });
    let known = slip.pass_on.into_iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    });
    grant.hand_on(known);
    grant
}

/// A client's network: a home has one of version 6 to itself.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => {
            let bits = u128::from(ip) & !(u128::from(u64::MAX));
            Ipv6Addr::from(bits).into()
        }
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp(now.0 + u64::try_from(by.as_millis()).unwrap_or(u64::MAX / 2))
}
