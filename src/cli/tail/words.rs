//! What pollcast's own events mean, in words.

use crate::cli::subscribe::member;
use crate::core::json::Json;

/// `status`, `reset` or `end`, explained.
pub fn told(name: &str, members: &Json) -> String {
    match name {
        "status" => status(members),
        "reset" => reset(members),
        _ => end(members),
    }
}

/// The feed's state and since when, for those who wait.
pub fn state(members: &Json) -> Option<String> {
    match (member(members, "state")?, member(members, "since")) {
        ("live", _) => None,
        (state, Some(since)) => Some(format!("the feed is {state} since {since}")),
        (state, None) => Some(format!("the feed is {state}")),
    }
}

fn status(members: &Json) -> String {
    let since = member(members, "since").map_or_else(String::new, |at| format!(" since {at}"));
    let reason = member(members, "reason").map_or_else(String::new, |why| format!(" ({why})"));
    let good = member(members, "last_success");
    match member(members, "state").unwrap_or_default() {
        "live" => {
            let gap = members.child("gap");
            let gap = gap.and_then(|gap| Some((member(gap, "from")?, member(gap, "to")?)));
            match gap {
                Some((from, to)) => format!(
                    "live again{since}: nobody saw the document between {from} and {to}, and the next \
                     change bridges that"
                ),
                None => format!("live{since}"),
            }
        }
        "stale" => {
            let of = good.map_or_else(String::new, |at| format!(", as of {at}"));
            format!("stale{since}: polls fail{reason}; what you see is the last good document{of}")
        }
        "down" => match good {
            Some(at) => {
                format!("down{since}: no poll succeeds{reason}; the last good one was at {at}")
            }
            None => format!("down{since}: no poll has succeeded yet{reason}"),
        },
        other => format!("{other}{since}{reason}"),
    }
}

fn reset(members: &Json) -> String {
    let why = match member(members, "reason").unwrap_or_default() {
        "unknown_id" => "the server does not know our position, as after a restart",
        "expired" => "we were away for longer than the server's history",
        "lagged" => "we read too slowly",
        other => other,
    };
    format!("reset: {why}; changes may be missing, and the whole document follows")
}

fn end(members: &Json) -> String {
    match member(members, "reason") {
        Some(reason) => format!("end: the feed is over ({reason})"),
        None => "end: the feed is over".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::json::parse;

    #[test]
    fn each_word_is_explained() {
        for (name, data, words) in [
            (
                "status",
                r#"{"state":"stale","since":"T1","last_success":"T0","reason":"503"}"#,
                "stale since T1: polls fail (503); what you see is the last good document, as of T0",
            ),
            (
                "status",
                r#"{"state":"down","since":"T1","last_success":null,"reason":"refused"}"#,
                "down since T1: no poll has succeeded yet (refused)",
            ),
            (
                "status",
                r#"{"state":"live","since":"T2","gap":{"from":"T0","to":"T2"}}"#,
                "live again since T2: nobody saw the document between T0 and T2, and the next change bridges that",
            ),
            (
                "reset",
                r#"{"reason":"lagged"}"#,
                "reset: we read too slowly; changes may be missing, and the whole document follows",
            ),
            ("end", r#"{"reason":"410"}"#, "end: the feed is over (410)"),
        ] {
            assert_eq!(told(name, &parse(data.as_bytes()).unwrap()), words);
        }
    }
}
