//! A program of the world `program`, as an author writes it.

use realm_guest::{Message, Prompt, Reject, Request, inference::Context, program::Agent};

struct Program;

impl Agent for Program {
    fn run(_info: Request, input: Prompt) -> Result<String, Reject> {
        let context = Context::new();
        let text = question(input);
        context
            .append_text(&text)
            .map_err(|_| Reject::new(413, "too_long", "Ask less at a time."))?;
        Ok(text)
    }
}

fn question(input: Prompt) -> String {
    match input {
        Prompt::Text(text) => text,
        Prompt::Chat(messages) => messages.into_iter().map(|message| message.content).collect(),
        Prompt::Tokens(_) => String::new(),
    }
}

realm_guest::program::export!(Program);

#[test]
fn the_question_is_all_that_was_said() {
    let message = |content: &str| Message { role: "user".to_owned(), content: content.to_owned() };
    assert_eq!(question(Prompt::Chat(vec![message("a"), message("b")])), "ab");
}
