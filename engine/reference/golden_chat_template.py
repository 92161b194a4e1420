#!/usr/bin/env python3
"""Reference prompts from jinja2 with the settings of `transformers`, for engine/tests/chat_template_golden.rs.

    target/reference/bin/python engine/reference/golden_chat_template.py MODEL.gguf engine/tests/golden/chat_template.json

The virtual environment is that of golden_logits.py. The first template is that of the model file; the others are our
own and use what published templates use: loop variables, slices, filters, string methods, macros, namespaces, white
space control, raise_exception.
"""

import argparse
import json

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from llama_cpp import Llama

TEMPLATES = {
    "bos-and-trim": "{{ bos_token }}{% for m in messages %}[{{ m.role|upper }}] {{ m['content'] | trim }}\n{% endfor %}{{ eos_token }}",
    "whitespace": "{%- for message in messages %}\n    {%- if message.role == 'user' %}\n    U: {{ message.content }}\n    {%- else %}\n"
    "    O: {{ message.content }}\n    {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}\n  A:\n{% endif %}\n",
    "system-slice": "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}<{{ system }}>{% for m in rest %}{{ loop.index0 }}/{{ loop.length }}:"
    "{{ m.content.strip() }}{{ ',' if not loop.last }}{% endfor %}",
    "namespace": "{% set ns = namespace(users=0) %}{% for m in messages if m.role == 'user' %}{% set ns.users = ns.users + 1 %}{% endfor %}"
    "{{ ns.users }} of {{ messages|length }}",
    "macro": "{% macro turn(role, text) %}<{{ role }}>{{ text }}</{{ role }}>{% endmacro %}{% for m in messages %}{{ turn(m.role, m.content) }}{% endfor %}",
    "methods": "{% for m in messages %}{{ m.content.startswith('H') }}{{ m.content.split(' ')|length }}{{ m.content.replace('l', 'L').upper() }};{% endfor %}",
    "tools": "{% if tools is not none %}T{% else %}-{% endif %}{% if strftime_now is defined %}now{% else %}26 Jul 2024{% endif %}{{ undefined_name }}",
    "loop-controls": "{% for m in messages %}{% if m.role == 'assistant' %}{% continue %}{% endif %}{{ m.content }}|{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}",
    "alternate": "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}{{ m.content }}{% endfor %}",
}

CONVERSATIONS = {
    "one": [("user", "Hello")],
    "system": [("system", "Be brief."), ("user", "  Hi there \n")],
    "turns": [("user", "Hello"), ("assistant", "Hello! How can I help?"), ("user", "Thanks, 你好 😀")],
    "odd": [("user", ""), ("user", "<|im_end|> {{ 1 }} {% if %} & <b>\n\n")],
}


class Refused(Exception):
    """What raise_exception raises."""


def refuse(message):
    raise Refused(message)


def environment():
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    made.globals["raise_exception"] = refuse
    return made


def case(source, messages, add_generation_prompt):
    variables = {"messages": messages, "add_generation_prompt": add_generation_prompt, "tools": None, "documents": None,
                 "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    try:
        return {"prompt": environment().from_string(source).render(**variables)}
    except Refused as refusal:
        return {"refused": str(refusal)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output")
    arguments = parser.parse_args()
    model = Llama(arguments.model, vocab_only=True, verbose=False)
    templates = {"model": model.metadata["tokenizer.chat_template"], **TEMPLATES}
    cases = []
    for template, source in templates.items():
        for conversation, turns in CONVERSATIONS.items():
            messages = [{"role": role, "content": content} for role, content in turns]
            for add in (False, True):
                cases.append({"template": template, "conversation": conversation, "add_generation_prompt": add,
                              **case(source, messages, add)})
    golden = {"source": f"jinja2 {jinja2.__version__}", "templates": templates,
              "conversations": CONVERSATIONS, "cases": cases}
    with open(arguments.output, "w", encoding="utf-8") as output:
        json.dump(golden, output, ensure_ascii=False, indent=1)
        output.write("\n")


if __name__ == "__main__":
    main()
