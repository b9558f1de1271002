//! What reads streams and recordings here, for whoever tries all kinds of them (`tests/fuzz`).

use super::recording;
pub use super::subscribe::Event;
use super::subscribe::Parser;

/// The events of a stream that comes in pieces of these lengths, again and again.
pub fn events(stream: &[u8], lengths: &[usize]) -> (Vec<Event>, usize) {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    let mut left = stream;
    for length in lengths.iter().cycle() {
        let (piece, rest) = left.split_at((*length).clamp(1, left.len().max(1)).min(left.len()));
        parser.feed(piece, |event| events.push(event));
        left = rest;
        if left.is_empty() {
            break;
        }
    }
    (events, parser.pending())
}

/// How many moments a recording has, or what is wrong with it.
///
/// # Errors
/// Which line is wrong, and why.
pub fn recording(file: &[u8]) -> Result<usize, String> {
    let lines = recording::read(file).map_err(|error| error.to_string())?;
    Ok(lines.moments.len())
}
