//! `POST /v1/embeddings`: tokens beside the async threads, vectors between the steps of the scheduler.
//!
//! A tenant's program is not asked: it shapes and watches what is generated, and here nothing is.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use realm_engine::{
    engine::{Model, TokenId},
    tokenizer::SpecialTokens,
};

use crate::{
    api::{
        body::read_json,
        completion_request::Prompt,
        context::RequestContext,
        embedding_request::{EmbeddingRequest, Encoding},
        error::ApiError,
        flow,
        place::{Place, beside},
        prepare::check_tokens,
        vectors::{self, TextUsage, VectorDocument, VectorList},
    },
    scheduler::{embedding::Vectors, event::Failure},
    state::AppState,
};

/// Tokens of all texts of a request, at most.
const MAX_TOKENS: usize = 300_000;
/// Bytes of text that one token can stand for, at most, when a text is judged before it is tokenized.
const MAX_BYTES_PER_TOKEN: usize = 1024;

/// The handler.
pub(super) async fn handle(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let loaded = flow::ready(&state)?;
    let request = EmbeddingRequest::parse(read_json(&headers, body, state.limits()).await?)?;
    flow::check_model(&state, &request.model)?;
    check_embeds(&loaded.model, &request.model)?;
    let length = vectors::length(request.dimensions, loaded.model.info())?;
    let longest = loaded.scheduler.longest_text();
    let place = Place::new(&state, &context, loaded)?;
    let longest = longest.min(place.room().context_length);
    let EmbeddingRequest { inputs, encoding, .. } = request;
    let model = Arc::clone(&loaded.model);
    let texts = beside("tokenizing", move || tokens(&inputs, &model, longest)).await??;
    let tokens = texts.iter().map(|text| text.len()).sum();
    let vectors = embed(place, texts, tokens).await?;
    let model = state.serving().config.served_name.clone();
    let written = move || write(&model, vectors, tokens, length, encoding);
    let json = beside("writing vectors", written).await?.map_err(|error| {
        tracing::error!(%error, "vectors cannot be written as JSON");
        ApiError::internal("the vectors cannot be written as JSON")
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

/// A decoder whose file does not say how to pool was not trained for it.
fn check_embeds(model: &Model, name: &str) -> Result<(), ApiError> {
    if model.info().embeds {
        return Ok(());
    }
    let message = format!(
        "the model `{name}` does not embed: its file names no pooling type; ask a model that embeds"
    );
    Err(ApiError::invalid("model", "model_does_not_embed", message))
}

/// The tokens of each text, with those that the model expects around it.
fn tokens(
    inputs: &[Prompt],
    model: &Model,
    longest: usize,
) -> Result<Vec<Arc<[TokenId]>>, ApiError> {
    let (mut texts, mut total) = (Vec::with_capacity(inputs.len()), 0);
    for (index, input) in inputs.iter().enumerate() {
        let field = if inputs.len() == 1 { "input".to_owned() } else { format!("input[{index}]") };
        let text = text_tokens(&field, input, model, longest)?;
        total += text.len();
        if total > MAX_TOKENS {
            let message = format!("`input` has more than {MAX_TOKENS} tokens; send it in parts");
            return Err(ApiError::invalid("input", "invalid_value", message));
        }
        texts.push(text);
    }
    Ok(texts)
}

fn text_tokens(
    field: &str,
    input: &Prompt,
    model: &Model,
    longest: usize,
) -> Result<Arc<[TokenId]>, ApiError> {
    let too_long = |tokens: String| {
        let message = format!(
            "`{field}` has {tokens} tokens and a text may have {longest} at most; shorten it"
        );
        ApiError::invalid(field, "context_length_exceeded", message)
    };
    let tokens = match input {
        Prompt::Text(text) if text.is_empty() => Vec::new(),
        Prompt::Text(text) if text.len() / MAX_BYTES_PER_TOKEN > longest => {
            return Err(too_long(format!("more than {longest}")));
        }
        Prompt::Text(text) => model.tokenizer().encode_framed(text, SpecialTokens::Parse),
        Prompt::Tokens(tokens) => {
            check_tokens(field, tokens, model)?;
            tokens.clone()
        }
    };
    if tokens.is_empty() {
        let message = format!("`{field}` is empty; a text has at least one token");
        return Err(ApiError::invalid(field, "invalid_value", message));
    }
    if tokens.len() > longest { Err(too_long(tokens.len().to_string())) } else { Ok(tokens.into()) }
}

/// Counts the tokens, waits for the request's turn, and for its vectors.
async fn embed(
    place: Place<'_>,
    texts: Vec<Arc<[TokenId]>>,
    tokens: usize,
) -> Result<Vectors, ApiError> {
    let Place { state, tenant, loaded, .. } = place;
    let mut lease = place.take_turn(tokens, None).await?;
    let receiver = place.queued(loaded.scheduler.embed(tenant, texts))?;
    lease.begun();
    state.metrics().prompt_tokens.get_or_create(&place.labels()).inc_by(tokens as u64);
    let vectors = tokio::select! {
        biased;
        vectors = receiver => vectors,
        () = loaded.scheduler.stopping().cancelled() => return Err(Failure::Stopping.into()),
    };
    // A sender that is gone means that the scheduler thread is.
    vectors.unwrap_or(Err(Failure::Engine)).map_err(ApiError::from)
}

fn write(
    model: &str,
    vectors: Vectors,
    tokens: usize,
    length: usize,
    encoding: Encoding,
) -> serde_json::Result<String> {
    let document = |(index, vector)| VectorDocument {
        object: "embedding",
        index,
        embedding: vectors::finished(vector, length, encoding),
    };
    serde_json::to_string(&VectorList {
        object: "list",
        data: vectors.into_iter().enumerate().map(document).collect(),
        model,
        usage: TextUsage { prompt_tokens: tokens, total_tokens: tokens },
    })
}
