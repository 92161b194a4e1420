//! The grammar of calls, for each syntax.

use super::{
    definition::Tool,
    marks::{Marks, literal},
    syntax::ToolSyntax,
};
use crate::{api::error::ApiError, constraint::Grammar};

/// Bytes of all tools' schemas together, at most.
const MAX_TOOL_BYTES: usize = 256 << 10;

/// White space where a model may put it when nobody holds it yet.
const SPACE: &str = "/[ \\n]{0,4}/";

/// The grammar of an answer's calls: one, or several when `parallel`. `loose` when the model has begun the first call by
/// itself, with white space as it likes.
pub(super) fn calls(
    syntax: ToolSyntax,
    tools: &[&Tool],
    parallel: bool,
    loose: bool,
    marks: &Marks<'_>,
) -> Result<Grammar, ApiError> {
    let bytes: usize = tools.iter().map(|tool| tool.arguments.len() + tool.name.len()).sum();
    if bytes > MAX_TOOL_BYTES {
        let message = format!(
            "the schemas of `tools` have {bytes} bytes; at most {MAX_TOOL_BYTES} are supported"
        );
        return Err(ApiError::invalid("tools", "invalid_schema", message));
    }
    let several = parallel && syntax.has_parallel_calls();
    let start = start(syntax, several, marks);
    let call = call(syntax, loose, marks);
    let functions: Vec<String> = (0..tools.len()).map(|index| format!("f{index}")).collect();
    let rules =
        tools.iter().enumerate().map(|(index, tool)| function(syntax, loose, index, tool, marks));
    let rules: Vec<String> = rules.collect();
    let all = format!(
        "start: {start}\ncall: {call}\nfunction: {}\n{}",
        functions.join(" | "),
        rules.concat()
    );
    Ok(Grammar::trusted(all))
}

fn start(syntax: ToolSyntax, several: bool, marks: &Marks<'_>) -> String {
    let mark = |text: &str| marks.lark(text);
    match (syntax, several) {
        (ToolSyntax::Hermes, true) => "call (\"\\n\" call)*".to_owned(),
        (ToolSyntax::MistralNamed, true) => "call call*".to_owned(),
        (ToolSyntax::MistralList { spaced }, _) => {
            let open = if spaced { "\" [\"" } else { "\"[\"" };
            let more = if several { " (\", \" call)*" } else { "" };
            format!("{} {open} call{more} \"]\"", mark("[TOOL_CALLS]"))
        }
        (ToolSyntax::Llama, _) => format!("{}? call", mark("<|python_tag|>")),
        _ => "call".to_owned(),
    }
}

fn call(syntax: ToolSyntax, loose: bool, marks: &Marks<'_>) -> String {
    let mark = |text: &str| marks.lark(text);
    match syntax {
        ToolSyntax::Hermes => format!(
            "{} \"\\n{{\\\"name\\\": \" function \"}}\\n\" {}",
            mark("<tool_call>"),
            mark("</tool_call>")
        ),
        ToolSyntax::Llama if loose => {
            format!(
                "{SPACE} \"{{\" {SPACE} \"\\\"name\\\"\" {SPACE} \":\" {SPACE} function {SPACE} \"}}\""
            )
        }
        ToolSyntax::Llama | ToolSyntax::MistralList { .. } => {
            "\"{\\\"name\\\": \" function \"}\"".to_owned()
        }
        ToolSyntax::MistralNamed => format!("{} function", mark("[TOOL_CALLS]")),
    }
}

/// The name of a function and its arguments.
fn function(
    syntax: ToolSyntax,
    loose: bool,
    index: usize,
    tool: &Tool,
    marks: &Marks<'_>,
) -> String {
    let Tool { name, arguments, .. } = tool;
    let member = syntax.arguments_member();
    let head = match syntax {
        ToolSyntax::MistralNamed => format!("{} {}", literal(name), marks.lark("[ARGS]")),
        ToolSyntax::Llama if loose => format!(
            "{} {SPACE} \",\" {SPACE} {} {SPACE} \":\" {SPACE}",
            literal(&format!("\"{name}\"")),
            literal(&format!("\"{member}\""))
        ),
        _ => literal(&format!("\"{name}\", \"{member}\": ")),
    };
    format!("f{index}: {head} a{index}\na{index}: {arguments}\n")
}
