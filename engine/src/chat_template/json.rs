//! The filter `tojson` as `transformers` gives it to templates: Python's `json.dumps` without escapes for HTML and with
//! characters beyond ASCII as they are. Models have seen their tools written so.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use minijinja::{Error, ErrorKind, Value, value::Kwargs};
use serde::Serialize as _;
use serde_json::{Serializer, ser::Formatter};

/// Widest indentation that a template may ask for.
const MAX_INDENT: usize = 16;

/// The filter, which writes at most `limit` bytes in one rendering: values that share parts can be small and write
/// without end.
pub(super) fn filter(
    limit: usize,
) -> impl Fn(Value, Option<usize>, Kwargs) -> Result<String, Error> + Send + Sync + 'static {
    let left = AtomicUsize::new(limit);
    move |value, indent, options| {
        let indent = match indent {
            Some(indent) => Some(indent),
            None => options.get("indent")?,
        };
        // Names that say what is done anyway.
        for name in ["ensure_ascii", "separators", "sort_keys"] {
            let _: Option<Value> = options.get(name)?;
        }
        options.assert_all_used()?;
        let budget = left.load(Ordering::Relaxed);
        let json = write(&value, indent, budget)?;
        left.store(budget - json.len(), Ordering::Relaxed);
        Ok(json)
    }
}

fn write(value: &Value, indent: Option<usize>, budget: usize) -> Result<String, Error> {
    let mut target = Bounded { bytes: Vec::new(), budget };
    let style =
        Python { indent: indent.map(|indent| indent.min(MAX_INDENT)), depth: 0, filled: false };
    value.serialize(&mut Serializer::with_formatter(&mut target, style)).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "cannot write as JSON").with_source(error)
    })?;
    String::from_utf8(target.bytes)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "not text").with_source(error))
}

/// Ends a value that writes too much.
struct Bounded {
    bytes: Vec<u8>,
    budget: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.budget {
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Python's separators: a space after each colon, and after each comma that ends no line.
struct Python {
    indent: Option<usize>,
    depth: usize,
    /// Something stands in the innermost list or object.
    filled: bool,
}

impl Python {
    fn line<W: io::Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        match self.indent {
            None => Ok(()),
            Some(indent) => write!(writer, "\n{:width$}", "", width = indent * self.depth),
        }
    }

    fn open<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn close<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.filled {
            self.line(writer)?;
        }
        writer.write_all(bracket)
    }

    fn separate<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (first, self.indent) {
            (true, _) => {}
            (false, None) => writer.write_all(b", ")?,
            (false, Some(_)) => writer.write_all(b",")?,
        }
        self.line(writer)
    }
}

impl Formatter for Python {
    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn end_array_value<W: io::Write + ?Sized>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str, indent: Option<usize>) -> String {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        write(&Value::from(minijinja::value::Serde(json)), indent, 1000).unwrap()
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        let json = r#"{"a":[1,2.5,true,null],"b":{"<é>":"x\n\"'"},"c":[],"d":{}}"#;
        let line =
            "{\"a\": [1, 2.5, true, null], \"b\": {\"<é>\": \"x\\n\\\"'\"}, \"c\": [], \"d\": {}}";
        assert_eq!(written(json, None), line);
        let lines = "{\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": [],\n  \"d\": {}\n}";
        assert_eq!(written(r#"{"b":[1,2],"c":[],"d":{}}"#, Some(2)), lines);
    }
    #[test]
    fn a_small_value_that_writes_without_end_is_ended() {
        let mut value = Value::from("x");
        for _ in 0..60 {
            value = Value::from(vec![value.clone(), value]);
        }
        write(&value, None, 1 << 20).unwrap_err();
    }
}
