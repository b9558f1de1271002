//! Properties of the core that span its files.

mod body;
mod reading;
mod wire;
