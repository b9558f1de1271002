//! Prometheus' text exposition format 0.0.4 and OpenMetrics 1.0: what a `/metrics` page says.
//!
//! An object of the families by name. A family has `type`, `help` and `unit` as far as they are
//! told, and `samples`: an object with a member for each series, named by the series' text such as
//! `up{job="api"}`, so that a series keeps its place whichever others come and go. A sample has
//! `labels`, `value`, and `timestamp` if one is told. Exemplars are left out.
//!
//! Reads lines itself: the parsers that there are turn values into floats, which loses their
//! writing, and refuse or pass over what Prometheus takes.

mod line;

use indexmap::IndexMap;

use super::FormatError;
use super::text::{Text, is_number};
use line::{Cursor, series, unescaped, value, word};

pub(super) fn convert(body: &str, limit: usize) -> Result<Vec<u8>, FormatError> {
    let mut page = Page::default();
    for (index, line) in body.lines().enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        let told = match line.strip_prefix('#') {
            Some(comment) if comment.trim() == "EOF" => break,
            Some(comment) => page.comment(comment),
            None if line.is_empty() => Ok(()),
            None => page.sample(line, index + 1),
        };
        told.map_err(|problem| FormatError::Syntax {
            format: "Prometheus text",
            line: index + 1,
            problem,
        })?;
    }
    page.write(limit)
}

/// What was read so far, in the order in which it came.
#[derive(Default)]
struct Page<'a> {
    families: IndexMap<String, Family<'a>>,
}

#[derive(Default)]
struct Family<'a> {
    /// `type`, `help` and `unit`.
    told: IndexMap<&'static str, String>,
    samples: IndexMap<String, Sample<'a>>,
}

struct Sample<'a> {
    line: usize,
    labels: Vec<(String, String)>,
    /// A JSON number, or what a JSON string says.
    value: String,
    timestamp: Option<&'a str>,
}

/// What the names of a family's samples may end in, by its type.
const ENDINGS: &[(&str, &[&str])] = &[
    ("counter", &["_total", "_created"]),
    ("histogram", &["_bucket", "_sum", "_count", "_created"]),
    ("gaugehistogram", &["_bucket", "_gsum", "_gcount"]),
    ("summary", &["_sum", "_count", "_created"]),
    ("info", &["_info"]),
];

impl<'a> Page<'a> {
    /// `# TYPE name type`, `# HELP name text` or `# UNIT name unit`; any other comment is one.
    fn comment(&mut self, comment: &'a str) -> Result<(), String> {
        let (what, rest) = word(comment.trim_start());
        let what = match what {
            "TYPE" => "type",
            "HELP" => "help",
            "UNIT" => "unit",
            _ => return Ok(()),
        };
        let mut cursor = Cursor(rest);
        let name = match cursor.0.starts_with('"') {
            true => cursor.quoted()?,
            false => cursor.name(),
        };
        if name.is_empty() {
            return Err(format!("{} without a name", what.to_uppercase()));
        }
        let said = match what {
            "help" => unescaped(cursor.0.trim_start()),
            _ => cursor.0.trim().to_owned(),
        };
        let told = &mut self.families.entry(name).or_default().told;
        if told.get(what).is_some_and(|before| *before != said) {
            return Err(format!("another {what} than before"));
        }
        told.insert(what, said);
        Ok(())
    }

    /// `name{label="value",...} value [timestamp] [# exemplar]`.
    fn sample(&mut self, text: &'a str, line: usize) -> Result<(), String> {
        let mut cursor = Cursor(text);
        let mut name = cursor.name();
        let labels = cursor.labels(&mut name)?;
        if name.is_empty() {
            return Err("no name".to_owned());
        }
        let (written, rest) = word(cursor.0.trim_start());
        let value = value(written).ok_or("the value is no number")?;
        let (stamp, rest) = word(rest);
        let timestamp = match stamp {
            "" | "#" => None,
            stamp if is_number(stamp) => Some(stamp),
            _ => return Err("the timestamp is no number".to_owned()),
        };
        if !(rest.is_empty() || rest.starts_with('#') || stamp == "#") {
            return Err("text after the sample".to_owned());
        }
        let series = series(&name, &labels);
        let sample = Sample {
            line,
            labels,
            value,
            timestamp,
        };
        let family = self.family_of(&name);
        match self
            .families
            .entry(family)
            .or_default()
            .samples
            .entry(series)
        {
            indexmap::map::Entry::Vacant(place) => {
                place.insert(sample);
                Ok(())
            }
            indexmap::map::Entry::Occupied(held) => {
                Err(format!("the series of line {} again", held.get().line))
            }
        }
    }

    /// The family that a sample of this name belongs to.
    fn family_of(&self, name: &str) -> String {
        let is_typed = |family: &str, known: &str| {
            let family = self.families.get(family);
            family.is_some_and(|family| family.told.get("type").is_some_and(|kind| kind == known))
        };
        let families = ENDINGS.iter().flat_map(|(kind, endings)| {
            let bases = endings.iter().filter_map(|end| name.strip_suffix(end));
            bases.filter(|base| is_typed(base, kind))
        });
        // A family of the very name comes first: `x_count` may be a gauge beside a summary `x`.
        match self.families.contains_key(name) {
            true => name.to_owned(),
            false => families
                .map(str::to_owned)
                .next()
                .unwrap_or(name.to_owned()),
        }
    }

    fn write(&self, limit: usize) -> Result<Vec<u8>, FormatError> {
        let mut out = Text::new(limit);
        out.raw("{")?;
        for (index, (name, family)) in self.families.iter().enumerate() {
            out.name(index == 0, name)?;
            out.raw("{")?;
            for (index, (what, said)) in family.told.iter().enumerate() {
                out.name(index == 0, what)?;
                out.string(said)?;
            }
            out.name(family.told.is_empty(), "samples")?;
            out.raw("{")?;
            for (index, (series, sample)) in family.samples.iter().enumerate() {
                out.name(index == 0, series)?;
                sample.write(&mut out)?;
            }
            out.raw("}}")?;
        }
        out.raw("}")?;
        Ok(out.finish())
    }
}

impl Sample<'_> {
    fn write(&self, out: &mut Text) -> Result<(), FormatError> {
        out.raw(r#"{"labels":{"#)?;
        for (index, (name, value)) in self.labels.iter().enumerate() {
            out.name(index == 0, name)?;
            out.string(value)?;
        }
        out.raw(r#"},"value":"#)?;
        out.scalar(&self.value, true)?;
        if let Some(timestamp) = self.timestamp {
            out.name(false, "timestamp")?;
            out.raw(timestamp)?;
        }
        Ok(out.raw("}")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(body: &str) -> Result<String, String> {
        convert(body, 10_000)
            .map(|json| String::from_utf8(json).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn families_hold_their_samples_by_series() {
        let body = "# HELP http_requests_total Requests, \\\\ and\\nlines.\n\
            # TYPE http_requests_total counter\n\
            http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
            http_requests_total { method = \"a\\\"b\\\\c\\n\", } 1.50e+03\n\
            # just a comment\n\
            \n\
            up 1\n";
        assert_eq!(
            converted(body).unwrap(),
            r#"{"http_requests_total":{"help":"Requests, \\ and\nlines.","type":"counter","samples":{"#
                .to_owned()
                + r#""http_requests_total{method=\"post\",code=\"200\"}":{"labels":{"method":"post","code":"200"},"value":1027,"timestamp":1395066363000},"#
                + r#""http_requests_total{method=\"a\\\"b\\\\c\\n\"}":{"labels":{"method":"a\"b\\c\n"},"value":1.50e+03}}},"#
                + r#""up":{"samples":{"up":{"labels":{},"value":1}}}}"#
        );
    }

    #[test]
    fn what_belongs_to_one_histogram_is_one_family() {
        let body = "# TYPE t histogram\nt_bucket{le=\"+Inf\"} 2\nt_sum NaN\nt_count 2\n\
            # TYPE t_created gauge\nt_created 5\n\
            # TYPE s summary\ns{quantile=\"0.5\"} -Inf\ns_sum +Inf\n";
        let json: serde_json::Value = serde_json::from_str(&converted(body).unwrap()).unwrap();
        let samples = |family: &str| {
            let samples = json[family]["samples"].as_object().unwrap();
            samples
                .iter()
                .map(|(series, sample)| format!("{series} {}", sample["value"]))
                .collect::<std::collections::BTreeSet<_>>()
        };
        let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(
            samples("t"),
            all(&["t_bucket{le=\"+Inf\"} 2", "t_sum \"NaN\"", "t_count 2"])
        );
        assert_eq!(samples("t_created"), all(&["t_created 5"]));
        assert_eq!(
            samples("s"),
            all(&["s{quantile=\"0.5\"} \"-Inf\"", "s_sum \"+Inf\""])
        );
    }

    #[test]
    fn open_metrics_and_quoted_names_are_read_too() {
        let body = "# TYPE a.b counter\n# TYPE \"a.b\" counter\n# UNIT x_seconds seconds\n\
            {\"a.b\",\"the label\"=\"x\"} .5 1.5 # {trace_id=\"1\"} 0.67\n\
            x_seconds 0x # {} 1\n";
        assert_eq!(
            converted(body).unwrap_err(),
            "no Prometheus text: line 5: the value is no number"
        );
        let body = body.replace("0x", "1").replace("# TYPE a.b counter\n", "") + "# EOF\nx";
        assert_eq!(
            converted(&body).unwrap(),
            r#"{"a.b":{"type":"counter","samples":{"a.b{the label=\"x\"}":{"labels":{"the label":"x"},"value":0.5,"timestamp":1.5}}},"x_seconds":{"unit":"seconds","samples":{"x_seconds":{"labels":{},"value":1}}}}"#
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (line, problem) in [
            ("up", "the value is no number"),
            ("up one", "the value is no number"),
            ("up 1 now", "the timestamp is no number"),
            ("up 1 2 3", "text after the sample"),
            ("up{a=\"b} 1", "a quote is not closed"),
            ("up{a=\"b\" 1", "the labels are not closed"),
            ("up{a} 1", "the label \"a\" has no value"),
            ("up{a=\"1\",a=\"1\"} 1", "the label \"a\" twice"),
            ("<html>", "no name"),
            ("{\"a\": 1}", "the labels are not closed"),
            ("ok{} 2", "the series of line 1 again"),
            ("# TYPE", "TYPE without a name"),
            (
                "# TYPE ok counter\n# TYPE ok gauge",
                "another type than before",
            ),
        ] {
            let told = converted(&format!("ok 1\n{line}\n")).unwrap_err();
            let line = 1 + line.lines().count();
            assert_eq!(told, format!("no Prometheus text: line {line}: {problem}"));
        }
    }
}
