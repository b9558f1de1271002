//! What a token says, and whether that is enough: pure, with the time as an argument.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::auth::Denied;
use crate::config::{ClaimRule, Issuer, Wanted};
use crate::core::event::Timestamp;

/// The claims of a token (RFC 7519 section 4). Not shown: they are about people.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims(Map<String, Value>);

/// A token that was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// When it ends to let in, leeway included.
    pub expires: Option<Timestamp>,
    /// The key that it is signed with.
    pub key: [u8; 32],
}

impl Verified {
    /// `sub`, if it is text.
    pub fn subject(&self) -> Option<&str> {
        self.claims.get("sub").and_then(Value::as_str)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Claims {
    /// The claim of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether `iss` is that of this issuer.
    pub fn are_of(&self, issuer: &str) -> bool {
        self.get("iss").and_then(Value::as_str) == Some(issuer)
    }

    /// Judges what every token must say: for whom it is, and from when to when. Gives when it ends to
    /// let in.
    ///
    /// # Errors
    /// [`Denied::Invalid`].
    pub fn check(&self, issuer: &Issuer, now: Timestamp) -> Result<Option<Timestamp>, Denied> {
        let leeway = u64::try_from(issuer.leeway.as_millis()).unwrap_or(u64::MAX);
        if !self.are_of(&issuer.issuer) || !self.is_for(&issuer.audience) {
            return Err(Denied::Invalid);
        }
        if let Some(begin) = self.moment("nbf")?
            && now.0.saturating_add(leeway) < begin.0
        {
            return Err(Denied::Invalid);
        }
        let end = self.moment("exp")?;
        let end = end.map(|end| Timestamp(end.0.saturating_add(leeway)));
        match end {
            None if issuer.must_expire => Err(Denied::Invalid),
            Some(end) if now >= end => Err(Denied::Invalid),
            end => Ok(end),
        }
    }

    /// RFC 7519 section 4.1.3: one text or a list of them.
    fn is_for(&self, audience: &[String]) -> bool {
        let is_ours = |value: &Value| audience.iter().any(|it| value == it.as_str());
        match self.get("aud") {
            Some(Value::Array(values)) => values.iter().any(is_ours),
            Some(value) => is_ours(value),
            None => false,
        }
    }

    /// A `NumericDate` (RFC 7519 section 2): seconds, perhaps with a fraction.
    fn moment(&self, name: &str) -> Result<Option<Timestamp>, Denied> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        if let Some(seconds) = value.as_u64() {
            return Ok(Some(Timestamp(seconds.saturating_mul(1000))));
        }
        match value.as_f64() {
            Some(seconds) if seconds >= 0.0 => {
                let time = Duration::try_from_secs_f64(seconds).ok();
                let time = time.and_then(|time| u64::try_from(time.as_millis()).ok());
                Ok(Some(Timestamp(time.unwrap_or(u64::MAX))))
            }
            _ => Err(Denied::Invalid),
        }
    }

    /// Judges what a feed or a route wants besides.
    ///
    /// # Errors
    /// [`Denied::Insufficient`].
    pub fn meet(&self, rules: &[ClaimRule], captures: &[String]) -> Result<(), Denied> {
        match rules.iter().all(|rule| self.meets(rule, captures)) {
            true => Ok(()),
            false => Err(Denied::Insufficient),
        }
    }

    fn meets(&self, rule: &ClaimRule, captures: &[String]) -> bool {
        let mut found: Option<&Value> = None;
        for (depth, name) in rule.path.iter().enumerate() {
            found = match depth {
                0 => self.get(name),
                _ => found
                    .and_then(Value::as_object)
                    .and_then(|members| members.get(name)),
            };
        }
        let last = rule.path.last().map(String::as_str);
        found.is_some_and(|found| rule.wanted.iter().any(|it| is(found, it, last, captures)))
    }
}

/// Whether a claim is what is wanted, or a list with that in it. A scope is a list with spaces
/// between (RFC 8693 section 4.2).
fn is(found: &Value, wanted: &Wanted, name: Option<&str>, captures: &[String]) -> bool {
    let wanted = match wanted {
        Wanted::Text(template) => Value::String(template.text(captures)),
        Wanted::Exactly(value) => value.clone(),
    };
    match found {
        Value::Array(values) => values.contains(&wanted),
        Value::String(text) if matches!(name, Some("scope" | "scp")) => {
            text.split(' ').any(|scope| wanted == scope)
        }
        found => *found == wanted,
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")
    }
}

/// Reads an object in which no member is there twice, at any depth (RFC 7519 section 4).
impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Strict::deserialize(deserializer)?.0 {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(de::Error::custom("no object")),
        }
    }
}

/// A value in which no member is there twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E: de::Error>(self, it: f64) -> Result<Value, E> {
        let number = Number::from_f64(it).ok_or_else(|| E::custom("no number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_string<E>(self, it: String) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member is there twice"));
            }
        }
        Ok(Value::Object(members))
    }
}
