//! `POST /v1/completions`.

use axum::{Extension, body::Body, extract::State, http::HeaderMap, response::Response};

use crate::{
    api::{
        body::read_json,
        completion_request::CompletionRequest,
        context::RequestContext,
        echo::Echo,
        error::ApiError,
        flow,
        generation::Delivery,
        openai::{CompletionChoice, CompletionLogprobs, Document, Head, Usage, finish_reason},
        prepare::{Order, PromptSource},
        wire::{WholeAnswer, Wire},
    },
    scheduler::event::{FinishReason, Output, ScoredToken, TokenLogprob},
    state::AppState,
};

/// The handler.
pub(super) async fn handle(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let loaded = flow::ready(&state)?;
    let fields = read_json(&headers, body, state.limits()).await?;
    let request = CompletionRequest::parse(fields, flow::random_seed()?)?;
    flow::check_model(&state, &request.model)?;
    let usage_field = request.generation.delivery == Delivery::Stream { include_usage: true };
    let head = flow::head(&state, loaded, "cmpl", "text_completion");
    let top_logprobs = request.top_logprobs.or(request.extras.ranked.then_some(0));
    let wire = CompletionWire {
        head,
        logprobs: request.top_logprobs.is_some(),
        usage_field,
        drawn: request.generation.choices,
        returned: request.returned,
        echoes: Vec::new(),
    };
    let order = Order {
        field: "prompt",
        source: PromptSource::Prompts(request.prompts),
        generation: request.generation,
        top_logprobs,
        structure: request.structure,
        extras: request.extras,
    };
    flow::answer(&state, context, order, wire).await
}

struct CompletionWire {
    head: Head,
    logprobs: bool,
    /// Whether every event has the field `usage`.
    usage_field: bool,
    /// Answers to each prompt that are computed.
    drawn: usize,
    /// The best of them, which are written.
    returned: usize,
    /// The prompts, when they come back in front of their answers.
    echoes: Vec<Echo>,
}

impl CompletionWire {
    fn choice(
        &self,
        index: usize,
        text: &str,
        tokens: &[TokenLogprob],
        reason: Option<FinishReason>,
    ) -> CompletionChoice {
        let shift = self.echo_of(index).map_or(0, |echo| echo.chars);
        CompletionChoice {
            index,
            text: text.to_owned(),
            logprobs: self.logprobs.then(|| CompletionLogprobs::new(tokens, shift)),
            finish_reason: reason.map(finish_reason),
        }
    }

    /// The prompt in front of an answer.
    fn echo_of(&self, index: usize) -> Option<&Echo> {
        self.echoes.get(index / self.returned.max(1))
    }

    /// The beginning of an answer that is its prompt.
    fn prompt(&self, index: usize, echo: &Echo, scored: &[ScoredToken]) -> CompletionChoice {
        CompletionChoice {
            index,
            text: echo.text.clone(),
            logprobs: self.logprobs.then(|| CompletionLogprobs::of_prompt(echo, scored)),
            finish_reason: None,
        }
    }

    fn whole_choice(&self, index: usize, answer: &WholeAnswer) -> CompletionChoice {
        let choice = self.choice(index, &answer.text, &answer.logprobs, Some(answer.reason));
        let Some(echo) = self.echo_of(index) else { return choice };
        let prompt = self.prompt(index, echo, &answer.scored);
        let logprobs = prompt.logprobs.zip(choice.logprobs);
        CompletionChoice {
            text: prompt.text + &choice.text,
            logprobs: logprobs.map(|(prompt, answer)| prompt.followed_by(answer)),
            ..choice
        }
    }

    fn chunk(&self, choice: CompletionChoice) -> serde_json::Result<String> {
        let usage = self.usage_field.then_some(None);
        serde_json::to_string(&Document { head: &self.head, choices: vec![choice], usage })
    }
}

impl Wire for CompletionWire {
    fn echo(&mut self, echoes: Vec<Echo>) {
        self.echoes = echoes;
    }

    /// The prompt; with probabilities only when they are known.
    fn opening(&mut self, index: usize) -> serde_json::Result<Vec<String>> {
        let echo = self.echo_of(index).filter(|_| !self.logprobs).into_iter();
        echo.map(|echo| self.chunk(self.prompt(index, echo, &[]))).collect()
    }

    fn scored(&self, index: usize, scored: &[ScoredToken]) -> serde_json::Result<Vec<String>> {
        let echo = self.echo_of(index).into_iter();
        echo.map(|echo| self.chunk(self.prompt(index, echo, scored))).collect()
    }

    fn output(&mut self, index: usize, output: &Output) -> serde_json::Result<Vec<String>> {
        Ok(vec![self.chunk(self.choice(index, &output.text, &output.logprobs, None))?])
    }

    fn finish(&mut self, index: usize, reason: FinishReason) -> serde_json::Result<Vec<String>> {
        Ok(vec![self.chunk(self.choice(index, "", &[], Some(reason)))?])
    }

    fn usage(&self, usage: Usage) -> serde_json::Result<String> {
        let choices = Vec::<CompletionChoice>::new();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }

    fn whole(&self, answers: &[WholeAnswer], usage: Usage) -> serde_json::Result<String> {
        let best = answers.chunks(self.drawn.max(1)).flat_map(|drawn| best(drawn, self.returned));
        let choice = |(index, answer)| self.whole_choice(index, answer);
        let choices = best.enumerate().map(choice).collect();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }
}

/// Those of the answers to one prompt whose tokens are the most probable on average, the best first; all of them stay in
/// their order.
fn best(drawn: &[WholeAnswer], count: usize) -> Vec<&WholeAnswer> {
    let mut ranked: Vec<&WholeAnswer> = drawn.iter().collect();
    if count < drawn.len() {
        ranked.sort_by(|one, other| other.mean_logprob().total_cmp(&one.mean_logprob()));
        ranked.truncate(count);
    }
    ranked
}
