//! Where in a schema something stands, without a text for it until somebody asks.

use std::fmt;

/// A place in a schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    pub(super) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    pub(super) fn key(&'p self, name: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Key(name) }
    }

    pub(super) fn index(&'p self, index: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// As a reference in the same document writes it.
    pub(super) fn pointer(&self) -> String {
        let mut pointer = self.parent.map_or_else(|| "#".to_owned(), Path::pointer);
        match self.step {
            Step::Root => {}
            Step::Key(name) => pointer.extend(["/", name]),
            Step::Index(index) => pointer.extend(["/", &index.to_string()]),
        }
        pointer
    }
}

/// As an error names it: `.properties.age`, `.anyOf[1]`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(formatter)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(name) => write!(formatter, ".{name}"),
            Step::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}
