//! The scripted hour: `hour.mjs` plays one hour of a feed's life in about two minutes.

use crate::client::play;

#[test]
fn all_clients_are_where_the_upstream_is_through_an_hour_of_everything() {
    play("hour.mjs", &[]);
}
