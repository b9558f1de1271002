//! Made-up documents, the same in every run: rows of orders in every size, and the shapes that
//! are hard on somebody.

use std::fmt::Write;

use bytes::Bytes;

use crate::case::Case;

/// A case that is made when its turn comes; the large ones take some memory.
pub type Build = Box<dyn Fn() -> Case>;

/// Array elements and object members in the long and the wide documents.
const MANY: usize = 100_000;
const LEVELS: usize = 100;
const CITIES: [&str; 5] = ["Aachen", "Århus", "Bilbao", "Cork", "Łódź"];
const STATES: [&str; 4] = ["paid", "packed", "sent", "returned"];

/// Every case; without those above 1 MB for the quick look.
pub fn cases(quick: bool) -> Vec<Build> {
    let sizes = [
        ("1 KB", 1_000),
        ("10 KB", 10_000),
        ("100 KB", 100_000),
        ("1 MB", 1_000_000),
        ("10 MB", 10_000_000),
        ("50 MB", 50_000_000),
    ];
    let mut cases: Vec<Build> = Vec::new();
    for (name, bytes) in sizes {
        if !quick || bytes <= 1_000_000 {
            cases.push(Box::new(move || {
                let (old, new) = orders(bytes, Leaf::OtherLength);
                case(name, Some("id"), old, new)
            }));
        }
    }
    cases.push(Box::new(|| {
        case("deep, 100 levels", None, deep("calm"), deep("storm"))
    }));
    if !quick {
        cases.push(Box::new(|| {
            case("wide, 100,000 members", None, wide("17.25"), wide("18.5"))
        }));
        cases.push(Box::new(|| {
            long("one change", |rows| rows[MANY / 2].push('!'))
        }));
        cases.push(Box::new(|| {
            long("one in front", |rows| rows.insert(0, name(MANY)))
        }));
        cases.push(Box::new(|| long("shuffled", |rows| shuffle(rows))));
    }
    cases
}

/// How the one leaf in the middle of a document changes.
#[derive(Clone, Copy)]
pub enum Leaf {
    SameLength,
    OtherLength,
}

/// An object with an array of orders, about so many bytes, before and after one leaf changed.
pub fn orders(bytes: usize, leaf: Leaf) -> (String, String) {
    let mut random = Random(1);
    let mut rows = Vec::new();
    let mut length = 50;
    while length < bytes {
        rows.push(order(rows.len(), &mut random));
        length += rows.last().map_or(0, String::len) + 1;
    }
    let old = listing(&rows);
    let middle = rows.len() / 2;
    let row = &mut rows[middle];
    *row = match leaf {
        Leaf::SameLength => row.replace("\"quantity\":1", "\"quantity\":2"),
        Leaf::OtherLength => row.replace("\"note\":null", "\"note\":\"rings twice\""),
    };
    let new = listing(&rows);
    assert!(old != new, "a leaf changed");
    (old, new)
}

fn listing(rows: &[String]) -> String {
    let rows = rows.join(",");
    format!(r#"{{"generated":"2025-05-01T06:00:00Z","orders":[{rows}]}}"#)
}

fn order(index: usize, random: &mut Random) -> String {
    let (city, state) = (random.pick(&CITIES), random.pick(&STATES));
    format!(
        r#"{{"id":{},"customer":"Customer {}","status":"{state}","quantity":1{:02},"total":{}.{:02},"placed":"2025-04-{:02}T{:02}:{:02}:{:02}Z","note":null,"address":{{"street":"Long Street {}","city":"{city}","postcode":"{:05}"}},"tags":["{}","express"],"gift":{}}}"#,
        100_000 + index,
        random.below(50_000),
        random.below(100),
        random.below(500),
        random.below(100),
        1 + random.below(30),
        random.below(24),
        random.below(60),
        random.below(60),
        random.below(300),
        random.below(100_000),
        random.pick(&["book", "garden", "kitchen"]),
        random.below(2) == 0,
    )
}

/// A long array of short rows, before and after a change of the rows' names.
fn long(change: &str, edit: impl Fn(&mut Vec<String>)) -> Case {
    let mut names: Vec<String> = (0..MANY).map(name).collect();
    let old = short_rows(&names);
    edit(&mut names);
    let name = format!("100,000 rows, {change}");
    case(&name, Some("id"), old, short_rows(&names))
}

/// A row's name begins with its id, so that the two stay together.
fn name(id: usize) -> String {
    format!("{id:06} of the rows")
}

fn short_rows(names: &[String]) -> String {
    let mut text = String::from("[");
    for name in names {
        let id = &name[..6];
        let comma = if text.len() > 1 { "," } else { "" };
        write!(
            text,
            r#"{comma}{{"id":"{id}","name":"{name}","status":"open","level":{}.5,"seen":"2025-04-30T10:00:00Z"}}"#,
            id.parse::<usize>().expect("an id") % 977,
        )
        .expect("a string takes it");
    }
    text + "]"
}

fn shuffle(names: &mut [String]) {
    let mut random = Random(2);
    for last in (1..names.len()).rev() {
        names.swap(last, random.below(last + 1));
    }
}

fn wide(middle: &str) -> String {
    let mut random = Random(3);
    let member = |index| match index == MANY / 2 {
        true => format!(r#""sensor-{index:06}":{middle}"#),
        false => format!(r#""sensor-{index:06}":{}.25"#, random.below(90)),
    };
    let members: Vec<String> = (0..MANY).map(member).collect();
    format!("{{{}}}", members.join(","))
}

fn deep(bottom: &str) -> String {
    let mut random = Random(4);
    let mut text = format!(r#""{bottom}""#);
    for level in (1..LEVELS).rev() {
        let values: Vec<String> = (0..8).map(|_| random.below(1000).to_string()).collect();
        text = format!(
            r#"{{"level":{level},"title":"One floor below {}","values":[{}],"inner":{text}}}"#,
            random.pick(&CITIES),
            values.join(","),
        );
    }
    text
}

fn case(name: &str, key: Option<&str>, old: String, new: String) -> Case {
    Case {
        name: name.to_owned(),
        key: key.map(str::to_owned),
        bodies: vec![Bytes::from(old), Bytes::from(new)],
        recorded: false,
    }
}

/// SplitMix64: no crate's release may change the documents.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).expect("31 bits") % end
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}
