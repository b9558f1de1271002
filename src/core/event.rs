//! The words of the wire: modes, event names, ids, states, reasons.

use std::fmt;
use std::str::FromStr;

/// The form in which a subscriber wants changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// RFC 6902 arrays, a snapshot where one would not be smaller.
    Patch,
    /// RFC 7396 objects, a snapshot where one cannot say the change or would not be smaller.
    Merge,
    /// What became of each item of a keyed collection, a snapshot where that is not the change or
    /// would not be smaller.
    Items,
    /// The whole document at every change.
    Snapshot,
}

impl Mode {
    /// Every mode, in the order in which they are listed to users.
    pub const ALL: [Mode; 4] = [Mode::Patch, Mode::Merge, Mode::Items, Mode::Snapshot];

    /// What a feed offers unless it is told otherwise.
    pub const STANDARD: [Mode; 2] = [Mode::Patch, Mode::Snapshot];

    /// The name in configuration and in `?mode=`.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Patch => "patch",
            Mode::Merge => "merge",
            Mode::Items => "items",
            Mode::Snapshot => "snapshot",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or(UnknownMode)
    }
}

/// The text names no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mode")]
pub struct UnknownMode;

/// A set of modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modes(u8);

impl Modes {
    /// No mode.
    pub const NONE: Modes = Modes(0);

    /// This set with one mode more.
    #[must_use]
    pub const fn with(self, mode: Mode) -> Self {
        Self(self.0 | 1 << mode as u8)
    }

    /// Whether the mode is in the set.
    pub const fn contains(self, mode: Mode) -> bool {
        self.0 & 1 << mode as u8 != 0
    }
}

impl FromIterator<Mode> for Modes {
    fn from_iter<T: IntoIterator<Item = Mode>>(modes: T) -> Self {
        modes.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What became of one item of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
}

/// The value of an SSE `event:` field. Cannot hold a line break, so it cannot forge another field.
///
/// The empty name leaves the field out, which makes a browser's `onmessage` fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName(String);

/// Why a text cannot be an event's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventNameError {
    /// A line break would begin another field (WHATWG HTML, section 9.2.6).
    #[error("an event name holds no line break and no NUL")]
    Control,
    /// EventSource dispatches events of its own under this name.
    #[error("\"{0}\" collides with EventSource's own event of that name")]
    Reserved(String),
}

impl EventName {
    /// Accepts what an SSE `event:` field can carry unchanged.
    ///
    /// # Errors
    /// [`EventNameError`] for line breaks, NUL, and the names `open` and `error`.
    pub fn new(name: impl Into<String>) -> Result<Self, EventNameError> {
        let name = name.into();
        if name.contains(['\r', '\n', '\0']) {
            return Err(EventNameError::Control);
        }
        if matches!(name.as_str(), "open" | "error") {
            return Err(EventNameError::Reserved(name));
        }
        Ok(Self(name))
    }

    /// The name as it stands after `event: `; empty for the default event.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The names under which a feed's events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The whole document.
    pub snapshot: EventName,
    /// An RFC 6902 array.
    pub patch: EventName,
    /// An RFC 7396 object.
    pub merge: EventName,
    /// A new item.
    pub added: EventName,
    /// An item that is another now.
    pub changed: EventName,
    /// An item that is gone.
    pub removed: EventName,
    /// The client's position cannot be continued.
    pub reset: EventName,
    /// The feed's state changed.
    pub status: EventName,
    /// The feed is over for this client.
    pub end: EventName,
}

impl Default for Names {
    fn default() -> Self {
        let name = |text: &str| EventName(text.to_owned());
        Self {
            snapshot: name("snapshot"),
            patch: name("patch"),
            merge: name("merge"),
            added: name("added"),
            changed: name("changed"),
            removed: name("removed"),
            reset: name("reset"),
            status: name("status"),
            end: name("end"),
        }
    }
}

/// The feed's condition as subscribers are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The last poll succeeded, or one failed since.
    Live,
    /// A document is held, and two polls in a row failed.
    Stale,
    /// There is no document, or no poll succeeded for long.
    Down,
}

impl State {
    /// Every state.
    pub const ALL: [State; 3] = [State::Live, State::Stale, State::Down];

    /// The word on the wire and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Stale => "stale",
            State::Down => "down",
        }
    }
}

/// Why a client's position cannot be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetReason {
    /// The id is unparsable, of another feed or life, or from the future.
    UnknownId,
    /// The id is ours, but the log no longer reaches back to it.
    Expired,
    /// The client was too slow, and the log moved past it.
    Lagged,
}

impl ResetReason {
    /// The word on the wire and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            ResetReason::UnknownId => "unknown_id",
            ResetReason::Expired => "expired",
            ResetReason::Lagged => "lagged",
        }
    }
}

/// Milliseconds since 1970-01-01 UTC. Printed as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment so many milliseconds later; the end of time at most.
    #[must_use]
    pub fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds since `earlier`; 0 if that is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.0);
        humantime::format_rfc3339_millis(at).fmt(f)
    }
}
