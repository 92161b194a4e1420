//! From a request to sequences: the chat template, tokens, and the checks that need the model. Computes; runs beside the
//! async threads.

use std::sync::Arc;

use realm_crds::engine_config::LimitsEntry;
use realm_engine::{
    chat_template::{ChatTemplate, Data, Turn},
    engine::{Model, Task, TokenId},
    tokenizer::{FimTokens, SpecialTokens},
};

use crate::{
    api::{
        completion_request::{Extras, Prompt},
        echo::Echo,
        error::ApiError,
        generation::Generation,
        structured::Structure,
        tools::{Hold, ToolSet, ToolSyntax},
    },
    constraint::{CompileError, Constraint, Constraints},
    scheduler::event::SequenceRequest,
};

/// Field of a conversation, for errors; where it has another name, they name that.
const MESSAGES: &str = "messages";
/// Bytes of text that one token can stand for, at most, when a prompt is judged before it is tokenized.
const MAX_BYTES_PER_TOKEN: usize = 1024;

/// What a request wants from the model: its prompts and how to go on from each.
#[derive(Debug)]
pub(super) struct Order {
    /// Field that the prompts came from, for errors.
    pub field: &'static str,
    /// What to continue.
    pub source: PromptSource,
    /// How.
    pub generation: Generation,
    /// Alternatives to report for each token.
    pub top_logprobs: Option<usize>,
    /// What each answer has to be.
    pub structure: Option<Structure>,
    /// What only completions have.
    pub extras: Extras,
}

/// Where prompts come from.
#[derive(Debug)]
pub(super) enum PromptSource {
    /// A conversation, rendered by the model's template.
    Chat {
        /// The conversation.
        turns: Vec<Turn>,
        /// What the model may call.
        tools: Option<ToolSet>,
    },
    /// Given as they are.
    Prompts(Vec<Prompt>),
}

/// Bounds that a prompt must keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Tokens that a sequence can hold.
    pub context_length: usize,
    /// Tokens of an answer whose request names no maximum, at most.
    pub default_output_tokens: usize,
    /// Tokens that a request may ask for as its answer, when its tenant has such a limit.
    pub max_output_tokens: Option<usize>,
    /// Whether the tenant's limit is shorter than the model's context.
    pub by_tenant: bool,
}

impl Room {
    /// What the server and the tenant's limits leave.
    pub(super) fn new(context: usize, default_output: usize, limits: &LimitsEntry) -> Self {
        let count = |limit: Option<u32>| limit.map(|tokens| tokens as usize);
        let max_output_tokens = count(limits.max_output_tokens);
        let of_tenant = count(limits.max_context_tokens).unwrap_or(context);
        Self {
            context_length: context.min(of_tenant),
            default_output_tokens: max_output_tokens.unwrap_or(default_output).min(default_output),
            max_output_tokens,
            by_tenant: of_tenant < context,
        }
    }
}

/// Sequences of a request: `choices` for each prompt, prompt by prompt.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The sequences, in order of their choice's index.
    pub sequences: Vec<SequenceRequest>,
    /// Tokens of all prompts, each counted once.
    pub prompt_tokens: usize,
    /// How the answers write calls, when they may.
    pub syntax: Option<ToolSyntax>,
    /// The prompts that come back in front of their answers.
    pub echoes: Vec<Echo>,
}

/// Renders, tokenizes, compiles and checks.
pub(super) fn prepare(
    order: &Order,
    model: &Model,
    constraints: &Constraints,
    room: Room,
) -> Result<Prepared, ApiError> {
    let prompts = prompts(order, model, room)?;
    let constraint = constraint(order, model, constraints)?;
    let syntax = order.source.tools().map(|_| syntax(model)).transpose()?;
    let echoes = order.echoes(&prompts, model);
    let mut prepared = Prepared { sequences: Vec::new(), prompt_tokens: 0, syntax, echoes };
    for prompt in prompts {
        prepared.prompt_tokens += prompt.len();
        let left = room.context_length - prompt.len();
        let max_tokens =
            order.generation.max_tokens.unwrap_or(room.default_output_tokens).min(left);
        let prompt: Arc<[TokenId]> = prompt.into();
        for choice in 0..order.generation.choices {
            let sequence = sequence(order, Arc::clone(&prompt), max_tokens, choice);
            let constraint = constraint.clone();
            prepared.sequences.push(SequenceRequest { constraint, ..sequence });
        }
    }
    Ok(prepared)
}

/// Tokens of the prompts, with all checks of a request that generates, and without a sequence.
pub(super) fn prompt_length(order: &Order, model: &Model, room: Room) -> Result<usize, ApiError> {
    Ok(prompts(order, model, room)?.iter().map(Vec::len).sum())
}

fn prompts(order: &Order, model: &Model, room: Room) -> Result<Vec<Vec<TokenId>>, ApiError> {
    check_generates(model)?;
    check_bias(&order.generation, model)?;
    check_answer(&order.generation, room)?;
    let prompts = match &order.source {
        PromptSource::Chat { turns, tools } => {
            vec![chat_tokens(order.field, turns, tools.as_ref(), model, room)?]
        }
        PromptSource::Prompts(prompts) => prompts
            .iter()
            .map(|prompt| prompt_tokens(prompt, order.extras.suffix.as_deref(), model, room))
            .collect::<Result<_, _>>()?,
    };
    for prompt in &prompts {
        check_length(order.field, prompt.len(), room)?;
    }
    Ok(prompts)
}

/// The choices of one prompt differ by their seed.
fn sequence(
    order: &Order,
    prompt: Arc<[TokenId]>,
    max_tokens: usize,
    choice: usize,
) -> SequenceRequest {
    let mut sampling = order.generation.sampling.clone();
    sampling.seed = sampling.seed.map(|seed| seed.wrapping_add(choice as u64));
    SequenceRequest {
        prompt,
        max_tokens,
        sampling,
        stop: order.generation.stop.clone(),
        top_logprobs: order.top_logprobs,
        constraint: None,
        logit_hook: None,
        scores: order.extras.scores,
    }
}

impl Order {
    /// What comes back of the prompts, which have these tokens.
    fn echoes(&self, tokens: &[Vec<TokenId>], model: &Model) -> Vec<Echo> {
        match &self.source {
            PromptSource::Prompts(prompts) if self.extras.echo => prompts
                .iter()
                .zip(tokens)
                .map(|(prompt, tokens)| Echo::new(prompt, tokens, model.tokenizer()))
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl PromptSource {
    /// The tools that answers may call.
    fn tools(&self) -> Option<&ToolSet> {
        match self {
            Self::Chat { tools, .. } => tools.as_ref().filter(|tools| tools.may_call()),
            Self::Prompts(_) => None,
        }
    }
}

/// Compiled once for all choices; each takes its own copy along.
fn constraint(
    order: &Order,
    model: &Model,
    constraints: &Constraints,
) -> Result<Option<Constraint>, ApiError> {
    if let Some(Structure { field, grammar }) = &order.structure {
        let compiled = constraints.compile(grammar, None);
        return compiled.map(Some).map_err(|error| does_not_compile(field, &error));
    }
    let Some(tools) = order.source.tools() else { return Ok(None) };
    let Hold { grammar, trigger, shown } = tools.hold(syntax(model)?, model)?;
    let compiled = constraints.compile(&grammar, trigger);
    let compiled = compiled.map_err(|error| does_not_compile("tools", &error))?;
    Ok(Some(compiled.showing(shown)))
}

/// How the model writes calls.
fn syntax(model: &Model) -> Result<ToolSyntax, ApiError> {
    let source = model.chat_template().map(ChatTemplate::source).unwrap_or_default();
    ToolSyntax::of(source)
        .map_err(|error| ApiError::invalid("tools", "tools_not_supported", error.to_string()))
}

fn does_not_compile(field: &str, error: &CompileError) -> ApiError {
    match error {
        CompileError::Thread(_) => {
            tracing::error!(%error, "a grammar cannot be compiled");
            ApiError::unavailable("overloaded", "the server cannot compile the grammar now")
        }
        _ => ApiError::invalid(field, "invalid_schema", format!("`{field}`: {error}")),
    }
}

/// A model that only embeds has no logits to go on from.
fn check_generates(model: &Model) -> Result<(), ApiError> {
    match model.info().task {
        Task::Generate => Ok(()),
        Task::Embed => {
            let message = format!(
                "the model `{}` embeds texts and does not generate; ask a model that generates",
                model.info().name
            );
            Err(ApiError::invalid("model", "model_does_not_generate", message))
        }
    }
}

fn chat_tokens(
    field: &str,
    turns: &[Turn],
    tools: Option<&ToolSet>,
    model: &Model,
    room: Room,
) -> Result<Vec<TokenId>, ApiError> {
    let bytes = text_bytes(turns) + tools.map_or(0, ToolSet::bytes);
    check_bytes(field, bytes, room)?;
    let definitions = tools.map(ToolSet::definitions).unwrap_or_default();
    let text = render(turns, &definitions, model, true);
    let text = text.map_err(|error| if field == MESSAGES { error } else { error.param(field) })?;
    // The template writes its own special tokens, the beginning of the sequence included.
    Ok(model.tokenizer().encode(&text, SpecialTokens::Parse))
}

/// Bytes of the messages' texts.
pub(super) fn text_bytes(turns: &[Turn]) -> usize {
    turns.iter().map(|turn| turn.content.as_ref().map_or(0, String::len)).sum()
}

/// A conversation in the words of the model's template; with `opened`, up to where the model's answer begins.
pub(super) fn render(
    turns: &[Turn],
    definitions: &[Data],
    model: &Model,
    opened: bool,
) -> Result<String, ApiError> {
    let Some(template) = model.chat_template() else {
        let message = "the model's file has no chat template; use /v1/completions";
        return Err(ApiError::malformed("no_chat_template", message));
    };
    check_turns(turns, model)?;
    template
        .render_turns(turns, definitions, opened)
        .map_err(|error| ApiError::invalid(MESSAGES, "template_error", error.to_string()))
}

/// A template without a place for calls would leave them out of the conversation.
fn check_turns(turns: &[Turn], model: &Model) -> Result<(), ApiError> {
    let calls = |turn: &Turn| turn.role == "tool" || !turn.tool_calls.is_empty();
    let Some(index) = turns.iter().position(calls) else { return Ok(()) };
    syntax(model).map(|_| ()).map_err(|error| error.param(format!("messages[{index}]")))
}

fn prompt_tokens(
    prompt: &Prompt,
    suffix: Option<&str>,
    model: &Model,
    room: Room,
) -> Result<Vec<TokenId>, ApiError> {
    let tokenizer = model.tokenizer();
    let bos = tokenizer.bos().filter(|_| tokenizer.add_bos());
    let (bos, tokens) = match prompt {
        Prompt::Tokens(tokens) => {
            check_tokens("prompt", tokens, model)?;
            (None, tokens.clone())
        }
        Prompt::Text(text) => {
            check_bytes("prompt", text.len(), room)?;
            (bos, tokenizer.encode(text, SpecialTokens::Parse))
        }
    };
    let tokens = match suffix {
        Some(suffix) => around_hole(tokens, suffix, model, room)?,
        None => tokens,
    };
    Ok(bos.into_iter().chain(tokens).collect())
}

/// A prompt for what stands between a text and its suffix.
fn around_hole(
    before: Vec<TokenId>,
    suffix: &str,
    model: &Model,
    room: Room,
) -> Result<Vec<TokenId>, ApiError> {
    let FimTokens { prefix, suffix: behind, middle, .. } = model.tokenizer().fim();
    let (Some(prefix), Some(behind), Some(middle)) = (prefix, behind, middle) else {
        let message = format!(
            "`suffix` needs a model with fill-in-the-middle tokens, which `{}` has not; remove it",
            model.info().name
        );
        return Err(ApiError::invalid("suffix", "unsupported_parameter", message));
    };
    check_bytes("suffix", suffix.len(), room)?;
    let after = model.tokenizer().encode(suffix, SpecialTokens::Parse);
    let parts = [vec![prefix], before, vec![behind], after, vec![middle]];
    Ok(parts.concat())
}

/// Refuses ids that the model's vocabulary does not have.
pub(super) fn check_tokens(field: &str, tokens: &[TokenId], model: &Model) -> Result<(), ApiError> {
    let vocabulary = model.info().vocab_size;
    match tokens.iter().find(|token| **token as usize >= vocabulary) {
        Some(token) => Err(outside_vocabulary(field, *token, vocabulary)),
        None => Ok(()),
    }
}

fn check_bias(generation: &Generation, model: &Model) -> Result<(), ApiError> {
    let vocabulary = model.info().vocab_size;
    match generation.sampling.logit_bias.iter().find(|(token, _)| *token as usize >= vocabulary) {
        Some((token, _)) => Err(outside_vocabulary("logit_bias", *token, vocabulary)),
        None => Ok(()),
    }
}

/// Refused rather than cut: the client would not know why its answer ends early.
fn check_answer(generation: &Generation, room: Room) -> Result<(), ApiError> {
    match (generation.max_tokens, room.max_output_tokens) {
        (Some(asked), Some(limit)) if asked > limit => {
            let message = format!(
                "`max_tokens` is {asked} and the limit maxOutputTokens of this tenant is {limit}; ask for at most that many"
            );
            Err(ApiError::invalid("max_tokens", "max_output_tokens_exceeded", message))
        }
        _ => Ok(()),
    }
}

fn outside_vocabulary(param: &str, token: TokenId, vocabulary: usize) -> ApiError {
    let message =
        format!("`{param}` has the token {token}; the model's tokens are 0 to {}", vocabulary - 1);
    ApiError::invalid(param, "invalid_value", message)
}

fn check_length(field: &str, tokens: usize, room: Room) -> Result<(), ApiError> {
    if tokens == 0 {
        let message =
            format!("`{field}` is empty; the model needs at least one token to go on from");
        return Err(ApiError::invalid(field, "invalid_value", message));
    }
    if tokens >= room.context_length {
        Err(too_long(field, &tokens.to_string(), room))
    } else {
        Ok(())
    }
}

/// Refuses what cannot fit whatever its tokens are, without the work of finding them.
fn check_bytes(field: &str, bytes: usize, room: Room) -> Result<(), ApiError> {
    let least = bytes / MAX_BYTES_PER_TOKEN;
    if least >= room.context_length {
        Err(too_long(field, &format!("more than {least}"), room))
    } else {
        Ok(())
    }
}

fn too_long(field: &str, tokens: &str, room: Room) -> ApiError {
    let holder = if room.by_tenant {
        "the limit maxContextTokens of this tenant is"
    } else {
        "the context holds"
    };
    let message = format!(
        "the prompt has {tokens} tokens and the answer needs at least one more, but {holder} {}; shorten the prompt",
        room.context_length
    );
    ApiError::invalid(field, "context_length_exceeded", message)
}
