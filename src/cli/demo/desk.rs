//! The order desk: a small world of orders that keeps changing, told the way a legacy API tells it.
//!
//! Owns what the demo's upstream answers. Promises 12 to 18 orders for ever, ids that never come
//! back, a changed `data` after every step, and amounts that keep their two decimals (`18.50`).
//! Must never read a clock or roll its own dice: time and randomness are arguments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

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

#[derive(Clone, Debug, Serialize)]
struct Order {
    id: String,
    customer: &'static str,
    city: &'static str,
    items: Vec<Item>,
    total: Cents,
    status: Status,
    /// Known once the order is shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    courier: Option<&'static str>,
    /// Known while the order is on the road.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_minutes: Option<u32>,
    #[serde(serialize_with = "rfc3339")]
    updated: SystemTime,
    #[serde(skip)]
    steps_since_change: u32,
}

impl Order {
    fn new(number: u32, now: SystemTime, rng: &mut impl Rng) -> Order {
        let wanted = rng.random_range(1..=3);
        let items: Vec<Item> = GOODS
            .choose_multiple(rng, wanted)
            .map(|&(name, price)| Item {
                name,
                quantity: *[1, 1, 1, 2, 2, 4].choose(rng).unwrap_or(&1),
                price: Cents(price),
            })
            .collect();
        let (customer, city) = *CUSTOMERS.choose(rng).unwrap_or(&CUSTOMERS[0]);
        Order {
            id: format!("A-{number}"),
            customer,
            city,
            total: Cents(items.iter().map(|i| i.quantity * i.price.0).sum()),
            items,
            status: Status::New,
            courier: None,
            eta_minutes: None,
            updated: now,
            steps_since_change: 0,
        }
    }

    /// Moves on by one status, or by some minutes on the road. A finished order stays as it is.
    fn advance(&mut self, now: SystemTime, rng: &mut impl Rng) {
        self.status = match self.status {
            Status::New | Status::Paid if rng.random_bool(0.06) => Status::Cancelled,
            Status::New => Status::Paid,
            Status::Paid => Status::Picking,
            Status::Picking => Status::Packed,
            Status::Packed => {
                self.courier = COURIERS.choose(rng).copied();
                self.eta_minutes = Some(rng.random_range(12..=40));
                Status::Shipped
            }
            Status::Shipped => {
                let minutes = rng.random_range(1..=6);
                self.eta_minutes = self.eta_minutes.filter(|eta| *eta > minutes);
                match &mut self.eta_minutes {
                    Some(eta) => {
                        *eta -= minutes;
                        Status::Shipped
                    }
                    None => Status::Delivered,
                }
            }
            Status::Delivered | Status::Cancelled => return,
        };
        self.updated = now;
        self.steps_since_change = 0;
    }

    fn is_finished(&self) -> bool {
        matches!(self.status, Status::Delivered | Status::Cancelled)
    }
}

#[derive(Clone, Debug, Serialize)]
struct Item {
    name: &'static str,
    quantity: u32,
    price: Cents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    New,
    Paid,
    Picking,
    Packed,
    Shipped,
    Delivered,
    Cancelled,
}

/// An amount of money, written as a JSON number with exactly two decimals.
#[derive(Clone, Copy, Debug)]
struct Cents(u32);

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format!("{}.{:02}", self.0 / 100, self.0 % 100);
        RawValue::from_string(text)
            .expect("invariant: digits, a point and two digits are a JSON number")
            .serialize(serializer)
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    // A clock before 1970 has no such text; the demo shows 1970 then.
    serializer.collect_str(&humantime::format_rfc3339_seconds((*time).max(UNIX_EPOCH)))
}

const CUSTOMERS: [(&str, &str); 24] = [
    ("Mara Lindqvist", "Uppsala"),
    ("Tomás Herrera", "Valencia"),
    ("Ines Okafor", "Leeds"),
    ("Jonas Weidner", "Leipzig"),
    ("Priya Raman", "Utrecht"),
    ("Chloé Marchand", "Nantes"),
    ("Łukasz Zieliński", "Gdańsk"),
    ("Aino Virtanen", "Tampere"),
    ("Sofia Moretti", "Turin"),
    ("Eamon Byrne", "Galway"),
    ("Hana Dvořák", "Brno"),
    ("Yusuf Demir", "Izmir"),
    ("Freya Nielsen", "Aarhus"),
    ("Mateus Rocha", "Porto"),
    ("Noor de Wit", "Ghent"),
    ("Zoë Keller", "Basel"),
    ("Andrei Popa", "Cluj"),
    ("Ruth Adeyemi", "Bristol"),
    ("Kenji Mori", "Vienna"),
    ("Elif Şahin", "Graz"),
    ("Oskar Lund", "Bergen"),
    ("Clara Vidal", "Girona"),
    ("Petra Novak", "Maribor"),
    ("Samuel Hughes", "Cardiff"),
];

/// Names, and prices in cents.
const GOODS: [(&str, u32); 18] = [
    ("Oak tray", 1850),
    ("Linen apron", 3400),
    ("Espresso cup", 920),
    ("Enamel kettle", 4890),
    ("Beeswax candle", 750),
    ("Wool blanket", 8900),
    ("Bread knife", 2760),
    ("Stoneware bowl", 1430),
    ("Tea towel", 680),
    ("Cast-iron pan", 5950),
    ("Brass hook", 410),
    ("Soap dish", 1120),
    ("Ash stool", 7400),
    ("Glass carafe", 2290),
    ("Felt coaster", 340),
    ("Garden twine", 560),
    ("Desk lamp", 6480),
    ("Salt cellar", 1690),
];

const COURIERS: [&str; 5] = ["Nordpost", "Swift", "Blue Van", "Velo", "Relay"];

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
        watch(|desk, _, _| {
            for order in &desk.orders {
                let on_the_road = order.status == Status::Shipped;
                let left_us = on_the_road || order.status == Status::Delivered;
                assert_eq!(order.eta_minutes.is_some(), on_the_road, "{order:?}");
                assert_eq!(order.courier.is_some(), left_us, "{order:?}");
                assert_ne!(order.eta_minutes, Some(0));
            }
        });
    }

    #[test]
    fn amounts_keep_two_decimals() {
        for (cents, text) in [
            (0, "0.00"),
            (5, "0.05"),
            (1850, "18.50"),
            (10_000, "100.00"),
        ] {
            assert_eq!(
                serde_json::to_string(&Cents(cents)).expect("a number"),
                text
            );
        }
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
