//! Comma-separated values (RFC 4180): one element for each row.

use std::collections::HashSet;

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::FormatError;
use super::text::{Text, quoted};

/// How a table is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// What stands between two fields; ASCII, no quote and no line break.
    pub delimiter: u8,
    /// Whether the first row names the columns, and rows become objects; arrays of fields if not.
    pub header: bool,
    /// Whether a field that is written as JSON writes a number becomes one.
    pub numbers: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: b',',
            header: true,
            numbers: true,
        }
    }
}

impl Csv {
    /// The array of the rows. Blank lines are passed over; every row has as many fields as the
    /// first one.
    pub(super) fn convert(&self, body: &str, limit: usize) -> Result<Vec<u8>, FormatError> {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(self.header)
            .from_reader(body.as_bytes());
        let names = match self.header {
            true => names(reader.headers().map_err(|error| self.syntax(&error))?),
            false => Vec::new(),
        };
        let mut out = Text::new(limit);
        out.raw("[")?;
        let mut row = StringRecord::new();
        let mut is_first = true;
        while reader
            .read_record(&mut row)
            .map_err(|error| self.syntax(&error))?
        {
            out.comma(is_first)?;
            is_first = false;
            match self.header {
                true => self.object(&names, &row, &mut out)?,
                false => self.array(&row, &mut out)?,
            }
        }
        out.raw("]")?;
        Ok(out.finish())
    }

    fn object(
        &self,
        names: &[Vec<u8>],
        row: &StringRecord,
        out: &mut Text,
    ) -> Result<(), FormatError> {
        out.raw("{")?;
        for (index, (name, field)) in names.iter().zip(row).enumerate() {
            out.comma(index == 0)?;
            out.raw(name)?;
            out.raw(":")?;
            out.scalar(field, self.numbers)?;
        }
        Ok(out.raw("}")?)
    }

    fn array(&self, row: &StringRecord, out: &mut Text) -> Result<(), FormatError> {
        out.raw("[")?;
        for (index, field) in row.iter().enumerate() {
            out.comma(index == 0)?;
            out.scalar(field, self.numbers)?;
        }
        Ok(out.raw("]")?)
    }

    fn syntax(&self, error: &csv::Error) -> FormatError {
        let line = error.position().map_or(1, csv::Position::line);
        let problem = match error.kind() {
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => {
                let fields = if *len == 1 { "field" } else { "fields" };
                let first = if self.header { "header" } else { "first row" };
                format!("it has {len} {fields}, the {first} {expected_len}")
            }
            _ => error.to_string(),
        };
        FormatError::Syntax {
            format: "CSV",
            line: usize::try_from(line).unwrap_or(usize::MAX),
            problem,
        }
    }
}

/// The columns' names, quoted: an empty one becomes `column_3`, and one that is taken `name_2`.
fn names(header: &StringRecord) -> Vec<Vec<u8>> {
    let mut taken: HashSet<String> = header.iter().map(str::to_owned).collect();
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(header.len());
    for (index, name) in header.iter().enumerate() {
        let name = match (name.is_empty(), seen.insert(name)) {
            (true, _) => free(&format!("column_{}", index + 1), &mut taken),
            (false, true) => name.to_owned(),
            (false, false) => free(name, &mut taken),
        };
        names.push(quoted(&name));
    }
    names
}

/// The name itself if nobody has it, else with the least number from 2 that makes it free.
fn free(name: &str, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(csv: &Csv, body: &str) -> Result<String, String> {
        csv.convert(body, 1000)
            .map(|json| String::from_utf8(json).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rows_become_objects_with_the_header_for_names() {
        let body = "id,name,price\n1,Tea,2.50\r\n\n2,\"Coffee, \"\"strong\"\"\",\n007,é,1e400\n";
        assert_eq!(
            converted(&Csv::default(), body).unwrap(),
            r#"[{"id":1,"name":"Tea","price":2.50},{"id":2,"name":"Coffee, \"strong\"","price":""},{"id":"007","name":"é","price":1e400}]"#
        );
        assert_eq!(converted(&Csv::default(), "id,name\n").unwrap(), "[]");
    }

    #[test]
    fn the_options_change_what_they_name() {
        let csv = Csv {
            delimiter: b';',
            header: false,
            numbers: false,
        };
        assert_eq!(
            converted(&csv, "1;a,b\n2;\"x\ny\"").unwrap(),
            r#"[["1","a,b"],["2","x\ny"]]"#
        );
    }

    #[test]
    fn a_ragged_row_is_an_error_with_its_line() {
        assert_eq!(
            converted(&Csv::default(), "a,b\n1,2\n\"x\ny\",2\n1,2,3\n").unwrap_err(),
            "no CSV: line 5: it has 3 fields, the header 2"
        );
        let csv = Csv {
            header: false,
            ..Csv::default()
        };
        assert_eq!(
            converted(&csv, "a,b\n1\n").unwrap_err(),
            "no CSV: line 2: it has 1 field, the first row 2"
        );
    }

    #[test]
    fn every_column_has_a_name_of_its_own() {
        assert_eq!(
            converted(&Csv::default(), ",a,a,a_2,a,\n1,2,3,4,5,6").unwrap(),
            r#"[{"column_1":1,"a":2,"a_3":3,"a_2":4,"a_4":5,"column_6":6}]"#
        );
    }

    #[test]
    fn a_long_header_before_many_rows_stays_within_the_limit() {
        let body = format!("{}\n{}", "n".repeat(500), "1\n".repeat(500));
        assert_eq!(
            converted(&Csv::default(), &body).unwrap_err(),
            "longer than 1000 bytes as JSON (document.max_bytes)"
        );
    }
}
