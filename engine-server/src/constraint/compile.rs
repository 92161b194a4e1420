//! Compiles grammars for one model.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use llguidance::{Matcher, ParserFactory, api::ParserLimits, toktrie::InferenceCapabilities};
use realm_engine::engine::Model;

use super::{
    error::CompileError, grammar::Grammar, matching::Constraint, trigger::Trigger,
    vocabulary::Vocabulary,
};

/// Stack of the thread that compiles: the compiler recurses along a schema, and the largest one that is accepted must fit.
/// Address space; memory is taken only as deep as a grammar goes.
const STACK_BYTES: usize = 512 << 20;
/// Time of compiling one grammar. The limits below end nearly everything long before.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Work to prepare the expressions of a grammar; about 50,000 a millisecond.
const COMPILE_FUEL: u64 = 1_000_000;
/// Work on expressions for one mask; about 14,000 a millisecond.
const MASK_FUEL: u64 = 100_000;
/// Items of the parser for one mask; about 20,000 a millisecond.
const MASK_ITEMS: usize = 25_000;
/// States of the lexer; one to two kilobytes each.
const MAX_LEXER_STATES: usize = 25_000;
/// Symbols in the productions of a grammar.
const MAX_GRAMMAR_SYMBOLS: usize = 250_000;
/// Longest text of a compiler's error that is passed on.
const MAX_REASON_CHARS: usize = 400;

/// Compiles grammars for one model. The index of its vocabulary is built when it is first needed, once.
pub struct Constraints {
    model: Arc<Model>,
    factory: OnceLock<Result<Arc<ParserFactory>, CompileError>>,
}

impl Constraints {
    /// For a model; builds nothing yet.
    pub fn new(model: Arc<Model>) -> Self {
        Self { model, factory: OnceLock::new() }
    }

    /// Builds the index of the vocabulary, if nobody has needed it yet: about a tenth of a second for 50,000 tokens.
    pub fn prepare(&self) -> Result<(), CompileError> {
        self.factory().map(|_| ())
    }

    /// Compiles a grammar. Computes and blocks; not for the step loop or an async thread. With a trigger, the answer is
    /// free until it is pulled.
    pub fn compile(
        &self,
        grammar: &Grammar,
        trigger: Option<Trigger>,
    ) -> Result<Constraint, CompileError> {
        let factory = self.factory()?;
        let grammar = grammar.compiler_input();
        let (answer, answered) = sync_channel(1);
        let work = move || {
            let parser = factory.create_parser(grammar);
            let matcher = parser.map(|parser| Matcher::new(Ok(parser)));
            // The receiver is gone only when the time is over.
            let _ = answer.send(matcher.map_err(|error| CompileError::Grammar(reason(&error))));
        };
        let worker = thread::Builder::new().name("grammar".to_owned()).stack_size(STACK_BYTES);
        worker.spawn(work).map_err(|error| CompileError::Thread(error.to_string()))?;
        match answered.recv_timeout(TIME_LIMIT) {
            Ok(matcher) => Ok(Constraint::new(matcher?, trigger)),
            Err(RecvTimeoutError::Timeout) => {
                Err(CompileError::TimedOut { seconds: TIME_LIMIT.as_secs() })
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(CompileError::Grammar("the compiler panicked".to_owned()))
            }
        }
    }

    fn factory(&self) -> Result<Arc<ParserFactory>, CompileError> {
        self.factory.get_or_init(|| factory(&self.model)).clone()
    }
}

impl fmt::Debug for Constraints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Constraints").finish_non_exhaustive()
    }
}

fn factory(model: &Arc<Model>) -> Result<Arc<ParserFactory>, CompileError> {
    let model = Arc::clone(model);
    let build = move || {
        let vocabulary: llguidance::toktrie::TokEnv = Arc::new(Vocabulary::new(model));
        let ff_tokens = vocabulary.tokenize_is_canonical();
        ParserFactory::new(
            &vocabulary,
            InferenceCapabilities { ff_tokens, ..InferenceCapabilities::default() },
            &llguidance::earley::SlicedBiasComputer::general_slices(),
        )
    };
    let mut factory = llguidance::panic_utils::catch_unwind(std::panic::AssertUnwindSafe(build))
        .map_err(|error| CompileError::Vocabulary(reason(&error)))?;
    factory.quiet();
    *factory.limits_mut() = ParserLimits {
        initial_lexer_fuel: COMPILE_FUEL,
        step_lexer_fuel: MASK_FUEL,
        step_max_items: MASK_ITEMS,
        max_lexer_states: MAX_LEXER_STATES,
        max_grammar_size: MAX_GRAMMAR_SYMBOLS,
        verbose_errors: false,
        ..ParserLimits::default()
    };
    Ok(Arc::new(factory))
}

/// The compiler's words, without what is for its own developers.
fn reason(error: &anyhow::Error) -> String {
    let text = error.to_string();
    if text.starts_with("panic:") {
        tracing::warn!(error = text, "the grammar compiler panicked");
        return "the grammar compiler does not know how to handle it".to_owned();
    }
    text.trim_end_matches("<non-verbose/>").trim().chars().take(MAX_REASON_CHARS).collect()
}
