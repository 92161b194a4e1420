//! Keeps personal data out of prompts and answers. E-mail addresses in the user's messages never reach the model. In the
//! answer the server itself replaces addresses and telephone numbers. Numbers that may be payment cards wake `on_tokens`,
//! which replaces those whose check digit is right and lets order numbers pass. Clean text never reaches this program.

mod card;
mod email;

use realm_guest::{
    Finish, Hooks, Plan, Prompt, Reject, Request, Trigger, Usage,
    filter::{Action, Batch, RequestHook, ResponseHook, TokenHook},
    log::{self, Level},
};

/// What stands for addresses and telephone numbers.
const REDACTION: &str = "[removed]";
/// An e-mail address, in the answer.
const EMAIL: &str = r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}";
/// A telephone number with its country.
const TELEPHONE: &str = r"\+[0-9]{1,3}(?:[ ()/-]{0,2}[0-9]{2,5}){2,5}";
/// What may be the number of a payment card.
const CARD: &str = r"[0-9](?:[ -]?[0-9]){12,18}";

struct Program;

impl RequestHook for Program {
    fn on_request(_info: Request, input: Prompt) -> Result<Plan, Reject> {
        Ok(Plan {
            prompt: cleaned(input),
            redact: vec![Trigger::regex(EMAIL), Trigger::regex(TELEPHONE)],
            redaction: REDACTION.to_owned(),
            wake: vec![Trigger::regex(CARD)],
            subscribe: Hooks::TOKENS,
            ..Plan::default()
        })
    }
}

impl TokenHook for Program {
    fn on_tokens(tokens: Batch) -> Action {
        match card::replaced(&tokens.text) {
            Some(text) => {
                log::emit(Level::Info, "a card number was removed from the answer");
                Action::Replace(text)
            }
            None => Action::Pass,
        }
    }
}

impl ResponseHook for Program {
    fn on_response(_text: String, _why: Finish, _used: Usage) -> Result<Option<String>, Reject> {
        Ok(None)
    }
}

/// The prompt without e-mail addresses; none when it has none.
fn cleaned(input: Prompt) -> Option<Prompt> {
    match input {
        Prompt::Text(text) => email::replaced(&text).map(Prompt::Text),
        Prompt::Chat(mut messages) => {
            let mut changed = false;
            for message in &mut messages {
                if let Some(text) = email::replaced(&message.content) {
                    message.content = text;
                    changed = true;
                }
            }
            changed.then_some(Prompt::Chat(messages))
        }
        Prompt::Tokens(_) => None,
    }
}

realm_guest::filter::export!(Program);
