//! The chat template of a model file: a conversation in, a prompt out.
//!
//! The template is a program that somebody else wrote. It runs in a Jinja interpreter without files, network or clock,
//! with a budget for work and memory, and its output is bounded; whatever it does ends soon, with a prompt or an error
//! that says why. White space and variables follow the `transformers` library, for which such templates are written.
//! `strftime_now` is left undefined on purpose: the same conversation always gives the same prompt, and templates that
//! ask for it bring a default.

use std::{
    io,
    string::FromUtf8Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};

mod json;
mod turn;

pub use self::turn::{ChatMessage, Data, ToolCall, Turn};

/// Longest template that is accepted; real ones have 1 to 20 KB. Bounds how deep its expressions nest.
const MAX_TEMPLATE_BYTES: usize = 64 << 10;
/// Stack of the thread that renders: the interpreter recurses along long expressions, and [`MAX_TEMPLATE_BYTES`] of
/// them must fit. Address space; memory is taken only as deep as a template goes.
const STACK_BYTES: usize = 512 << 20;
/// Longest prompt that a template may make.
const MAX_PROMPT_BYTES: usize = 16 << 20;
/// Work of one rendering, in instructions or 64-byte steps of data; also bounds its memory, to about 128 MB.
const FUEL: u64 = 2_000_000;
/// Time of one rendering. The budget ends nearly everything long before; some operations on lists of lists do not count
/// against it.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// A rendering that is out of time cannot be ended from outside, only left alone; a template that does it this often
/// is not run again.
const MAX_TIME_OUTS: u32 = 2;
/// Depth of macros and includes.
const MAX_RECURSION: usize = 64;

/// Why a chat template gives no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template's own check refused the conversation (`raise_exception`).
    #[error("the model's chat template refused the conversation: {message}")]
    Refused {
        /// The template's words.
        message: String,
    },
    /// The template is not valid, or failed while running.
    #[error(
        "the chat template in the model's file failed at line {line}: {reason}. \
         Use a file with a working template (tokenizer.chat_template), or send a plain prompt"
    )]
    Failed {
        /// Line of the template; 0 when it is not known.
        line: usize,
        /// What went wrong.
        reason: String,
    },
    /// The template is longer than is accepted.
    #[error(
        "the chat template in the model's file has {bytes} bytes; at most {limit} are accepted"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
        /// Longest that is accepted.
        limit: usize,
    },
    /// The template ran for too long or used too much memory.
    #[error(
        "the chat template in the model's file was stopped: it used up its budget of {fuel} steps. \
         It may loop endlessly, or the conversation is too long for it"
    )]
    Exhausted {
        /// The budget.
        fuel: u64,
    },
    /// The template ran for too long.
    #[error(
        "the chat template in the model's file was stopped after {seconds} s; use a file with a working template"
    )]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// The template makes a prompt that is longer than is accepted.
    #[error(
        "the chat template in the model's file makes a prompt of more than {limit} bytes; shorten the conversation"
    )]
    PromptTooLong {
        /// Longest that is accepted.
        limit: usize,
    },
}

/// A chat template from a model file. Clones share what is known about it.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: String,
    bos_text: String,
    eos_text: String,
    time_outs: AtomicU32,
}

impl ChatTemplate {
    /// Keeps a template. It is compiled when it renders, so that a file with a broken one still serves plain prompts.
    /// `bos_text` and `eos_text` are the variables `bos_token` and `eos_token`, empty when the model has none.
    pub fn new(source: String, bos_text: String, eos_text: String) -> Self {
        Self { inner: Arc::new(Inner { source, bos_text, eos_text, time_outs: AtomicU32::new(0) }) }
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// Renders the conversation to a prompt; `add_generation_prompt` ends it with the opening of the model's turn.
    /// Blocks for at most ten seconds.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let turns: Vec<Turn> = messages.iter().cloned().map(Turn::from).collect();
        self.render_turns(&turns, &[], add_generation_prompt)
    }

    /// The same for a conversation with calls of tools; `tools` are those that the model may call.
    pub fn render_turns(
        &self,
        turns: &[Turn],
        tools: &[Data],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let bytes = self.inner.source.len();
        if bytes > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong { bytes, limit: MAX_TEMPLATE_BYTES });
        }
        if self.inner.time_outs.load(Ordering::Relaxed) >= MAX_TIME_OUTS {
            return Err(TemplateError::TimedOut { seconds: TIME_LIMIT.as_secs() });
        }
        let (answer, answered) = sync_channel(1);
        let inner = Arc::clone(&self.inner);
        let (turns, tools) = (turns.to_vec(), tools.to_vec());
        let work = move || {
            // The receiver is gone only when the time is over.
            let _ = answer.send(inner.render(&turns, &tools, add_generation_prompt));
        };
        let worker = thread::Builder::new()
            .name("chat-template".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(work);
        worker.map_err(|error| failed(format!("no thread: {error}")))?;
        match answered.recv_timeout(TIME_LIMIT) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => {
                Err(failed("the interpreter panicked".to_owned()))
            }
            Err(RecvTimeoutError::Timeout) => {
                self.inner.time_outs.fetch_add(1, Ordering::Relaxed);
                Err(TemplateError::TimedOut { seconds: TIME_LIMIT.as_secs() })
            }
        }
    }
}

fn failed(reason: String) -> TemplateError {
    TemplateError::Failed { line: 0, reason }
}

impl Inner {
    /// Renders on the current thread.
    fn render(
        &self,
        turns: &[Turn],
        tools: &[Data],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let environment = environment().map_err(|error| failure(&error))?;
        let template =
            environment.template_from_str(&self.source).map_err(|error| failure(&error))?;
        let tools: Vec<Value> = tools.iter().map(|tool| tool.0.clone()).collect();
        let variables = context! {
            messages => turns.iter().map(Turn::value).collect::<Vec<_>>(),
            add_generation_prompt => add_generation_prompt,
            bos_token => self.bos_text.as_str(),
            eos_token => self.eos_text.as_str(),
            // Templates ask whether there are any by `tools is not none` or by their truth.
            tools => if tools.is_empty() { Value::from(()) } else { Value::from(tools) },
            documents => (),
        };
        let mut prompt = Bounded::default();
        match template.render_captured_to(variables, &mut prompt) {
            Err(_) if prompt.overflowed => {
                Err(TemplateError::PromptTooLong { limit: MAX_PROMPT_BYTES })
            }
            Err(error) => Err(failure(&error)),
            Ok(_) => prompt.into_string(),
        }
    }
}

/// An interpreter with the settings of `transformers` and our limits.
fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_RECURSION);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", json::filter(MAX_PROMPT_BYTES));
    Ok(environment)
}

/// Marks an error as the template's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Raised(message)))
}

fn failure(error: &Error) -> TemplateError {
    let mut cause = Some(error as &dyn std::error::Error);
    while let Some(inner) = cause {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return TemplateError::Refused { message: message.clone() };
        }
        if inner.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::OutOfFuel) {
            return TemplateError::Exhausted { fuel: FUEL };
        }
        cause = inner.source();
    }
    let reason = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    TemplateError::Failed { line: error.line().unwrap_or(0), reason }
}

/// Output that stops a template once it has written too much.
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Bounded {
    fn into_string(self) -> Result<String, TemplateError> {
        let not_text =
            |error: FromUtf8Error| TemplateError::Failed { line: 0, reason: error.to_string() };
        String::from_utf8(self.bytes).map_err(not_text)
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_PROMPT_BYTES {
            self.overflowed = true;
            return Err(io::Error::other("prompt too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
