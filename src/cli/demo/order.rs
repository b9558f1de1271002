//! One order: what is in it, and how it moves on.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// What a customer bought, and where it is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Order {
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
    /// How often something happened at the desk, and not to this order.
    pub(super) steps_since_change: u32,
}

impl Order {
    pub(super) fn new(number: u32, now: SystemTime, rng: &mut impl Rng) -> Order {
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
    pub(super) fn advance(&mut self, now: SystemTime, rng: &mut impl Rng) {
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

    pub(super) fn is_finished(&self) -> bool {
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
pub(super) enum Status {
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
    use super::*;

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
}
