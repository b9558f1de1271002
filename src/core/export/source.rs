//! Where the value of a label is: a Relative JSON Pointer.

use super::{Step, below};
use crate::core::json::{Kind, Pointer, PointerError, member_name};

/// A Relative JSON Pointer ([draft-bhutton-relative-json-pointer-00]), seen from a sample's place:
/// `1/name` is the member `name` of what the place is in, `0#` what the place itself is called. A
/// plain JSON Pointer starts at the place.
///
/// [draft-bhutton-relative-json-pointer-00]: https://datatracker.ietf.org/doc/html/draft-bhutton-relative-json-pointer-00
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// So many steps up.
    up: usize,
    /// What lies below there; its own name or index if none.
    below: Option<Pointer>,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// What follows the number is no JSON Pointer.
    #[error(transparent)]
    Pointer(#[from] PointerError),
    /// The number of steps is none, such as `01`.
    #[error("it begins with no number of steps")]
    Steps,
}

impl Source {
    /// Parses the text form.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
        let up = match digits {
            "" => 0,
            _ if digits.len() > 1 && digits.starts_with('0') => return Err(SourceError::Steps),
            _ => digits.parse().map_err(|_| SourceError::Steps)?,
        };
        let below = match rest {
            "#" if !digits.is_empty() => None,
            rest => Some(Pointer::parse(rest)?),
        };
        Ok(Self { up, below })
    }

    /// How many steps there must be from the document to a place.
    pub fn depth(&self) -> usize {
        self.up + usize::from(self.below.is_none())
    }

    /// The text at the end of `way`: empty where there is nothing, none where it is no scalar.
    pub(super) fn read(&self, way: &[Step<'_>]) -> Option<String> {
        let above = way.len().checked_sub(self.up + 1);
        let Some(step) = above.and_then(|at| way.get(at)) else {
            return Some(String::new());
        };
        let Some(pointer) = &self.below else {
            return step.name();
        };
        let Some(value) = below(step.value, pointer) else {
            return Some(String::new());
        };
        match value.kind() {
            Kind::Null => Some(String::new()),
            Kind::String => member_name(value.raw()),
            Kind::Bool | Kind::Number => String::from_utf8(value.raw().to_vec()).ok(),
            Kind::Array | Kind::Object => None,
        }
    }
}
