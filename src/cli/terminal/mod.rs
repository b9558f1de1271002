//! What a terminal shows, and what a pipe gets instead.

mod paint;
mod screen;

pub use paint::{Ink, Paint, When, harmless, shortened, width};
pub use screen::{Screen, to_stdout};
