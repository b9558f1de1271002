//! Properties of the core that span its files.

mod reading;
mod wire;
