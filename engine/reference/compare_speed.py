#!/usr/bin/env python3
"""Speed of this engine beside llama-cpp-python on the same file and threads, in turn, and their ratios.

    cargo build --release -p realm-engine --example speed
    target/reference/bin/python engine/reference/compare_speed.py MODEL.gguf target/release/examples/speed --threads 2

The virtual environment is that of golden_logits.py. The two run one after the other, ROUNDS times, so that a change of
the machine's mood meets both; each round gives a ratio; minimum, median and maximum are printed. Use a quiet machine.
"""

import argparse
import json
import statistics
import subprocess
import time

from llama_cpp import Llama
from plain_weights import plain_weights

PREFILL_TOKENS = 512
DECODE_TOKENS = 64


def rate(model, tokens, piece):
    """Tokens per second of an empty context that grows by `piece` tokens a step."""
    model.reset()
    started = time.perf_counter()
    for start in range(0, len(tokens), piece):
        model.eval(tokens[start : start + piece])
    return len(tokens) / (time.perf_counter() - started)


def ours(program, model, threads):
    output = subprocess.run([program, model, str(threads), "3"], check=True, capture_output=True, text=True).stdout
    result = json.loads(output)
    return result["prefill_tokens_per_s"]["median"], result["decode_tokens_per_s"]["median"]


def theirs(model):
    tokens = [1000 + token * 7 for token in range(PREFILL_TOKENS)]
    prefill = statistics.median(rate(model, tokens, PREFILL_TOKENS) for _ in range(3))
    decode = statistics.median(rate(model, tokens[:DECODE_TOKENS], 1) for _ in range(3))
    return prefill, decode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    plain_weights()
    model = Llama(arguments.model, n_ctx=PREFILL_TOKENS, n_batch=PREFILL_TOKENS, n_ubatch=PREFILL_TOKENS,
                  n_threads=arguments.threads, n_threads_batch=arguments.threads, verbose=False)
    theirs(model)
    rounds = []
    for _ in range(arguments.rounds):
        (our_prefill, our_decode), (their_prefill, their_decode) = ours(
            arguments.program, arguments.model, arguments.threads), theirs(model)
        rounds.append({"prefill": [our_prefill, round(their_prefill, 1)], "decode": [our_decode, round(their_decode, 1)]})
    ratios = {kind: sorted(round(entry[kind][0] / entry[kind][1], 3) for entry in rounds) for kind in ("prefill", "decode")}
    ratio = {kind: {"min": all[0], "median": statistics.median(all), "max": all[-1]} for kind, all in ratios.items()}
    print(json.dumps({"threads": arguments.threads, "rounds_realm_llama_cpp": rounds, "ratio": ratio}))


if __name__ == "__main__":
    main()
