//! Stop strings over a stream of text: holds back what may be the beginning of a stop string, so that a client never
//! sees a part of one, also when it spans several tokens.

/// Finds stop strings in text that arrives in pieces.
#[derive(Debug)]
pub struct StopFilter {
    stops: Vec<String>,
    held: String,
    /// Bytes handed out so far.
    emitted: usize,
}

/// What may be shown after a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub enum Filtered {
    /// Goes on; this text is safe to show.
    Text(String),
    /// A stop string was found; this is the text before it, and `end` its place in the whole text, in bytes.
    Stopped {
        /// Text before the stop string that was not shown yet.
        text: String,
        /// Length of the whole text before the stop string, in bytes.
        end: usize,
    },
}

impl StopFilter {
    /// A filter for these strings; empty strings are ignored.
    pub fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, held: String::new(), emitted: 0 }
    }

    /// Adds text and returns what may be shown.
    pub fn push(&mut self, text: &str) -> Filtered {
        self.held.push_str(text);
        if let Some(position) = self.first_match() {
            self.held.truncate(position);
            let text = std::mem::take(&mut self.held);
            self.emitted += text.len();
            return Filtered::Stopped { text, end: self.emitted };
        }
        let rest = self.held.split_off(self.held.len() - self.longest_beginning());
        let shown = std::mem::replace(&mut self.held, rest);
        self.emitted += shown.len();
        Filtered::Text(shown)
    }

    /// Ends the text: what was held back is no stop string after all.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.held);
        self.emitted += rest.len();
        rest
    }

    /// Bytes handed out so far.
    pub fn emitted(&self) -> usize {
        self.emitted
    }

    fn first_match(&self) -> Option<usize> {
        self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min()
    }

    /// Length of the longest end of the held text that begins a stop string.
    fn longest_beginning(&self) -> usize {
        let starts = self.held.char_indices().map(|(start, _)| start);
        starts
            .filter(|&start| self.stops.iter().any(|stop| stop.starts_with(&self.held[start..])))
            .map(|start| self.held.len() - start)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes the pieces; gives what was shown after each, and where the text stopped.
    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, Option<usize>) {
        let mut filter = StopFilter::new(stops.iter().map(|&stop| stop.to_owned()).collect());
        let mut shown = Vec::new();
        for piece in pieces {
            match filter.push(piece) {
                Filtered::Text(text) => shown.push(text),
                Filtered::Stopped { text, end } => {
                    shown.push(text);
                    return (shown, Some(end));
                }
            }
        }
        shown.push(filter.finish());
        (shown, None)
    }

    #[test]
    fn stop_strings_are_found_and_never_shown_in_part() {
        type Case = (
            &'static [&'static str],
            &'static [&'static str],
            &'static [&'static str],
            Option<usize>,
        );
        let cases: &[Case] = &[
            (&[], &["a", "b"], &["a", "b", ""], None),
            (&["b"], &["abc"], &["a"], Some(1)),
            (&["END"], &["one E", "N", "D two"], &["one ", "", ""], Some(4)),
            (&["END"], &["one E", "N", "E two"], &["one ", "", "ENE two", ""], None),
            (&["aab"], &["aa", "ab"], &["", "a"], Some(1)),
            (&["xy", "y"], &["x", "z", "y"], &["", "xz", ""], Some(2)),
            (&["\n\n"], &["é\n", "\n"], &["é", ""], Some(2)),
            (&["END"], &["one EN"], &["one ", "EN"], None),
            (&["éa"], &["x", "é", "b"], &["x", "", "éb", ""], None),
            (&["", "q"], &["abq"], &["ab"], Some(2)),
        ];
        for (stops, pieces, shown, end) in cases {
            let expected: Vec<String> = shown.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(run(stops, pieces), (expected, *end), "{stops:?} over {pieces:?}");
        }
    }
}
