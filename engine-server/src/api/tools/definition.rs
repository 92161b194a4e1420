//! `tools`, `tool_choice` and `parallel_tool_calls` of a chat request.

use realm_engine::chat_template::Data;
use serde_json::{Value, json};

use crate::{
    api::{
        error::ApiError,
        fields::{self, Fields},
        structured::{check_name, refusal},
    },
    constraint::{SchemaRules, json_schema_literal},
};

/// Tools of a request, at most.
const MAX_TOOLS: usize = 128;

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// All that the client says of it, for the template.
    pub definition: Data,
    /// The schema of its arguments, as a part of a grammar.
    pub(super) arguments: String,
    /// Bytes of the definition.
    pub(super) bytes: usize,
}

/// Which tools are to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// None; the answer is text.
    None,
    /// Any or none, as the model sees fit.
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// The tools of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSet {
    /// At least one.
    pub tools: Vec<Tool>,
    /// Which are to be called.
    pub choice: ToolChoice,
    /// Whether one answer may have several calls.
    pub parallel: bool,
}

impl ToolSet {
    /// Takes the fields; `None` without tools.
    pub fn parse(fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        let tools = fields.array("tools", MAX_TOOLS)?.unwrap_or_default();
        let choice = fields.take("tool_choice");
        let parallel = fields.boolean("parallel_tool_calls")?;
        if tools.is_empty() {
            let meant = choice.filter(|choice| choice != "none").map(|_| "tool_choice");
            return match meant
                .or(parallel.filter(|parallel| *parallel).map(|_| "parallel_tool_calls"))
            {
                Some(name) => Err(without_tools(name)),
                None => Ok(None),
            };
        }
        let tools: Vec<Tool> = tools
            .into_iter()
            .enumerate()
            .map(|(index, value)| tool(&format!("tools[{index}]"), value))
            .collect::<Result<_, _>>()?;
        if let Some(index) = repeated(&tools) {
            let path = format!("tools[{index}].function.name");
            let message = format!("`{path}` is {:?}, like another tool's", tools[index].name);
            return Err(ApiError::invalid(path, "invalid_value", message));
        }
        let choice = choice.map_or(Ok(ToolChoice::Auto), |choice| tool_choice(choice, &tools))?;
        Ok(Some(Self { tools, choice, parallel: parallel.unwrap_or(true) }))
    }

    /// The tools that an answer may call.
    pub(super) fn callable(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().filter(|tool| match &self.choice {
            ToolChoice::None => false,
            ToolChoice::Auto | ToolChoice::Required => true,
            ToolChoice::Named(name) => tool.name == *name,
        })
    }

    /// What the template is told; with `tool_choice` none it is told of no tool.
    pub(in crate::api) fn definitions(&self) -> Vec<Data> {
        match self.choice {
            ToolChoice::None => Vec::new(),
            _ => self.tools.iter().map(|tool| tool.definition.clone()).collect(),
        }
    }

    /// Bytes of all definitions.
    pub(in crate::api) fn bytes(&self) -> usize {
        self.tools.iter().map(|tool| tool.bytes).sum()
    }
}

fn without_tools(name: &str) -> ApiError {
    let message = format!("`{name}` is only allowed with `tools`");
    ApiError::invalid(name, "invalid_value", message)
}

fn repeated(tools: &[Tool]) -> Option<usize> {
    let earlier = |index: usize| tools[..index].iter().any(|tool| tool.name == tools[index].name);
    (0..tools.len()).find(|&index| earlier(index))
}

fn tool(path: &str, value: Value) -> Result<Tool, ApiError> {
    let definition = Data::new(&value);
    let bytes = value.to_string().len();
    let mut fields = Fields::at(path, value)?;
    let kind = fields.required_string("type")?;
    if kind != "function" {
        let path = fields.path("type");
        return Err(fields::unsupported_value(&path, &format!("{kind:?}"), "only \"function\""));
    }
    let Some(mut function) = fields.object("function")? else {
        return Err(fields::missing(&fields.path("function")));
    };
    fields.finish()?;
    let name = function.required_string("name")?;
    check_name(&function.path("name"), &name)?;
    function.string("description")?;
    let strict = function.boolean("strict")?.unwrap_or(false);
    let at = function.path("parameters");
    // Left out, a function has no parameters.
    let no_parameters =
        || json!({"type": "object", "properties": {}, "additionalProperties": false});
    let schema = function.take("parameters").unwrap_or_else(no_parameters);
    function.finish()?;
    let arguments = arguments(&at, schema, strict)?;
    Ok(Tool { name, definition, arguments, bytes })
}

/// Arguments are one object; `strict` adds OpenAI's rules.
fn arguments(at: &str, mut schema: Value, strict: bool) -> Result<String, ApiError> {
    if let Value::Object(members) = &mut schema {
        let kind = members.entry("type").or_insert_with(|| "object".into());
        if kind != "object" {
            let path = format!("{at}.type");
            return Err(fields::unsupported_value(&path, &kind.to_string(), "only \"object\""));
        }
    }
    let rules = if strict { SchemaRules::Strict } else { SchemaRules::Plain };
    json_schema_literal(schema, rules).map_err(|error| refusal(at, &error))
}

fn tool_choice(choice: Value, tools: &[Tool]) -> Result<ToolChoice, ApiError> {
    const SUPPORTED: &str = "\"none\", \"auto\", \"required\" and {\"type\": \"function\", \"function\": {\"name\": ...}}";
    match choice {
        Value::String(word) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            other => {
                Err(fields::unsupported_value("tool_choice", &format!("{other:?}"), SUPPORTED))
            }
        },
        object @ Value::Object(_) => named_choice(object, tools, SUPPORTED),
        other => Err(fields::wrong_type("tool_choice", "a string or an object", &other)),
    }
}

fn named_choice(object: Value, tools: &[Tool], supported: &str) -> Result<ToolChoice, ApiError> {
    let mut fields = Fields::at("tool_choice", object)?;
    let kind = fields.required_string("type")?;
    if kind != "function" {
        return Err(fields::unsupported_value(
            &fields.path("type"),
            &format!("{kind:?}"),
            supported,
        ));
    }
    let Some(mut function) = fields.object("function")? else {
        return Err(fields::missing(&fields.path("function")));
    };
    fields.finish()?;
    let name = function.required_string("name")?;
    let path = function.path("name");
    function.finish()?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(ToolChoice::Named(name));
    }
    let message = format!("`{path}` is {name:?}; there is no such tool in `tools`");
    Err(ApiError::invalid(path, "invalid_value", message))
}
