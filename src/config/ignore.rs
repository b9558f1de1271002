//! `document.ignore` as one would write it, for those who are told what to add to it.

use crate::core::json::Pattern;

/// The line of a feed's `document` section that ignores these places, as YAML.
pub fn ignore_line<'a>(places: impl IntoIterator<Item = &'a Pattern>) -> String {
    let places: Vec<String> = places.into_iter().map(scalar).collect();
    format!("ignore: [{}]", places.join(", "))
}

/// A pattern begins with a slash, so it needs quotes only for what comes after.
fn scalar(place: &Pattern) -> String {
    // What comes from outside the file begins with a dollar sign.
    let text = place.to_string().replace('$', "$$");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_-.*~$@+=()".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // YAML 1.2 section 5.1: what is not printable, and what could be a line break.
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fffe}'..='\u{ffff}' => {
                quoted += &format!("\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, System};

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn places_are_quoted_only_where_that_is_needed() {
        let places = ["/generated_at", "/rows/*/age", "/a, b", "/price $"].map(pattern);
        assert_eq!(
            ignore_line(&places),
            r#"ignore: [/generated_at, /rows/*/age, "/a, b", "/price $$"]"#
        );
    }

    #[test]
    fn the_configuration_reads_what_was_written() {
        let controls: String = (0..=0xa0).filter_map(char::from_u32).collect();
        let controls = format!("/{}", controls.replace('~', "~0"));
        let texts = [
            &*controls,
            "/",
            "/ ",
            "/a: b",
            "/a #b",
            "/[x]/{y}",
            "/'\"\\",
            "/${HOME}$$",
            "/é\u{2028}\u{feff}\u{202e}𝄞",
            "/~0~1/*",
            "/0/-1/true",
        ];
        let places = texts.map(pattern);
        let text = format!(
            "upstreams: {{ a: {{ url: http://a }} }}\n\
             feeds: [{{ path: /x, upstream: a, document: {{ {} }} }}]",
            ignore_line(&places)
        );
        let (config, _) = Config::parse(&text, &System::new("")).unwrap();
        assert_eq!(config.feeds[0].document.view.ignore, places);
    }
}
