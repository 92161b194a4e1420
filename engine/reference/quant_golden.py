"""Writes engine/tests/golden/quant.json: block formats as the public `gguf` package reads and writes them.

    pip install gguf==0.19.0 numpy
    cargo build --example quantize-row -p realm-engine
    python engine/reference/quant_golden.py target/debug/examples/quantize-row [--check]

Three lists of cases, all bytes in hex, floats as little-endian f32:
- dequantize: bytes of random and extreme blocks -> gguf's weights
- quantize: weights -> gguf's bytes (formats whose quantizer gguf has)
- k_quantize: weights -> our bytes (from the program named above) -> gguf's weights of those bytes
Q8_1 and Q8_K are not in gguf's Python code; their cases are computed here from ggml's published block layout.
"""

import json
import struct
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

SMALL = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
LARGE = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Byte offsets of the 16-bit floats of each block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
random = np.random.default_rng(20260801)


def f16(value):
    return np.float16(value).tobytes()


def hexed(array):
    return np.ascontiguousarray(array).tobytes().hex()


def blocks_of(name):
    """Named blocks: random codes under random and extreme scales."""
    _, size = gguf.GGML_QUANT_SIZES[T[name]]
    codes = {"random": random.integers(0, 256, size, dtype=np.uint8), "zeros": np.zeros(size, np.uint8),
             "ones": np.full(size, 255, np.uint8)}
    scales = {"plain": 0.0123, "negative": -0.75, "subnormal": 3e-7, "largest": 65504.0, "zero": 0.0}
    for code_name, scale_name in [("random", s) for s in scales] + [("zeros", "plain"), ("ones", "negative")]:
        block = codes[code_name].copy()
        for place, offset in enumerate(SCALES[name]):
            value = scales[scale_name] * (1.0 if place == 0 else -0.5)
            block[offset:offset + 2] = np.frombuffer(f16(value), np.uint8)
        yield f"{code_name} codes, {scale_name} scale", block


def rows_of(length):
    """Named rows of weights that a quantizer meets."""
    plain = random.standard_normal(length).astype(np.float32)
    yield "normal", plain
    yield "small", plain * np.float32(1e-6)
    yield "zero", np.zeros(length, np.float32)
    yield "all equal", np.full(length, 0.37, np.float32)
    yield "all equal, negative", np.full(length, -0.37, np.float32)
    yield "positive", np.abs(plain) + np.float32(0.5)
    spike = plain * np.float32(0.01)
    spike[5] = -40.0
    yield "one spike", spike.astype(np.float32)
    yield "largest", (plain / np.abs(plain).max() * 65000).astype(np.float32)
    tie = np.where(np.arange(length) % 2 == 0, 1.0, -1.0).astype(np.float32)
    yield "two peaks", tie


def dequantize_cases():
    for name in SMALL + LARGE:
        for case, block in blocks_of(name):
            yield {"format": name, "case": case, "bytes": hexed(block), "weights": hexed(gguf.dequantize(block, T[name]))}
    bits = np.array([0, 0x8000, 1, 0x03ff, 0x0400, 0x3c00, 0xbc01, 0x7bff, 0x7c00, 0xfc00, 0x7f80, 0xff7f, 0x4049], np.uint16)
    for name in ["F16", "BF16"]:
        weights = gguf.dequantize(bits.view(np.uint8) if name == "BF16" else bits, T[name])
        yield {"format": name, "case": "chosen bits", "bytes": hexed(bits), "weights": hexed(weights)}


def quantize_cases():
    for name in SMALL:
        for case, row in rows_of(32):
            yield {"format": name, "case": case, "weights": hexed(row), "bytes": hexed(gguf.quantize(row, T[name]))}
    chosen = np.array([0.0, -0.0, 1.0, -1.0, 1e-45, 1e-40, 6e-8, 5.96e-8, 1.0009765, 1.00048828125, 1.00146484375, 65504.0,
                       65519.0, 3.3e38, np.inf, -np.inf, 0.1, -1234.567], np.float32)
    for name in ["F16", "BF16"]:
        with np.errstate(over="ignore"):
            yield {"format": name, "case": "chosen", "weights": hexed(chosen), "bytes": hexed(gguf.quantize(chosen, T[name]))}


def k_quantize_cases(program):
    for name in LARGE:
        for case, row in rows_of(256):
            ours = subprocess.run([program, name], input=row.tobytes(), stdout=subprocess.PIPE, check=True).stdout
            weights = gguf.dequantize(np.frombuffer(ours, np.uint8), T[name])
            yield {"format": name, "case": case, "weights": hexed(row), "bytes": ours.hex(), "decoded": hexed(weights)}


def activation_cases():
    """Q8_1 and Q8_K by hand."""
    codes = random.integers(-127, 128, 32, dtype=np.int8)
    for d in [0.0123, -0.75, 3e-7]:
        half = np.float16(d)
        block = f16(d) + f16(np.float32(half) * codes.sum(dtype=np.int32)) + codes.tobytes()
        weights = np.float32(half) * codes.astype(np.float32)
        yield {"format": "Q8_1", "case": f"scale {d}", "bytes": block.hex(), "weights": hexed(weights)}
    codes = random.integers(-127, 128, 256, dtype=np.int8)
    sums = codes.reshape(16, 16).sum(axis=1, dtype=np.int16)
    for d in [0.0123, -1e-30]:
        block = struct.pack("<f", d) + codes.tobytes() + sums.tobytes()
        yield {"format": "Q8_K", "case": f"scale {d}", "bytes": block.hex(), "weights": hexed(np.float32(d) * codes.astype(np.float32))}


def main():
    golden = {"dequantize": list(dequantize_cases()) + list(activation_cases()), "quantize": list(quantize_cases()),
              "k_quantize": list(k_quantize_cases(sys.argv[1]))}
    path = Path(__file__).parent.parent / "tests" / "golden" / "quant.json"
    text = json.dumps(golden, indent=0) + "\n"
    if "--check" in sys.argv[2:]:
        if path.read_text() != text:
            sys.exit(f"{path} differs from what gguf {version('gguf')} gives; run this script without --check and look at the change")
        print({name: len(cases) for name, cases in golden.items()}, "cases agree with gguf", version("gguf"))
        return
    path.write_text(text)
    print({name: len(cases) for name, cases in golden.items()}, path.stat().st_size, "bytes")


main()
