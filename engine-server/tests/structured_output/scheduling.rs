//! Constrained sequences in the scheduler: the same text whatever is computed when, and no forward pass for what is certain.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use realm_engine::{
    engine::{
        Engine, EngineError, EngineOptions, Model, ModelOptions, StepItem, StepLogits, TokenId,
    },
    sampler::SamplerParams,
    tokenizer::SpecialTokens,
};
use realm_engine_server::{
    constraint::{Constraint, ConstraintError, Constraints, Grammar, SchemaRules},
    metrics::{Metrics, TenantLabels},
    scheduler::{
        EventReceiver, Scheduler, SchedulerOptions,
        event::{Event, Failure, FinishReason, Output, Scores, SequenceRequest},
        queue::QueueBounds,
        seam::StepEngine,
    },
    tenant::{Tenant, TenantId},
};
use serde_json::{Value, json};

use crate::tiny_model::{Meta, TinyModel};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(2);
const CONTEXT: usize = 512;

static SMOLLM2: LazyLock<(Arc<Model>, Constraints)> = LazyLock::new(|| {
    let path = std::env::var_os("REALM_TEST_MODEL").map(PathBuf::from);
    let path = path.expect(
        "REALM_TEST_MODEL is not set: run the tests with `cargo xtask test`, which gets the model",
    );
    let model = Model::open(&path, &ModelOptions::default()).expect("the model");
    (Arc::clone(&model), Constraints::new(model))
});

/// Counts the steps of an engine and the tokens in them.
struct Counting {
    engine: Engine,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    steps: AtomicUsize,
    tokens: AtomicUsize,
}

impl StepEngine for Counting {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        let tokens = batch.iter().map(|item| item.tokens.len()).sum();
        self.counts.tokens.fetch_add(tokens, Ordering::Relaxed);
        self.counts.steps.fetch_add(1, Ordering::Relaxed);
        self.engine.step(batch)
    }
}

#[derive(Clone, Copy)]
struct Setup {
    max_draft_tokens: usize,
    kv_tokens: Option<usize>,
}

const PLAIN: Setup = Setup { max_draft_tokens: 0, kv_tokens: None };

struct Bench {
    scheduler: Scheduler,
    metrics: Metrics,
    counts: Arc<Counts>,
}

impl Setup {
    fn start(self, model: &Arc<Model>) -> Bench {
        let options = SchedulerOptions {
            parallel: 4,
            batch_tokens: 256,
            prefill_tokens: 256,
            max_draft_tokens: self.max_draft_tokens,
            queue: QueueBounds { total: 16, per_tenant: 16 },
            model_label: "m".into(),
        };
        let (metrics, counts) = (Metrics::new(), Arc::new(Counts::default()));
        let (shared, told) = (Arc::clone(model), Arc::clone(&counts));
        let context = self.kv_tokens.unwrap_or(CONTEXT).min(CONTEXT);
        let engine_options = EngineOptions {
            kv_tokens: self.kv_tokens,
            ..EngineOptions::new(NonZeroUsize::MIN, context, 4)
        };
        let factory = Box::new(move || {
            let engine = Engine::new(Arc::clone(&shared), engine_options)?;
            let counting = Counting { engine, counts: Arc::clone(&told) };
            Ok::<Box<dyn StepEngine>, EngineError>(Box::new(counting))
        });
        let (scheduler, _thread) =
            Scheduler::start(options, Arc::clone(model), factory, metrics.clone())
                .expect("a start");
        Bench { scheduler, metrics, counts }
    }
}

/// All that a client got of one sequence.
#[derive(Debug, PartialEq)]
struct Answer {
    output: Output,
    end: Result<(FinishReason, usize), Failure>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.output.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Bench {
    async fn answers(&self, requests: Vec<SequenceRequest>) -> Vec<Answer> {
        let id = TenantId::Named { namespace: "n".into(), name: "t".into() };
        let tenant = Arc::new(Tenant::unlimited(id, "t"));
        let receivers = self.scheduler.submit(&tenant, requests).expect("room in the queue");
        let mut answers = Vec::new();
        for receiver in receivers {
            answers.push(
                tokio::time::timeout(PATIENCE, answer(receiver)).await.expect("the sequence ends"),
            );
        }
        answers
    }

    async fn answer(&self, request: SequenceRequest) -> Answer {
        self.answers(vec![request]).await.pop().expect("an answer")
    }

    fn steps(&self) -> usize {
        self.counts.steps.load(Ordering::Relaxed)
    }

    fn labels() -> TenantLabels {
        TenantLabels { tenant: "t".into(), model: "m".into() }
    }
}

async fn answer(mut events: EventReceiver) -> Answer {
    let mut output = Output::default();
    loop {
        match events.recv().await.expect("a last event") {
            Event::Output(piece) => {
                output.text.push_str(&piece.text);
                output.tokens += piece.tokens;
                output.logprobs.extend(piece.logprobs);
            }
            Event::Scored(_) => {}
            Event::Finished(finish) => {
                return Answer { output, end: Ok((finish.reason, finish.completion_tokens)) };
            }
            Event::Failed(failure) => return Answer { output, end: Err(failure) },
        }
    }
}

fn tiny() -> Arc<Model> {
    let mut tiny = TinyModel::new();
    tiny.set("llama.context_length", Meta::U32(CONTEXT as u32));
    tiny.open().expect("the model")
}

fn compiled(constraints: &Constraints, schema: Value) -> Constraint {
    let grammar = Grammar::json_schema(schema, SchemaRules::Plain).expect("a schema");
    constraints.compile(&grammar, None).expect("a constraint")
}

fn request(model: &Model, prompt: &str, constraint: Constraint) -> SequenceRequest {
    SequenceRequest {
        prompt: model.tokenizer().encode(prompt, SpecialTokens::Parse).into(),
        max_tokens: 200,
        sampling: SamplerParams { temperature: 0.0, ..SamplerParams::default() },
        stop: vec![],
        top_logprobs: None,
        constraint: Some(constraint),
        logit_hook: None,
        scores: Scores::default(),
    }
}

fn person() -> Value {
    json!({
        "type": "object", "required": ["name", "city", "age"], "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "city": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 1, "maximum": 120}
        }
    })
}

const ABOUT: &str = "<|im_start|>user\nAnna is 34 years old and lives in Paris. Describe her as JSON.<|im_end|>\n\
                     <|im_start|>assistant\n";

#[tokio::test]
async fn what_is_certain_takes_no_steps() {
    let model = tiny();
    let constraints = Constraints::new(Arc::clone(&model));
    let schema = json!({
        "type": "object", "required": ["kind", "ok"], "additionalProperties": false,
        "properties": {"kind": {"const": "a rather long constant text"}, "ok": {"type": "boolean"}}
    });
    let constraint = compiled(&constraints, schema);
    let bench = PLAIN.start(&model);
    let quick = bench.answer(request(&model, "x", constraint.clone())).await;
    let (reason, tokens) = quick.end.clone().expect("an end");
    assert_eq!(reason, FinishReason::Stop);
    let text = quick.output.text.clone();
    assert!(text.starts_with("{\"kind\": \"a rather long constant text\", \"ok\": "), "{text}");
    assert_eq!(tokens, model.tokenizer().encode(&text, SpecialTokens::AsText).len(), "{text}");
    // The prompt; the text up to the choice; nothing after the choice.
    assert_eq!(bench.steps(), 2, "{tokens} tokens");
    let (_, chosen) = text.rsplit_once(' ').expect("a last word");
    assert_eq!(bench.counts.tokens.load(Ordering::Relaxed), 1 + tokens - chosen.len());

    // With probabilities every token has its row, and the text is the same.
    let slow = PLAIN.start(&model);
    let asked = SequenceRequest { top_logprobs: Some(1), ..request(&model, "x", constraint) };
    let with_rows = slow.answer(asked).await;
    assert_eq!((&with_rows.output.text, &with_rows.end), (&text, &quick.end));
    assert_eq!(with_rows.output.logprobs.len(), tokens);
    assert_eq!(slow.steps(), tokens);
    assert!(with_rows.output.logprobs.iter().all(|entry| entry.chosen.logprob < 0.0));
}

#[tokio::test]
async fn a_real_model_fills_in_a_schema_the_same_way_with_and_without_speculation() {
    let (model, constraints) = &*SMOLLM2;
    let constraint = compiled(constraints, person());
    let sampled = SamplerParams { temperature: 0.9, seed: Some(5), ..SamplerParams::default() };
    let penalized = SamplerParams { repetition_penalty: 1.2, seed: Some(6), ..sampled.clone() };
    let example = format!(
        "{{\"name\": \"Bob\", \"city\": \"Rome\", \"age\": 51}}\n{{\"name\": \"Bob\", \"city\": \"Rome\", \"age\": 51}}\n{ABOUT}"
    );
    let base = request(model, &example, constraint);
    let requests = vec![
        base.clone(),
        SequenceRequest { sampling: sampled, ..base.clone() },
        SequenceRequest { sampling: penalized, ..base.clone() },
        SequenceRequest { top_logprobs: Some(2), ..base.clone() },
        SequenceRequest { stop: vec!["\"age\"".into()], ..base.clone() },
        SequenceRequest { max_tokens: 9, ..base.clone() },
    ];
    let plain = PLAIN.start(model);
    let drafting = Setup { max_draft_tokens: 8, ..PLAIN }.start(model);
    let validator = jsonschema::validator_for(&person()).expect("a schema");
    let mut texts = Vec::new();
    for (index, request) in requests.into_iter().enumerate() {
        let alone = plain.answer(request.clone()).await;
        let guessed = drafting.answer(request).await;
        assert_eq!(guessed, alone, "request {index}");
        if index < 4 {
            assert_eq!(alone.end.as_ref().expect("an end").0, FinishReason::Stop);
            assert!(validator.is_valid(&alone.json()), "{alone:?}");
        }
        texts.push(alone);
    }
    assert_eq!(texts[3].output.text, texts[0].output.text, "probabilities change no text");
    assert!(texts[4].output.text.ends_with(", "), "a stop string ends it: {:?}", texts[4]);
    assert_eq!(texts[5].end, Ok((FinishReason::Length, 9)));
    let drafted = drafting.metrics.speculation_drafted.get_or_create(&Bench::labels()).get();
    assert!(drafted > 0, "something was guessed");
}

#[tokio::test]
async fn a_sequence_that_gives_way_goes_on_where_it_was() {
    let model = tiny();
    let constraints = Constraints::new(Arc::clone(&model));
    let schema = json!({
        "type": "array", "minItems": 6, "maxItems": 6,
        "items": {"type": "object", "required": ["flag"], "additionalProperties": false,
                  "properties": {"flag": {"type": "boolean"}}}
    });
    let constraint = compiled(&constraints, schema);
    let requests = || -> Vec<SequenceRequest> {
        (0..4)
            .map(|seed| {
                let prompt = format!("prompt number {seed}");
                let sampling = SamplerParams { seed: Some(seed), ..SamplerParams::default() };
                SequenceRequest { sampling, ..request(&model, &prompt, constraint.clone()) }
            })
            .collect()
    };
    let expected = PLAIN.start(&model).answers(requests()).await;
    for answer in &expected {
        assert_eq!(answer.json().as_array().expect("a list").len(), 6);
    }
    let narrow = Setup { kv_tokens: Some(192), ..PLAIN }.start(&model);
    assert_eq!(narrow.answers(requests()).await, expected);
    assert!(narrow.metrics.preemptions.get_or_create(&Bench::labels()).get() > 0);
}

#[tokio::test]
async fn a_constraint_that_allows_nothing_fails_that_sequence_only() {
    let model = tiny();
    let constraints = Constraints::new(Arc::clone(&model));
    let constraint = compiled(&constraints, json!({"type": "boolean"}));
    let banned = vec![(TokenId::from(b't'), -100.0), (TokenId::from(b'f'), -100.0)];
    let sampling = SamplerParams { logit_bias: banned, ..SamplerParams::default() };
    let stuck = SequenceRequest { sampling, ..request(&model, "x", constraint.clone()) };
    let bench = PLAIN.start(&model);
    let answers = bench.answers(vec![stuck, request(&model, "y", constraint)]).await;
    assert_eq!(answers[0].end, Err(Failure::Constraint(ConstraintError::NothingAllowed)));
    assert!(answers[1].json().is_boolean());
    // The last event goes out before the scheduler lets the sequence go.
    let running = || bench.metrics.requests_running.get_or_create(&Bench::labels()).get();
    let nothing_runs = async {
        while running() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, nothing_runs).await.expect("both sequences end");
}

#[tokio::test]
async fn max_tokens_ends_amid_what_is_certain() {
    let model = tiny();
    let constraints = Constraints::new(Arc::clone(&model));
    let constraint = compiled(&constraints, json!({"const": "0123456789"}));
    let bench = PLAIN.start(&model);
    let short = SequenceRequest { max_tokens: 4, ..request(&model, "x", constraint) };
    let answer = bench.answer(short).await;
    assert_eq!((answer.output.text.as_str(), answer.end), ("\"012", Ok((FinishReason::Length, 4))));
}
