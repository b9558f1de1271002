//! Compiling a jq filter where there is enough stack for it.

use std::thread::{self, Builder, ScopedJoinHandle};

use crate::formats::jq::{Filter, FilterError};

/// What the deepest filter takes, in bytes; of which only what is used counts.
const STACK: usize = 128 << 20;

/// Compiles a filter, however deep it nests.
///
/// # Errors
/// The first [`FilterError`].
pub fn compile(text: &str) -> Result<Filter, FilterError> {
    thread::scope(|scope| {
        let builder = Builder::new().stack_size(STACK);
        let compiling = builder.spawn_scoped(scope, || Filter::parse(text));
        compiling.map(ScopedJoinHandle::join)
    })
    .map_err(|error| FilterError::of_all(format!("no thread to compile it in: {error}")))?
    .unwrap_or_else(|_| Err(FilterError::of_all("jaq gave up on it".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::jq::LONGEST;

    #[test]
    fn a_filter_that_nests_for_ever_is_refused_and_one_that_nests_deep_is_not_fatal() {
        let longest = |piece: &str| piece.repeat(LONGEST / piece.len());
        for piece in [
            "[", "-", ".|", ".,", "1+", "try ", "if ", "def f: ", "(", "{a:",
        ] {
            assert!(compile(&longest(piece)).is_err(), "{piece}");
        }
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(compile(&nested(200)).is_ok());
        let error = compile(&nested(LONGEST)).err().unwrap();
        assert!(error.problem.contains("8192 bytes"), "{error}");
    }
}
