#!/usr/bin/env python3
"""Reference logits and greedy text from llama.cpp, for engine/tests/model_golden.rs.

Set up and run, from the repository's root:

    python3 -m venv target/reference
    target/reference/bin/pip install "llama-cpp-python==0.3.36" "numpy" "jinja2"
    target/reference/bin/python engine/reference/golden_logits.py MODEL.gguf engine/tests/golden/logits.json

The settings are those that the Rust test is compared under: keys and values in F16, no flash attention (a flash kernel
keeps its accumulator in F16 and so rounds more than either implementation needs to), the prompt in one batch and then
one token at a time. One thread: the results do not depend on it, and its busy-waiting does not starve other programs. Greedy means: the largest logit, ties to the lowest id. Generation does not stop at
an end-of-generation token; each of the 200 positions is compared. Weights are used as they lie in the file
(`use_extra_bufts` off): the AMX path of that release, which repacks them, crashes on some virtual machines.

Per prompt the file holds the token ids, the generated ids, the gap between the two best logits before each generated
token (so that a disagreement can be told from a near tie), and rows: the TOP largest log-probabilities (natural
logarithm) after every prompt position and after every EVERYth generated token.
"""

import argparse
import json
import sys

import llama_cpp.llama_cpp as library
import numpy as np
from llama_cpp import GGML_TYPE_F16, Llama, __version__

GENERATED = 200
TOP = 40
EVERY = 10

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def chat(*turns):
    """The ChatML form of a conversation that waits for the assistant."""
    text = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    for role, content in turns:
        text += f"<|im_start|>{role}\n{content}<|im_end|>\n"
    return text + "<|im_start|>assistant\n"


PROMPTS = {
    "fact": "The capital of France is",
    "history": "The first person to walk on the Moon was",
    "python": "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "rust": "fn main() {\n    let numbers = vec![1, 2, 3];\n    for number in",
    "list": "Ingredients for pancakes:\n- 2 cups of flour\n- 1 cup of milk\n-",
    "numbers": "1, 1, 2, 3, 5, 8, 13, 21,",
    "story": "Once upon a time, in a small village by the sea, there lived a fisherman who",
    "french": "Bonjour, je m'appelle Marie et j'habite à",
    "spanish": "La fotosíntesis es el proceso por el cual",
    "whitespace": "Name:    Alice\n\n\n\tAge:   30\n\n  City:",
    "json": "{\n  \"name\": \"Realm\",\n  \"version\": \"0.1.0\",\n  \"keywords\": [",
    "science": "Water boils at 100 degrees Celsius because",
    "chat-capital": chat(("user", "What is the capital of France?")),
    "chat-turns": chat(
        ("user", "Name three colours."),
        ("assistant", "Red, green and blue."),
        ("user", "Which of them is the colour of the sky?"),
    ),
    "chat-code": chat(("user", "Write a Python function that reverses a string.")),
    "chinese": "北京是中国的",
}


def log_probabilities(logits):
    """Natural-log probabilities in double precision."""
    logits = logits.astype(np.float64)
    largest = logits.max()
    return logits - (largest + np.log(np.exp(logits - largest).sum()))


def row(position, logits):
    """The TOP most likely tokens after `position` tokens."""
    values = log_probabilities(logits)
    best = np.argsort(-values, kind="stable")[:TOP]
    return {
        "position": position,
        "tokens": [int(token) for token in best],
        "log_probabilities": [round(float(values[token]), 6) for token in best],
    }


def run(model, text):
    """One prompt: its rows and its greedy continuation."""
    model.reset()
    prompt = model.tokenize(text.encode(), add_bos=False, special=True)
    model.eval(prompt)
    rows = [row(at + 1, model.scores[at]) for at in range(len(prompt))]
    generated, gaps = [], []
    for step in range(GENERATED):
        logits = model.scores[model.n_tokens - 1]
        token = int(np.argmax(logits))
        two = np.partition(logits, -2)[-2:]
        generated.append(token)
        gaps.append(round(float(two[1] - two[0]), 4))
        if step + 1 < GENERATED:
            model.eval([token])
            if (step + 1) % EVERY == 0:
                rows.append(row(model.n_tokens, model.scores[model.n_tokens - 1]))
    return {"prompt": text, "prompt_tokens": prompt, "generated": generated, "gaps": gaps, "rows": rows}


def plain_weights():
    """Makes `Llama` open models without repacked weights; its constructor has no argument for it."""
    defaults = library.llama_model_default_params

    def changed():
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    library.llama_model_default_params = changed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output")
    arguments = parser.parse_args()
    plain_weights()
    model = Llama(
        arguments.model,
        n_ctx=512,
        n_batch=512,
        n_threads=1,
        n_threads_batch=1,
        logits_all=True,
        flash_attn=False,
        type_k=GGML_TYPE_F16,
        type_v=GGML_TYPE_F16,
        verbose=False,
    )
    cases = []
    for name, text in PROMPTS.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        cases.append({"name": name, **run(model, text)})
    golden = {"source": f"llama-cpp-python {__version__}", "top": TOP, "cases": cases}
    with open(arguments.output, "w", encoding="utf-8") as output:
        json.dump(golden, output, ensure_ascii=False, separators=(",", ":"))
        output.write("\n")


if __name__ == "__main__":
    main()
