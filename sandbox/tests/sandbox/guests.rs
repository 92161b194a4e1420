//! Guests from text: a core module is completed with what every guest needs, and wrapped as a component of a world.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where a guest's answer begins in its memory; zeros there are the plainest answer of every hook.
pub(crate) const ANSWER: u32 = 1024;
/// Where a plan begins in its answer.
pub(crate) const PLAN: u32 = ANSWER + 4;
/// Offsets in a plan, by the canonical ABI.
pub(crate) mod plan {
    pub(crate) const PROMPT: u32 = 0;
    pub(crate) const ROUTE: u32 = 16;
    pub(crate) const TEMPERATURE: u32 = 28;
    pub(crate) const MAX_TOKENS: u32 = 60;
    pub(crate) const STOP: u32 = 68;
    pub(crate) const BIAS: u32 = 76;
    pub(crate) const CONSTRAINT: u32 = 84;
    pub(crate) const REDACT: u32 = 100;
    pub(crate) const REDACTION: u32 = 108;
    pub(crate) const WAKE: u32 = 116;
    pub(crate) const SUBSCRIBE: u32 = 124;
    pub(crate) const EVERY: u32 = 128;
    pub(crate) const TOP: u32 = 132;
}

/// A guest before it is text: bodies of its hooks and what stands beside them.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) world: String,
    /// Imports, and whatever else a module may hold.
    pub(crate) imports: String,
    pub(crate) items: String,
    pub(crate) memory: String,
    pub(crate) on_request: Option<String>,
    pub(crate) on_tokens: Option<String>,
    pub(crate) on_logits: Option<String>,
    pub(crate) on_response: Option<String>,
    pub(crate) run: Option<String>,
}

/// Worlds of our tests beside the published ones: one hook each.
const WORLDS: &str = "
package test:guests;
world requests {
  import realm:tenant/log@0.1.0;
  import realm:tenant/clock@0.1.0;
  import realm:tenant/random@0.1.0;
  import realm:tenant/store@0.1.0;
  import realm:tenant/metrics@0.1.0;
  import realm:tenant/tokenizer@0.1.0;
  export realm:tenant/request-hook@0.1.0;
}
world tokens { export realm:tenant/token-hook@0.1.0; }
world logits { export realm:tenant/logit-hook@0.1.0; }
world responses { export realm:tenant/response-hook@0.1.0; }
world everything {
  export realm:tenant/request-hook@0.1.0;
  export realm:tenant/token-hook@0.1.0;
  export realm:tenant/logit-hook@0.1.0;
}
world loud-logits { import realm:tenant/log@0.1.0; export realm:tenant/logit-hook@0.1.0; }
world mixed { export realm:tenant/request-hook@0.1.0; export realm:tenant/agent@0.1.0; }
world agents { import realm:tenant/inference@0.1.0; export realm:tenant/agent@0.1.0; }
";

impl Guest {
    fn empty(world: &str) -> Self {
        Self {
            world: world.to_owned(),
            imports: String::new(),
            items: String::new(),
            memory: "2".to_owned(),
            on_request: None,
            on_tokens: None,
            on_logits: None,
            on_response: None,
            run: None,
        }
    }

    /// A guest with that body of `on-request`; it leaves the answer's address.
    pub(crate) fn request(body: &str) -> Self {
        Self { on_request: Some(body.to_owned()), ..Self::empty("requests") }
    }

    pub(crate) fn tokens(body: &str) -> Self {
        Self { on_tokens: Some(body.to_owned()), ..Self::empty("tokens") }
    }

    pub(crate) fn logits(body: &str) -> Self {
        Self { on_logits: Some(body.to_owned()), ..Self::empty("logits") }
    }

    /// The same, with a log.
    pub(crate) fn loud_logits(body: &str) -> Self {
        let log = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;
        Self { on_logits: Some(body.to_owned()), ..Self::empty("loud-logits") }.importing(log)
    }

    /// A guest that shapes a request, looks at its tokens and chooses them, all in one.
    pub(crate) fn everything(on_request: &str, on_tokens: &str, on_logits: &str) -> Self {
        Self {
            on_request: Some(on_request.to_owned()),
            on_tokens: Some(on_tokens.to_owned()),
            on_logits: Some(on_logits.to_owned()),
            ..Self::empty("everything")
        }
    }

    pub(crate) fn response(body: &str) -> Self {
        Self { on_response: Some(body.to_owned()), ..Self::empty("responses") }
    }

    pub(crate) fn agent(body: &str) -> Self {
        Self { run: Some(body.to_owned()), ..Self::empty("agents") }
    }

    /// A guest of the published world `filter` that does nothing.
    pub(crate) fn filter() -> Self {
        Self {
            on_request: Some(plain()),
            on_tokens: Some(plain()),
            on_response: Some(plain()),
            ..Self::empty("filter")
        }
    }

    /// One that refuses every request in these words.
    pub(crate) fn refusing(status: u32, code: &str, message: &str) -> Self {
        let (code_at, message_at) = (2048, 2048 + code.len() as u32);
        let words = [
            (ANSWER, 1),
            (ANSWER + 4, status),
            (ANSWER + 8, code_at),
            (ANSWER + 12, code.len() as u32),
            (ANSWER + 16, message_at),
            (ANSWER + 20, message.len() as u32),
        ];
        Self::request(&storing(&words)).with(&data(code_at, code)).with(&data(message_at, message))
    }

    pub(crate) fn importing(mut self, imports: &str) -> Self {
        self.imports.push_str(imports);
        self
    }

    pub(crate) fn with(mut self, items: &str) -> Self {
        self.items.push_str(items);
        self
    }

    pub(crate) fn memory(self, memory: &str) -> Self {
        Self { memory: memory.to_owned(), ..self }
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        component(&self.world, &self.text())
    }

    /// The core module in text.
    pub(crate) fn text(&self) -> String {
        let Self { imports, items, memory, .. } = self;
        let hook = |name: &str, signature: &str, body: &Option<String>| {
            body.as_ref().map_or(String::new(), |body| {
                format!("(func (export \"realm:tenant/{name}\") {signature}\n{body})\n")
            })
        };
        let prompt =
            "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32) (result i32)";
        let hooks = [
            hook("request-hook@0.1.0#on-request", prompt, &self.on_request),
            hook("agent@0.1.0#run", prompt, &self.run),
            hook(
                "token-hook@0.1.0#on-tokens",
                "(param i32 i32 i32 i32 i32 i32 i32) (result i32)",
                &self.on_tokens,
            ),
            hook(
                "logit-hook@0.1.0#on-logits",
                "(param i32 i32 f32 i32 i32 i32 i32) (result i32)",
                &self.on_logits,
            ),
            hook(
                "response-hook@0.1.0#on-response",
                "(param i32 i32 i32 i32 i32 i64) (result i32)",
                &self.on_response,
            ),
        ]
        .concat();
        format!(
            "(module
              {imports}
              (memory (export \"memory\") {memory})
              (global $bump (mut i32) (i32.const 65536))
              (func $realloc (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at
                  (i32.and (i32.add (global.get $bump) (i32.const 7)) (i32.const -8)))
                (global.set $bump (i32.add (local.get $at) (local.get 3)))
                (block $enough
                  (br_if $enough (i32.le_u (global.get $bump) (i32.shl (memory.size) (i32.const 16))))
                  (br_if $enough (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1)
                    (i32.shr_u (local.get 3) (i32.const 16))))))
                  (unreachable))
                (local.get $at))
              {items}
              {hooks})"
        )
    }
}

/// A body that answers with zeros: an empty plan, a pass.
pub(crate) fn plain() -> String {
    format!("(i32.const {ANSWER})")
}

/// A body that stores numbers and answers.
pub(crate) fn storing(words: &[(u32, u32)]) -> String {
    let stores: String = words
        .iter()
        .map(|(at, word)| {
            format!("(i32.store (i32.const {at}) (i32.const {}))\n", word.cast_signed())
        })
        .collect();
    format!("{stores}{}", plain())
}

/// A string in the guest's memory.
pub(crate) fn data(at: u32, text: &str) -> String {
    let bytes: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{bytes}\")\n")
}

/// A core module in text as a component of a world.
pub(crate) fn component(world: &str, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine-server/wit");
    let (ours, _) = resolve.push_dir(&folder).unwrap();
    let tests = resolve.push_str("tests.wit", WORLDS).unwrap();
    let world = resolve
        .select_world(&[ours], Some(world))
        .or_else(|_| resolve.select_world(&[tests], Some(world)))
        .unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
