#!/usr/bin/env python3
"""Reference logits and greedy text from llama.cpp, for engine/tests/model_golden.rs.

Set up and run, from the repository's root (600 MB of disk for a while):

    python3 -m venv target/reference
    target/reference/bin/pip install "llama-cpp-python==0.3.36" gguf numpy jinja2
    target/reference/bin/python engine/reference/golden_logits.py MODEL.gguf engine/tests/golden/logits.json

Why not simply the quantized file? llama.cpp, like every fast CPU engine, rounds activations to 8 bits before each
product. Rounding turns the last bit of a float sum into a whole step now and then, and thirty blocks of it spread that
over everything: two correct engines that add in another order differ as much as either differs from the exact result
(mean KL about 2e-3 on the demo model; the top two logits change places wherever they are close). So there are two runs:

* exact: the weights of the file, unpacked to F32 by PyPI `gguf` without any loss, keys and values in F32. No rounding
  but that of floats. This is what the file means, and what the rows, tokens and gaps below are.
* quantized: the file itself with keys and values in F16, fed the exact run's tokens. Its mean KL divergence from the
  exact run (`quantized_mean_kl`) and the share of positions where it prefers the same token
  (`quantized_agreement`) are the yardstick for our fast path.

Both: no flash attention, one thread (results do not depend on it), the prompt in one batch and then one token at a
time; weights used as they lie in the file (`use_extra_bufts` off: the AMX path of that release crashes on some virtual
machines). Greedy means: the largest logit, ties to the lowest id. Generation does not stop at an end-of-generation
token; each of the 200 positions is compared.

Per prompt the file holds the token ids, the generated ids, the gap between the two best logits before each generated
token (so that a disagreement can be told from a near tie), and rows: the TOP largest log-probabilities (natural
logarithm) after every prompt position and after every EVERYth generated token.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize
from llama_cpp import GGML_TYPE_F16, GGML_TYPE_F32, Llama, __version__
from plain_weights import plain_weights

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


def unpack(source, target):
    """Writes the model again with every weight as F32."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in ("general.architecture", "general.file_type"):
            sub_type = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        weights = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, weights, raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def open_model(path, kv_type):
    """A model with room for a prompt and what is generated."""
    return Llama(str(path), n_ctx=512, n_batch=512, n_threads=1, n_threads_batch=1, logits_all=True, flash_attn=False,
                 type_k=kv_type, type_v=kv_type, verbose=False)


def run_exact(model, text):
    """One prompt: its tokens, its greedy continuation, and the logits after each token."""
    model.reset()
    prompt = model.tokenize(text.encode(), add_bos=False, special=True)
    model.eval(prompt)
    generated, gaps = [], []
    for step in range(GENERATED):
        logits = model.scores[model.n_tokens - 1]
        token = int(np.argmax(logits))
        two = np.partition(logits, -2)[-2:]
        generated.append(token)
        gaps.append(round(float(two[1] - two[0]), 4))
        if step + 1 < GENERATED:
            model.eval([token])
    return prompt, generated, gaps, model.scores[: model.n_tokens].copy()


def run_quantized(model, prompt, generated):
    """The logits after each token of the exact run."""
    model.reset()
    model.eval(prompt)
    for token in generated[:-1]:
        model.eval([token])
    return model.scores[: model.n_tokens].copy()


def kept(prompt_length):
    """Positions whose rows are stored."""
    later = range(prompt_length + EVERY, prompt_length + GENERATED, EVERY)
    return [*range(1, prompt_length + 1), *later]


def divergence(reference, other):
    """KL divergence in nats, over the whole vocabulary."""
    reference, other = log_probabilities(reference), log_probabilities(other)
    return float((np.exp(reference) * (reference - other)).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output")
    arguments = parser.parse_args()
    plain_weights()
    with tempfile.TemporaryDirectory() as folder:
        unpacked = pathlib.Path(folder, "exact.gguf")
        unpack(arguments.model, unpacked)
        exact = open_model(unpacked, GGML_TYPE_F32)
        quantized = open_model(arguments.model, GGML_TYPE_F16)
        cases, divergences, agreements = [], [], []
        for name, text in PROMPTS.items():
            prompt, generated, gaps, scores = run_exact(exact, text)
            other = run_quantized(quantized, prompt, generated)
            positions = kept(len(prompt))
            divergences += [divergence(scores[at - 1], other[at - 1]) for at in positions]
            same = np.argmax(other[len(prompt) - 1 :], axis=1) == np.array(generated)
            agreements.append(float(same.mean()))
            print(f"{name}: agreement {agreements[-1]:.3f}", file=sys.stderr, flush=True)
            cases.append({"name": name, "prompt": text, "prompt_tokens": prompt, "generated": generated, "gaps": gaps,
                          "rows": [row(at, scores[at - 1]) for at in positions]})
    golden = {
        "source": f"llama-cpp-python {__version__}",
        "quantized_mean_kl": float(np.mean(divergences)),
        "quantized_agreement": float(np.mean(agreements)),
        "cases": cases,
    }
    with open(arguments.output, "w", encoding="utf-8") as output:
        json.dump(golden, output, ensure_ascii=False, separators=(",", ":"))
        output.write("\n")


if __name__ == "__main__":
    main()
