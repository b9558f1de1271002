//! XML 1.0: an element becomes an object, or a string if it holds nothing but text.
//!
//! Attributes are members named `@name`, child elements members by their names, with prefixes as
//! written; several children of one name are an array in the place of the first. Text beside
//! attributes or children is `#text`. White space around text is dropped, as are comments,
//! processing instructions and the document type. No entity is known but the five of XML, and a
//! document that declares one is refused: nothing is expanded, nothing fetched.

mod encoding;

use std::borrow::Cow;
use std::collections::BTreeSet;

use indexmap::IndexMap;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::FormatError;
use super::text::Text;
use crate::core::json::MAX_DEPTH;
use encoding::decoded;

/// How elements become members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xml {
    /// The names of elements that are arrays even where there is only one.
    pub arrays: BTreeSet<String>,
    /// Whether text that is written as JSON writes a number becomes one.
    pub numbers: bool,
}

impl Xml {
    /// An object with the root element as its only member.
    pub(super) fn convert(&self, body: &[u8], limit: usize) -> Result<Vec<u8>, FormatError> {
        let text = decoded(body)?;
        if text.trim().is_empty() {
            return Err(FormatError::Empty);
        }
        let mut reader = Reader::from_str(&text);
        let mut tree = Tree::new(self, limit);
        loop {
            let event = reader.read_event();
            let took = match event {
                Ok(Event::Eof) => break,
                Ok(event) => tree.take(event),
                Err(error) => Err(Wrong::Syntax(error.to_string())),
            };
            took.map_err(|wrong| match wrong {
                Wrong::Syntax(problem) => {
                    let at = reader.error_position().max(reader.buffer_position());
                    syntax(&text, usize::try_from(at).unwrap_or(usize::MAX), problem)
                }
                Wrong::Full(error) => error,
            })?;
        }
        tree.finish().map_err(|wrong| match wrong {
            Wrong::Syntax(problem) => syntax(&text, text.len(), problem),
            Wrong::Full(error) => error,
        })
    }
}

fn syntax(text: &str, at: usize, problem: String) -> FormatError {
    let before = &text.as_bytes()[..at.min(text.len())];
    FormatError::Syntax {
        format: "XML",
        line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        problem,
    }
}

/// What is wrong with an event, whose place the reader knows.
enum Wrong {
    Syntax(String),
    Full(FormatError),
}

impl From<String> for Wrong {
    fn from(problem: String) -> Self {
        Wrong::Syntax(problem)
    }
}

/// The elements that are open.
struct Tree<'a> {
    xml: &'a Xml,
    limit: usize,
    /// The document first, which holds the root.
    open: Vec<Element>,
}

/// An element that is not closed yet.
#[derive(Default)]
struct Element {
    name: String,
    /// JSON texts.
    members: IndexMap<String, Vec<Vec<u8>>>,
    text: String,
}

impl<'a> Tree<'a> {
    fn new(xml: &'a Xml, limit: usize) -> Self {
        let open = vec![Element::default()];
        Self { xml, limit, open }
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), Wrong> {
        match event {
            Event::Start(start) => self.enter(&start),
            Event::Empty(start) => self.enter(&start).and_then(|()| self.leave()),
            Event::End(_) => self.leave(),
            Event::Text(text) => self.write(&text.xml10_content()),
            Event::CData(text) => self.write(&text.xml10_content()),
            Event::GeneralRef(reference) => self.write(&resolved(&reference)?),
            Event::DocType(text) if text.contains("<!ENTITY") => {
                Err("entities of its own are not taken".to_owned().into())
            }
            _ => Ok(()),
        }
    }

    fn enter(&mut self, start: &BytesStart<'_>) -> Result<(), Wrong> {
        let name = start.name().as_ref().to_owned();
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == ':') {
            return Err(format!("{name:?} is no name of an element").into());
        }
        if self.open.len() > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels").into());
        }
        if self.open.len() == 1 && !self.open[0].members.is_empty() {
            return Err("a second root element".to_owned().into());
        }
        let mut members = IndexMap::new();
        // Its own check for attributes with the same name compares each with each.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| error.to_string())?;
            let name = format!("@{}", attribute.key.as_ref());
            let value = self.scalar(&value)?;
            if members.insert(name.clone(), vec![value]).is_some() {
                return Err(format!("the attribute `{}` twice", &name[1..]).into());
            }
        }
        self.open.push(Element {
            name,
            members,
            text: String::new(),
        });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Wrong> {
        let [.., _, _] = &*self.open else {
            return Err("an end tag without its start".to_owned().into());
        };
        let element = self.open.pop().expect("invariant: two are open");
        let json = self.json(&element)?;
        let parent = self.open.last_mut().expect("invariant: two were open");
        parent.members.entry(element.name).or_default().push(json);
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Wrong> {
        let element = self
            .open
            .last_mut()
            .expect("invariant: the document is open");
        element.text += text;
        match self.open.len() == 1 && !self.open[0].text.trim().is_empty() {
            true => Err("text outside of the root element".to_owned().into()),
            false => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Vec<u8>, Wrong> {
        let document = self.open.pop().expect("invariant: the document is open");
        if !self.open.is_empty() {
            return Err(format!("it ends inside of `{}`", document.name).into());
        }
        if document.members.is_empty() {
            return Err("no root element".to_owned().into());
        }
        self.json(&document)
    }

    fn json(&self, element: &Element) -> Result<Vec<u8>, Wrong> {
        let text = element.text.trim();
        if element.members.is_empty() {
            return self.scalar(text);
        }
        let mut out = Text::new(self.limit);
        let mut write = || {
            out.raw("{")?;
            for (index, (name, values)) in element.members.iter().enumerate() {
                out.name(index == 0, name)?;
                match &values[..] {
                    [value] if !self.xml.arrays.contains(name) => out.raw(value)?,
                    values => {
                        out.raw("[")?;
                        for (index, value) in values.iter().enumerate() {
                            out.comma(index == 0)?;
                            out.raw(value)?;
                        }
                        out.raw("]")?;
                    }
                }
            }
            if !text.is_empty() {
                out.name(false, "#text")?;
                out.scalar(text, self.xml.numbers)?;
            }
            out.raw("}")
        };
        write().map_err(|full| Wrong::Full(full.into()))?;
        Ok(out.finish())
    }

    fn scalar(&self, text: &str) -> Result<Vec<u8>, Wrong> {
        let mut out = Text::new(self.limit);
        out.scalar(text, self.xml.numbers)
            .map_err(|full| Wrong::Full(full.into()))?;
        Ok(out.finish())
    }
}

/// What a reference in a text stands for.
fn resolved(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, Wrong> {
    let known = match reference
        .resolve_char_ref()
        .map_err(|error| error.to_string())?
    {
        Some(character) => Some(Cow::Owned(character.to_string())),
        None => resolve_predefined_entity(reference).map(Cow::Borrowed),
    };
    known.ok_or_else(|| Wrong::Syntax(format!("the entity `&{};` is not known", &**reference)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(xml: &Xml, body: impl AsRef<[u8]>) -> Result<String, String> {
        xml.convert(body.as_ref(), 1000)
            .map(|json| String::from_utf8(json).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn elements_become_members() {
        let body = r#"<?xml version="1.0"?>
            <!DOCTYPE orders SYSTEM "orders.dtd">
            <!-- all of them -->
            <orders at='noon &amp; later' xmlns:x="urn:x">
              <order id="1"> 2.50 </order>
              <x:note>a &lt; b &#233;<![CDATA[ & ]]>c</x:note>
              <order id="2"/>
              <none></none><empty/>
              mixed <?php no ?>text
            </orders>"#;
        assert_eq!(
            converted(&Xml::default(), body).unwrap(),
            concat!(
                r##"{"orders":{"@at":"noon & later","@xmlns:x":"urn:x","##,
                r##""order":[{"@id":"1","#text":"2.50"},{"@id":"2"}],"x:note":"a < b é & c","##,
                r##""none":"","empty":"","#text":"mixed text"}}"##
            )
        );
    }

    #[test]
    fn the_options_change_what_they_name() {
        let xml = Xml {
            arrays: ["item".to_owned()].into(),
            numbers: true,
        };
        assert_eq!(
            converted(&xml, "<a n='1.50'><item>007</item><b>2</b></a>").unwrap(),
            r#"{"a":{"@n":1.50,"item":["007"],"b":2}}"#
        );
        assert_eq!(
            converted(&xml, "<item>1</item>").unwrap(),
            r#"{"item":[1]}"#
        );
    }

    #[test]
    fn encodings_are_taken_from_the_mark_or_the_declaration() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        assert_eq!(converted(&Xml::default(), latin).unwrap(), r#"{"a":"é"}"#);
        let wide = "\u{feff}<a>é</a>".encode_utf16();
        let wide: Vec<u8> = wide.flat_map(u16::to_le_bytes).collect();
        assert_eq!(converted(&Xml::default(), wide).unwrap(), r#"{"a":"é"}"#);
        assert_eq!(
            converted(&Xml::default(), "\u{feff}<a/>").unwrap(),
            r#"{"a":""}"#
        );
        assert_eq!(
            converted(&Xml::default(), b"<a>\xe9</a>").unwrap_err(),
            "not UTF-8 at byte 3"
        );
        assert_eq!(
            converted(
                &Xml::default(),
                "<?xml version='1.0' encoding='rot13'?><a/>"
            )
            .unwrap_err(),
            "no XML: line 1: the encoding \"rot13\" is not known"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let deep = "<a>".repeat(200);
        for (body, problem) in [
            ("", "empty"),
            (" \n", "empty"),
            ("<a>\n<b>\n</a>", "line 3"),
            ("<a>\n", "line 2: it ends inside of `a`"),
            (
                "<a>\n&nbsp;</a>",
                "line 2: the entity `&nbsp;` is not known",
            ),
            ("<a/>\n<b/>", "line 2: a second root element"),
            ("<a/>\nb", "line 2: text outside of the root element"),
            ("\n<!-- -->", "line 2: no root element"),
            ("<a>\n<@b/></a>", "line 2: \"@b\" is no name of an element"),
            ("<a b='1'\n b='2'/>", "line 2: the attribute `b` twice"),
            ("</a>", "line 1"),
            (
                "<!DOCTYPE a [<!ENTITY b \"bbb\">]><a>&b;</a>",
                "line 1: entities of its own are not taken",
            ),
            (&deep, "line 1: nested deeper than 128 levels"),
        ] {
            let told = converted(&Xml::default(), body).unwrap_err();
            assert!(told.contains(problem), "{body}: {told}");
        }
    }
}
