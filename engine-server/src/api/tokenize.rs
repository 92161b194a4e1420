//! `POST /tokenize`: the tokens of a text, or of a conversation in the words of the model's template; vLLM's fields.

use std::sync::Arc;

use axum::{Extension, Json, body::Body, extract::State, http::HeaderMap};
use realm_engine::{
    chat_template::Turn,
    engine::{Model, Task, TokenId},
    tokenizer::SpecialTokens,
};
use serde::Serialize;

use crate::{
    api::{
        body::read_json,
        chat_request::messages,
        context::RequestContext,
        error::ApiError,
        fields::Fields,
        flow,
        place::{Place, beside},
        prepare::{Room, render, text_bytes},
    },
    state::AppState,
};

/// Bytes of a text that is tokenized, at most: so that one request takes a moment and not a minute.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Fields of vLLM's request that are refused.
const UNSUPPORTED: [&str; 5] = [
    "chat_template",
    "chat_template_kwargs",
    "continue_final_message",
    "mm_processor_kwargs",
    "tools",
];

/// A text to tokenize, as the client meant it.
#[derive(Debug)]
struct Request {
    /// Name of the model, when the client says one.
    model: Option<String>,
    source: Source,
    /// Whether the tokens that the model expects around a text are added.
    framed: bool,
    /// Whether the text of each token is wanted, too.
    strings: bool,
}

#[derive(Debug)]
enum Source {
    Text(String),
    /// Messages, and whether the opening of the model's answer belongs to it.
    Chat(Vec<Turn>, bool),
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct TokenList {
    /// How many tokens there are.
    count: usize,
    /// Tokens of a prompt and its answer at most.
    max_model_len: usize,
    /// The tokens.
    tokens: Vec<TokenId>,
    /// Their texts, when asked for; bytes that are no whole character become U+FFFD.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_strs: Option<Vec<String>>,
}

/// The handler.
pub(super) async fn handle(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<TokenList>, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let loaded = flow::ready(&state)?;
    let request = Request::parse(read_json(&headers, body, state.limits()).await?)?;
    flow::check_named(&state, request.model.as_deref())?;
    let room = Place::new(&state, &context, loaded)?.room();
    let model = Arc::clone(&loaded.model);
    beside("tokenizing", move || tokenize(&request, &model, room)).await?.map(Json)
}

impl Request {
    fn parse(mut fields: Fields) -> Result<Self, ApiError> {
        let model = fields.string("model")?;
        let framed = fields.boolean("add_special_tokens")?;
        let opened = fields.boolean("add_generation_prompt")?;
        let strings = fields.boolean("return_token_strs")?.unwrap_or(false);
        let source = source(&mut fields, opened)?;
        fields.unsupported(&UNSUPPORTED)?;
        fields.finish()?;
        // A template writes such tokens itself.
        let framed = framed.unwrap_or(matches!(source, Source::Text(_)));
        Ok(Self { model, source, framed, strings })
    }
}

fn source(fields: &mut Fields, opened: Option<bool>) -> Result<Source, ApiError> {
    if fields.has("messages") && !fields.has("prompt") {
        return Ok(Source::Chat(messages(fields)?, opened.unwrap_or(true)));
    }
    let prompt = fields.required_string("prompt")?;
    let chat_only =
        [("messages", fields.has("messages")), ("add_generation_prompt", opened.is_some())];
    match chat_only.into_iter().find(|(_, given)| *given) {
        None => Ok(Source::Text(prompt)),
        Some((name, _)) => {
            let message = format!("`{name}` belongs to a conversation; send it without `prompt`");
            Err(ApiError::invalid(name, "invalid_value", message))
        }
    }
}

fn tokenize(request: &Request, model: &Model, room: Room) -> Result<TokenList, ApiError> {
    let tokenizer = model.tokenizer();
    let encode = |text: &str| {
        if !request.framed {
            return tokenizer.encode(text, SpecialTokens::Parse);
        }
        match model.info().task {
            Task::Embed => tokenizer.encode_framed(text, SpecialTokens::Parse),
            // As the prompt of a completion, which goes on and so has no end.
            Task::Generate => {
                let bos = tokenizer.bos().filter(|_| tokenizer.add_bos());
                bos.into_iter().chain(tokenizer.encode(text, SpecialTokens::Parse)).collect()
            }
        }
    };
    let tokens = match &request.source {
        Source::Text(text) => {
            check_bytes("prompt", text.len())?;
            encode(text)
        }
        Source::Chat(turns, opened) => {
            check_bytes("messages", text_bytes(turns))?;
            encode(&render(turns, &[], model, *opened)?)
        }
    };
    let text = |token: &TokenId| {
        String::from_utf8_lossy(tokenizer.token_bytes(*token).unwrap_or_default()).into_owned()
    };
    Ok(TokenList {
        count: tokens.len(),
        max_model_len: room.context_length,
        token_strs: request.strings.then(|| tokens.iter().map(text).collect()),
        tokens,
    })
}

fn check_bytes(field: &str, bytes: usize) -> Result<(), ApiError> {
    if bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    let message =
        format!("`{field}` has {bytes} bytes; at most {MAX_TEXT_BYTES} are tokenized at once");
    Err(ApiError::invalid(field, "invalid_value", message))
}
