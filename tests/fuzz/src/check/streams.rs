//! Event streams, recordings, and what stands before a connection's first byte.

use pollcast::cli::fuzz as cli;
use pollcast::listen::fuzz as listen;

/// A stream has the same events in whatever pieces it comes.
pub fn check(input: &[u8]) {
    let Some((length, stream)) = input.split_first() else {
        return;
    };
    let whole = cli::events(stream, &[usize::MAX]);
    assert_eq!(whole, cli::events(stream, &[1]));
    assert_eq!(whole, cli::events(stream, &[usize::from(*length), 2]));
    for event in &whole.0 {
        assert!(!event.id.contains(['\n', '\r', '\0']), "{event:?}");
        assert!(!event.name.contains(['\n', '\r']), "{event:?}");
        // Whatever came is one line of JSON for those who keep it.
        let line = format!("{{{}}}", event.members());
        assert!(!line.contains(char::is_control), "{line:?}");
        let read = serde_json::from_str::<serde_json::Value>(&line);
        let is_deep = event.data.matches(['[', '{']).count() > 60;
        assert!(read.is_ok() || is_deep, "{read:?}: {line}");
    }
    assert!(whole.1 <= stream.len() * 3);
    if let Err(why) = cli::recording(stream) {
        assert!(!why.is_empty());
    }
    if let Some((_, rest)) = super::now(listen::announced(stream)) {
        assert!(stream.ends_with(&rest));
        assert!(rest.len() < stream.len(), "a header of no length");
    }
}
