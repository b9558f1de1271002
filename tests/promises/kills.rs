//! `make kills`, shortened.

#[path = "../bench/kills/client.rs"]
mod client;
#[path = "../bench/kills/cycles.rs"]
mod cycles;
#[path = "../bench/kills/ledger.rs"]
mod ledger;
#[path = "../bench/kills/upstream.rs"]
mod upstream;

#[test]
fn however_often_it_is_killed_no_state_is_wrong_and_no_id_is_used_twice() {
    let ledger = cycles::run(25, |_, _| {}).unwrap();
    let (events, ids, resumed, _) = ledger.tally();
    assert_eq!(ledger.verdict(), Vec::<String>::new());
    assert!(
        events > 100 && ids > 50 && resumed > 25,
        "{events} {ids} {resumed}"
    );
}
