//! The order desk: a small world of orders that keeps changing, told the way a legacy API tells it.
//!
//! Owns what the demo's upstream answers. Promises 12 to 18 orders for ever, ids that never come
//! back, a changed `data` after every step, and amounts that keep their two decimals (`18.50`).
//! Must never read a clock or roll its own dice: time and randomness are arguments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Serialize;

use super::order::Order;

/// The desk never holds fewer orders than this.
const FEWEST: usize = 12;
/// The desk never holds more orders than this.
const MOST: usize = 18;
/// Orders on the desk when it opens.
const AT_FIRST: usize = 14;
/// The number of the first order.
const FIRST_NUMBER: u32 = 1029;
/// Steps for which a finished order stays in sight while there is room.
const LINGER: u32 = 5;

/// The world behind the demo: its orders, newest first.
#[derive(Clone, Debug)]
pub struct Desk {
    orders: Vec<Order>,
    next_number: u32,
}

impl Desk {
    /// A desk in the middle of its day: fresh orders in front, older ones further along.
    pub fn new(now: SystemTime, rng: &mut impl Rng) -> Desk {
        let mut desk = Desk {
            orders: Vec::with_capacity(MOST),
            next_number: FIRST_NUMBER,
        };
        for place in (0..AT_FIRST).rev() {
            let then = now - Duration::from_secs(45 * place as u64);
            desk.open_order(then, rng);
            for _ in 0..place * 2 / 3 {
                desk.orders[0].advance(then, rng);
            }
        }
        desk
    }

    /// Lets something happen: one to three of a new order, an order that moves on, an order that
    /// leaves. The next answer's `data` always differs from the one before.
    pub fn step(&mut self, now: SystemTime, rng: &mut impl Rng) {
        for order in &mut self.orders {
            order.steps_since_change = order.steps_since_change.saturating_add(1);
        }
        for _ in 0..rng.random_range(1..=3) {
            match self.choose(rng) {
                Happening::Opens => self.open_order(now, rng),
                Happening::Advances(at) => self.orders[at].advance(now, rng),
                Happening::Leaves(at) => drop(self.orders.remove(at)),
            }
        }
    }

    /// The legacy answer: `{"generated_at": …, "data": [ … ]}`. `generated_at` is noise: it differs
    /// at every poll, whether or not anything happened.
    pub fn to_json(&self, now: SystemTime) -> Vec<u8> {
        #[derive(Serialize)]
        struct Answer<'a> {
            generated_at: String,
            data: &'a [Order],
        }
        let answer = Answer {
            generated_at: humantime::format_rfc3339_millis(now.max(UNIX_EPOCH)).to_string(),
            data: &self.orders,
        };
        serde_json::to_vec(&answer).expect("invariant: strings, numbers and lists serialize")
    }

    /// One of the things that may happen now. There is always one: a desk with room can open an
    /// order, a full one holds an order that is on its way or one that was finished before.
    fn choose(&self, rng: &mut impl Rng) -> Happening {
        let full = self.orders.len() == MOST;
        let patience = if full { 1 } else { LINGER };
        let mut choices = Vec::with_capacity(MOST + 1);
        if self.orders.len() < AT_FIRST {
            choices.push((Happening::Opens, 0.25));
        } else if !full {
            choices.push((Happening::Opens, 0.08));
        }
        let underway = self.orders.iter().filter(|o| !o.is_finished()).count();
        for (at, order) in self.orders.iter().enumerate() {
            if !order.is_finished() {
                choices.push((Happening::Advances(at), 0.8 / underway as f64));
            } else if self.orders.len() > FEWEST && order.steps_since_change >= patience {
                choices.push((Happening::Leaves(at), 0.08));
            }
        }
        choices
            .choose_weighted(rng, |(_, weight)| *weight)
            .expect("invariant: something can always happen")
            .0
    }

    fn open_order(&mut self, now: SystemTime, rng: &mut impl Rng) {
        self.orders
            .insert(0, Order::new(self.next_number, now, rng));
        self.next_number += 1;
    }
}

/// What can happen at the desk; the number is a place in the list of orders.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Opens,
    Advances(usize),
    Leaves(usize),
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::Value;

    use super::*;

    /// Lives through many steps of many desks and shows each pair of successive answers.
    fn watch(mut look: impl FnMut(&Desk, &Value, &Value)) {
        for seed in 0..4 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            let mut desk = Desk::new(now, &mut rng);
            let mut before = parse(&desk, now);
            for _ in 0..400 {
                now += Duration::from_millis(1_500);
                desk.step(now, &mut rng);
                let after = parse(&desk, now);
                look(&desk, &before, &after);
                before = after;
            }
        }
    }

    fn parse(desk: &Desk, now: SystemTime) -> Value {
        serde_json::from_slice(&desk.to_json(now)).expect("valid JSON")
    }

    fn ids(answer: &Value) -> Vec<&str> {
        let orders = answer["data"].as_array().expect("an array");
        orders.iter().filter_map(|o| o["id"].as_str()).collect()
    }

    #[test]
    fn the_desk_stays_bounded() {
        watch(|desk, _, _| assert!((FEWEST..=MOST).contains(&desk.orders.len())));
    }

    /// Numbers only ever grow and new orders enter at the front: no id is there twice, none returns.
    #[test]
    fn ids_are_unique_and_never_come_back() {
        let number = |id: &&str| -> u32 { id[2..].parse().expect("a number") };
        watch(|_, before, after| {
            let (old, new) = (ids(before), ids(after));
            assert!(new.is_sorted_by(|a, b| number(a) > number(b)), "{new:?}");
            let newest = number(&old[0]);
            assert!(
                new.iter().all(|id| number(id) > newest || old.contains(id)),
                "{old:?} -> {new:?}"
            );
        });
    }

    #[test]
    fn every_step_changes_the_orders() {
        watch(|_, before, after| assert_ne!(before["data"], after["data"]));
    }

    #[test]
    fn everything_happens_that_can_be_shown() {
        let mut seen = HashSet::new();
        let (mut entered, mut left) = (0, 0);
        watch(|_, before, after| {
            let (old, new) = (ids(before), ids(after));
            entered += new.iter().filter(|id| !old.contains(id)).count();
            left += old.iter().filter(|id| !new.contains(id)).count();
            for order in after["data"].as_array().expect("an array") {
                seen.insert(order["status"].as_str().expect("a status").to_owned());
            }
        });
        assert_eq!(seen.len(), 7, "{seen:?}");
        assert!(entered > 50 && left > 50, "{entered} in, {left} out");
    }

    #[test]
    fn courier_and_eta_follow_the_status() {
        watch(|_, _, after| {
            for order in after["data"].as_array().expect("orders") {
                let on_the_road = order["status"] == "shipped";
                let left_us = on_the_road || order["status"] == "delivered";
                assert_eq!(order.get("eta_minutes").is_some(), on_the_road, "{order}");
                assert_eq!(order.get("courier").is_some(), left_us, "{order}");
                assert_ne!(order.get("eta_minutes"), Some(&Value::from(0)));
            }
        });
    }

    #[test]
    fn the_answer_is_noisy_but_the_orders_are_not() {
        let mut rng = StdRng::seed_from_u64(7);
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let desk = Desk::new(now, &mut rng);
        let (a, b) = (
            parse(&desk, now),
            parse(&desk, now + Duration::from_millis(1)),
        );
        assert_eq!(a["generated_at"], "2023-11-14T22:13:20.000Z");
        assert_ne!(a["generated_at"], b["generated_at"]);
        assert_eq!(a["data"], b["data"]);
    }

    #[test]
    fn a_clock_before_1970_is_survived() {
        let mut rng = StdRng::seed_from_u64(7);
        let now = UNIX_EPOCH - Duration::from_secs(5);
        parse(&Desk::new(now, &mut rng), now);
    }
}
