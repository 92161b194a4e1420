//! The conversation of `realm run`: a line from the user, an answer, and so on.

use realm_engine::chat_template::ChatMessage;
use rustyline::{Config, Editor, error::ReadlineError, history::MemHistory};

use super::{
    generation::{Finish, Report},
    question::{Asking, chat_tokens, message, opening, print_piece, raw_tokens},
    signals::Interrupts,
};

/// Lines that the editor remembers.
const HISTORY_LINES: usize = 1000;
const HELP: &str = "\
/help   this list
/clear  forget the conversation
/exit   leave; so does Ctrl-D
Ctrl-C  stops an answer; a second one leaves at once";

/// What the user typed.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Empty,
    Help,
    Clear,
    Exit,
    Unknown(String),
    Say(String),
}

impl Line {
    fn read(text: &str) -> Self {
        match text.trim() {
            "" => Self::Empty,
            "/help" | "/?" => Self::Help,
            "/clear" => Self::Clear,
            "/exit" | "/quit" | "/bye" => Self::Exit,
            other if other.starts_with('/') && !other.contains(char::is_whitespace) => {
                Self::Unknown(other.to_owned())
            }
            other => Self::Say(other.to_owned()),
        }
    }
}

/// Talks until the user leaves.
pub(super) fn converse(mut asking: Asking, interrupts: &Interrupts) -> anyhow::Result<()> {
    let config = Config::builder().max_history_size(HISTORY_LINES)?.auto_add_history(true).build();
    let mut editor = Editor::<(), _>::with_history(config, MemHistory::new())?;
    eprintln!("{}: /help lists the commands", asking.generator.model().info().name);
    let mut messages = opening(asking.system.as_deref());
    loop {
        let text = match editor.readline(">>> ") {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => {
                eprintln!("/exit or Ctrl-D leaves");
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match Line::read(&text) {
            Line::Empty => {}
            Line::Help => eprintln!("{HELP}"),
            Line::Clear => messages = opening(asking.system.as_deref()),
            Line::Exit => return Ok(()),
            Line::Unknown(command) => eprintln!("no command {command}; /help lists them"),
            Line::Say(words) => say(&mut asking, &mut messages, &words, interrupts)?,
        }
    }
}

/// One turn. What the model cannot answer is told and forgotten; the conversation goes on.
fn say(
    asking: &mut Asking,
    messages: &mut Vec<ChatMessage>,
    words: &str,
    interrupts: &Interrupts,
) -> anyhow::Result<()> {
    messages.push(message("user", words));
    let mut text = String::new();
    let outcome = turn(asking, messages, words, interrupts, &mut text);
    match outcome {
        Ok(report) => {
            print_piece("\n")?;
            messages.push(message("assistant", &text));
            if report.finish == Finish::Interrupted {
                eprintln!("(stopped)");
            }
            if asking.verbose {
                eprintln!("{}", report.line(asking.threads));
            }
            Ok(())
        }
        Err(error) if super::exit::is_broken_pipe(&error) => Err(error),
        Err(error) => {
            messages.pop();
            eprintln!("error: {error:#}; /clear begins anew");
            Ok(())
        }
    }
}

fn turn(
    asking: &mut Asking,
    messages: &[ChatMessage],
    words: &str,
    interrupts: &Interrupts,
    text: &mut String,
) -> anyhow::Result<Report> {
    let model = asking.generator.model();
    let tokens = if asking.raw { raw_tokens(model, words) } else { chat_tokens(model, messages)? };
    let cancel = interrupts.renew();
    asking.generator.generate(&tokens, &asking.sampling, asking.max_tokens, &cancel, &mut |piece| {
        text.push_str(piece);
        print_piece(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_words() {
        for (text, line) in [
            ("", Line::Empty),
            ("  ", Line::Empty),
            ("/help", Line::Help),
            (" /clear ", Line::Clear),
            ("/exit", Line::Exit),
            ("/bye", Line::Exit),
            ("/halp", Line::Unknown("/halp".into())),
            ("/etc is a folder?", Line::Say("/etc is a folder?".into())),
            ("hello", Line::Say("hello".into())),
        ] {
            assert_eq!(Line::read(text), line);
        }
    }
}
