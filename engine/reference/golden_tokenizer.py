#!/usr/bin/env python3
"""Reference tokens from llama.cpp's tokenizer on a model file, for engine/tests/tokenizer_golden.rs.

    target/reference/bin/python engine/reference/golden_tokenizer.py MODEL.gguf engine/tests/golden/tokenizer.json

The virtual environment is that of golden_logits.py. Random texts come from a fixed seed.
"""

import argparse
import json
import random

from llama_cpp import Llama, __version__

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "The capital of France is Paris.",
    "I'm you're they've we'll he'd IT'S DON'T",
    "In 2024, 1,234,567.89 people ran 42.195 km; ½ ² ٣ Ⅷ",
    "x  y   z    w     v\tq\t\tr",
    "line\nline\n\nline\n\n\n\nend\n",
    "\r\n windows \r\n\r\n lines \r",
    "   leading and trailing   ",
    " \n \n\t \n x",
    "naïve café Übermaß piñata Ærø ſ",
    "def f(x):\n    if x == 0:\n        return [1, 2]\n    return {'a': x ** 2}  # comment\n",
    "fn main() -> Result<(), Box<dyn Error>> { println!(\"{:?}\", a::<T>()); }",
    "<div class=\"x\">&nbsp;</div> https://example.com/a?b=c#d user@example.com",
    "😀 👍🏽 👩‍👩‍👧‍👦 🇫🇷 ❤️ 😀😀😀",
    "你好,世界。日本語のテキスト、ひらがなカタカナ 한국어 텍스트",
    "مرحبا بالعالم שלום עולם हिन्दी ไทย தமிழ்",
    "e\u0301 a\u0300\u0301 \u200b\u200d\ufeff \u00a0nbsp\u3000wide\u2003em",
    "$100 €50 £20 ¥1000 a+b=c <=> ~^|` @#%&*()_-{}[]\\/",
    "...!!!???—–‘quotes’ “double” «guillemets»",
    "a" * 300,
    " " * 300 + "x",
    "\n" * 50,
    "ab" * 200,
    "9" * 40,
    "=" * 120,
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "before<|endoftext|>after <|im_end|> <|im_end <|im_start|><|im_start|>",
    "<repo_name>realm<file_sep>src/main.rs<gh_stars>100<reponame><empty_output>",
    "<|IM_START|> <|im_start |>",
]

RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x09, 0x0D), (0xA0, 0x24F), (0x370, 0x5FF), (0x600, 0x6FF),
          (0x900, 0x97F), (0x2000, 0x206F), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0x1F300, 0x1F64F)]


def random_texts(count, seed):
    """Texts of mixed scripts; the ranges hold unassigned and odd characters too."""
    generator = random.Random(seed)
    for _ in range(count):
        text = ""
        while len(text) < generator.randint(1, 60):
            low, high = generator.choice(RANGES)
            text += "".join(chr(generator.randint(low, high)) for _ in range(generator.randint(1, 6)))
            text += generator.choice(["", "", " ", "  ", "\n", "7", "'s"])
        yield text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output")
    arguments = parser.parse_args()
    model = Llama(arguments.model, vocab_only=True, verbose=False)
    cases = []
    for text in [*TEXTS, *random_texts(300, seed=7)]:
        data = text.encode()
        parsed = model.tokenize(data, add_bos=False, special=True) if data else []
        plain = model.tokenize(data, add_bos=False, special=False) if data else []
        case = {"text": text, "parsed": parsed}
        if plain != parsed:
            case["as_text"] = plain
        cases.append(case)
    # This release of the binding gives nothing for pieces of more than 32 bytes.
    pieces = {str(token): list(model.detokenize([token], special=True)) for token in range(0, 49152, 97)}
    pieces = {token: piece for token, piece in pieces.items() if piece}
    golden = {"source": f"llama-cpp-python {__version__}", "cases": cases, "pieces": pieces}
    with open(arguments.output, "w", encoding="utf-8") as output:
        json.dump(golden, output, ensure_ascii=True, separators=(",", ":"))
        output.write("\n")


if __name__ == "__main__":
    main()
