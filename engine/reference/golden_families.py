"""Writes tests/golden/families.json: logits and embeddings of llama.cpp for a tiny model of each family.

    cargo run -p realm-engine --example tiny-families -- FOLDER
    python golden_families.py FOLDER ../tests/golden/families.json

Needs llama-cpp-python 0.3.36 built from its source package, beside requirements.txt. Keys and values are F32 and flash
attention is off; weights of single precision are then multiplied in single precision. Every EVERYth logit is kept after
the tokens in POSITIONS.
"""

import argparse
import ctypes
import json
import pathlib

import llama_cpp
import numpy as np

from plain_weights import plain_weights

EVERY = 5
POSITIONS = (0, 1, 19, 20, 33, 41, 74)
CONTEXT = 128
GGML_TYPE_F32 = 0
ENCODERS = ("bert", "nomic-bert")


def kept(row):
    """Every EVERYth number, rounded to seven digits."""
    return [float(f"{number:.7g}") for number in np.asarray(row, dtype=np.float64)[::EVERY]]


def open_context(path, encoder):
    """The model's handle and a context, straight from the library: its Python class knows no tokens without text."""
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = False
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
    assert model, f"llama.cpp does not open {path}"
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = CONTEXT
    settings.n_threads = settings.n_threads_batch = 1
    settings.type_k = settings.type_v = GGML_TYPE_F32
    settings.flash_attn_type = 0
    settings.embeddings = encoder
    context = llama_cpp.llama_init_from_model(model, settings)
    assert context, f"llama.cpp gives no context for {path}"
    return model, context


def evaluate(context, tokens):
    """Computes all tokens with all their outputs."""
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for place, token in enumerate(tokens):
        batch.token[place] = token
        batch.pos[place] = place
        batch.n_seq_id[place] = 1
        batch.seq_id[place][0] = 0
        batch.logits[place] = 1
    assert llama_cpp.llama_decode(context, batch) == 0
    llama_cpp.llama_batch_free(batch)


def numbers(pointer, count):
    """A copy of numbers of the library."""
    return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (count,)).copy()


def run(path, tokens):
    """What is kept of a model."""
    encoder = path.stem.startswith(ENCODERS)
    model, context = open_context(path, encoder)
    evaluate(context, tokens)
    if encoder:
        width = llama_cpp.llama_model_n_embd(model)
        case = {"vector": kept(numbers(llama_cpp.llama_get_embeddings_seq(context, 0), width))}
    else:
        size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        rows = {at: kept(numbers(llama_cpp.llama_get_logits_ith(context, at), size)) for at in POSITIONS}
        case = {"positions": rows}
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return case


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    arguments = parser.parse_args()
    plain_weights()
    tokens = [int(token) for token in (arguments.models / "prompt.txt").read_text().split()]
    cases = {path.stem: run(path, tokens) for path in sorted(arguments.models.glob("*.gguf"))}
    golden = {"source": f"llama-cpp-python {llama_cpp.__version__}", "every": EVERY, "cases": cases}
    arguments.output.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
