//! Finds calls in an answer as it comes. What begins a call, and from there on every character, is held by the grammar of
//! the syntax, so the parser only has to tell text from calls and names from arguments; it never has to mend anything.

use super::syntax::ToolSyntax;

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum Piece {
    /// Text for the reader.
    Text(String),
    /// A call begins.
    Call {
        /// Which call of the answer.
        index: usize,
        /// The function.
        name: String,
    },
    /// More of a call's arguments.
    Arguments {
        /// Which call of the answer.
        index: usize,
        /// A piece of JSON.
        json: String,
    },
}

/// Parses one answer.
#[derive(Debug, Clone)]
pub(in crate::api) struct ToolParser {
    syntax: ToolSyntax,
    state: State,
    /// What has come and is not decided.
    held: String,
    /// Calls so far.
    calls: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The answer may still be a call as a whole.
    Opening,
    Text,
    /// After the mark of a call, before its arguments.
    Head,
    Arguments(Json),
    /// Behind a call.
    Between,
}

/// How far an object of arguments is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Json {
    depth: usize,
    inside_text: bool,
    escaped: bool,
}

impl ToolParser {
    /// For an answer in this syntax.
    pub(in crate::api) fn new(syntax: ToolSyntax) -> Self {
        let state = if syntax.opening().is_some() { State::Opening } else { State::Text };
        Self { syntax, state, held: String::new(), calls: 0 }
    }

    /// Whether the answer has a call.
    pub(in crate::api) fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// Adds text; gives what is decided by it.
    pub(in crate::api) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        while self.advance(&mut pieces) {}
        pieces
    }

    /// Ends the answer; what was held back of a text is text after all.
    pub(in crate::api) fn finish(&mut self) -> Option<Piece> {
        let rest = std::mem::take(&mut self.held);
        let is_text = matches!(self.state, State::Opening | State::Text);
        (is_text && !rest.is_empty()).then_some(Piece::Text(rest))
    }

    /// Whether something was decided and more may follow.
    fn advance(&mut self, pieces: &mut Vec<Piece>) -> bool {
        match self.state {
            State::Opening => self.opening(),
            State::Text => self.text(pieces),
            State::Head => self.head(pieces),
            State::Arguments(json) => self.arguments(json, pieces),
            State::Between => self.between(),
        }
    }

    fn opening(&mut self) -> bool {
        let text: String =
            self.held.chars().filter(|character| !character.is_whitespace()).collect();
        let opening = self.syntax.opening().unwrap_or_default();
        if text.starts_with(opening) {
            self.state = State::Head;
        } else if !opening.starts_with(&text) {
            self.state = State::Text;
        } else {
            return false;
        }
        true
    }

    fn text(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let markers = self.syntax.markers();
        let found =
            markers.iter().filter_map(|marker| Some((self.held.find(marker)?, marker.len()))).min();
        if let Some((start, length)) = found {
            let before = self.held[..start].to_owned();
            self.held.drain(..start + length);
            if !before.is_empty() {
                pieces.push(Piece::Text(before));
            }
            self.state = State::Head;
            return true;
        }
        let safe = self.held.len() - held_back(&self.held, markers);
        let rest = self.held.split_off(safe);
        let text = std::mem::replace(&mut self.held, rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        false
    }

    fn head(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let head = match self.syntax {
            ToolSyntax::MistralNamed => named_head(&self.held),
            _ => json_head(&self.held, self.syntax.arguments_member()),
        };
        let Some((name, length)) = head else { return false };
        self.held.drain(..length);
        pieces.push(Piece::Call { index: self.calls, name });
        self.calls += 1;
        self.state = State::Arguments(Json::default());
        true
    }

    fn arguments(&mut self, mut json: Json, pieces: &mut Vec<Piece>) -> bool {
        let index = self.calls.saturating_sub(1);
        let end = self.held.char_indices().find(|&(_, character)| json.ends_with(character));
        let length = end.map_or(self.held.len(), |(at, character)| at + character.len_utf8());
        let rest = self.held.split_off(length);
        let text = std::mem::replace(&mut self.held, rest);
        if !text.is_empty() {
            pieces.push(Piece::Arguments { index, json: text });
        }
        self.state = if end.is_some() { State::Between } else { State::Arguments(json) };
        end.is_some()
    }

    /// Behind a call stands its end, and then perhaps another call.
    fn between(&mut self) -> bool {
        let next = match self.syntax {
            ToolSyntax::MistralList { .. } => "{",
            _ => self.syntax.markers().first().copied().unwrap_or_default(),
        };
        let Some(start) = self.held.find(next) else { return false };
        let keep = if next == "{" { start } else { start + next.len() };
        self.held.drain(..keep);
        self.state = State::Head;
        true
    }
}

impl Json {
    /// Takes a character; `true` when the object ends with it.
    fn ends_with(&mut self, character: char) -> bool {
        match character {
            _ if self.escaped => self.escaped = false,
            '\\' if self.inside_text => self.escaped = true,
            '"' => self.inside_text = !self.inside_text,
            _ if self.inside_text => {}
            '{' | '[' => self.depth += 1,
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

/// Bytes at the end of a text that may be the beginning of a marker.
fn held_back(text: &str, markers: &[&str]) -> usize {
    let ends = text.char_indices().map(|(at, _)| &text[at..]);
    let may_begin = |end: &&str| markers.iter().any(|marker| marker.starts_with(end));
    ends.filter(may_begin).map(str::len).max().unwrap_or(0)
}

/// The name in `{"name": "...", "arguments": {`, and where the arguments begin; what stands before the brace is skipped.
fn json_head(text: &str, member: &str) -> Option<(String, usize)> {
    let mut left = &text[text.find('{')?..];
    for expected in ["{", "\"name\"", ":", "\""] {
        left = left.trim_start().strip_prefix(expected)?;
    }
    let (name, rest) = left.split_once('"')?;
    left = rest;
    for expected in [",", &format!("\"{member}\""), ":"] {
        left = left.trim_start().strip_prefix(expected)?;
    }
    let left = left.trim_start();
    left.starts_with('{').then(|| (name.to_owned(), text.len() - left.len()))
}

/// The name in `name[ARGS]{`, and where the arguments begin.
fn named_head(text: &str) -> Option<(String, usize)> {
    let (name, rest) = text.split_once("[ARGS]")?;
    let arguments = rest.trim_start();
    arguments.starts_with('{').then(|| (name.trim().to_owned(), text.len() - arguments.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of an answer cut into pieces of `size` characters: the text, and each call's name and arguments.
    fn parse(syntax: ToolSyntax, answer: &str, size: usize) -> (String, Vec<(String, String)>) {
        let mut parser = ToolParser::new(syntax);
        let characters: Vec<char> = answer.chars().collect();
        let mut pieces: Vec<Piece> = characters
            .chunks(size)
            .flat_map(|chunk| parser.push(&chunk.iter().collect::<String>()))
            .collect();
        pieces.extend(parser.finish());
        let (mut text, mut calls) = (String::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Text(more) => text.push_str(&more),
                Piece::Call { index, name } => {
                    assert_eq!(index, calls.len(), "calls come in order");
                    calls.push((name, String::new()));
                }
                Piece::Arguments { index, json } => calls[index].1.push_str(&json),
            }
        }
        assert_eq!(parser.has_calls(), !calls.is_empty());
        (text, calls)
    }

    #[test]
    fn calls_are_found_however_the_answer_is_cut() {
        type Case =
            (ToolSyntax, &'static str, &'static str, &'static [(&'static str, &'static str)]);
        let spaced = ToolSyntax::MistralList { spaced: true };
        let cases: [Case; 10] = [
            (
                ToolSyntax::Hermes,
                "No tools, <b>just</b> text <",
                "No tools, <b>just</b> text <",
                &[],
            ),
            (
                ToolSyntax::Hermes,
                "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": {\"b\": \"}{\\\"]\"}}}\n</tool_call>",
                "Let me see.\n",
                &[("f", "{\"a\": {\"b\": \"}{\\\"]\"}}")],
            ),
            (
                ToolSyntax::Hermes,
                "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {\"x\": [1, 2]}}\n</tool_call>",
                "",
                &[("f", "{}"), ("g", "{\"x\": [1, 2]}")],
            ),
            (ToolSyntax::Hermes, "<tool_call>\n{\"name\": \"f\", \"arg", "", &[]),
            (
                ToolSyntax::Hermes,
                "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a",
                "",
                &[("f", "{\"a")],
            ),
            (
                ToolSyntax::Llama,
                " {\"name\" : \"f\", \"parameters\": {\"é\": 1}}",
                "",
                &[("f", "{\"é\": 1}")],
            ),
            (ToolSyntax::Llama, "{\"names\": 3}", "{\"names\": 3}", &[]),
            (
                ToolSyntax::Llama,
                "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}",
                "",
                &[("f", "{}")],
            ),
            (
                spaced,
                "Hm. [TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": 1}}, {\"name\": \"g\", \"arguments\": {}}]",
                "Hm. ",
                &[("f", "{\"a\": 1}"), ("g", "{}")],
            ),
            (
                ToolSyntax::MistralNamed,
                "[TOOL_CALLS]f[ARGS]{\"a\": \"[ARGS]\"}[TOOL_CALLS]g[ARGS]{}",
                "",
                &[("f", "{\"a\": \"[ARGS]\"}"), ("g", "{}")],
            ),
        ];
        for (syntax, answer, text, calls) in cases {
            let calls: Vec<(String, String)> =
                calls.iter().map(|&(name, json)| (name.to_owned(), json.to_owned())).collect();
            for size in [1, 2, 3, 7, 1000] {
                let expected = (text.to_owned(), calls.clone());
                assert_eq!(parse(syntax, answer, size), expected, "{answer} by {size}");
            }
        }
    }
}
