#!/usr/bin/env python3
"""Reference tokens from the models' own tokenizer libraries, for engine/tests/tokenizer_families.rs.

    golden_tokenizer_families.py [--check] [PATH]

No vocabulary of a real model is needed: small ones are trained here on a text that this script holds, with each family's
published pre-tokenizer and normalizer, and written as a model file's metadata would hold them. `--check` computes everything
anew and compares it with the file. Needs `tokenizers` and `sentencepiece` as pinned in requirements.txt.
"""

import argparse
import io
import json
import pathlib
import random
import sys
import tempfile

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tokenizer_texts import CORPUS, TEXTS, random_texts

GOLDEN = pathlib.Path(__file__).parent.parent / "tests/golden/tokenizer_families.json"
TYPES = {"normal": 1, "unknown": 2, "control": 3, "user defined": 4, "unused": 5, "byte": 6}
CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
USER_DEFINED = ["<tool_call>", "</tool_call>"]

# The rules as the models' tokenizer.json files have them.
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
END = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{SHORT}|{LETTERS}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{END}"
QWEN2 = rf"{SHORT}|{LETTERS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{END}"
QWEN35 = rf"{SHORT}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{END}"
ONE, TWO = rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
TEKKEN = rf"{ONE}|{TWO}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{END}"
GPT4O = rf"{ONE}{SHORT}?|{TWO}{SHORT}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{END}"
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
             rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{END}")


def split(*patterns):
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]


def byte_level(*stages, use_regex=False):
    return pre_tokenizers.Sequence([*stages, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)])


# Name in the model file: pre-tokenizer, normalizer, whether whole words are taken before merges (ignore_merges).
FAMILIES = {
    "gpt-2": (byte_level(use_regex=True), None, False),
    "smollm": (byte_level(pre_tokenizers.Digits(individual_digits=True), use_regex=True), None, False),
    "llama-bpe": (byte_level(*split(LLAMA3)), None, True),
    "dbrx": (byte_level(*split(LLAMA3)), None, False),
    "qwen2": (byte_level(*split(QWEN2)), normalizers.NFC(), False),
    "qwen35": (byte_level(*split(QWEN35)), normalizers.NFC(), False),
    "tekken": (byte_level(*split(TEKKEN)), None, True),
    "gpt-4o": (byte_level(*split(GPT4O)), None, False),
    "deepseek-v3": (byte_level(*split(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3)), None, False),
    "deepseek-coder": (
        byte_level(
            *split(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥\u0800-一가-\ud7ff]+"),
            pre_tokenizers.Digits(individual_digits=True),
        ), None, False),
}


def train_bytes(vocabulary):
    """One byte-level vocabulary for all families, of words as they stand between spaces: so it has tokens that cross the
    borders of every family's pieces, and a border in the wrong place shows."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level(*split(r"\s?\S+|\s+"))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, show_progress=False, special_tokens=[],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=12)
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab = dict(model["vocab"])
    # Tokens that no merge makes: only `ignore_merges` finds them, and only where they are a piece as a whole.
    for whole in ["zqxj", "Ġunmergeable", "ĠWhole"]:
        vocab[whole] = len(vocab)
    return vocab, [tuple(merge) for merge in model["merges"]]


def family(vocab, merges, name, special):
    pre_tokenizer, normalizer, ignore_merges = FAMILIES[name]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in USER_DEFINED])
    # Added in both cases so that ids agree; `encode_special_tokens` makes their text plain text.
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in CONTROL])
    tokenizer.encode_special_tokens = not special
    return tokenizer


def golden_bytes(texts):
    vocab, merges = train_bytes(700)
    tokens = sorted(vocab, key=vocab.get) + USER_DEFINED + CONTROL
    kinds = ["normal"] * len(vocab) + ["user defined"] * len(USER_DEFINED) + ["control"] * len(CONTROL)
    cases = []
    for special in [False, True]:
        built = {name: family(vocab, merges, name, special) for name in FAMILIES}
        found = [[tuple(tokenizer.encode(text).ids) for tokenizer in built.values()] for text in texts]
        cases.append([grouped(list(built), ids) for ids in found])
    names = list(FAMILIES)
    for index, one in enumerate(names):
        for other in names[index + 1:]:
            same = all(group_of(case, one) == group_of(case, other) for case in cases[0])
            assert not same, f"the texts do not tell {one} from {other}"
    generator = random.Random(11)
    tokenizer = family(vocab, merges, "gpt-2", True)
    decoded = []
    for _ in range(40):
        ids = [generator.randrange(256) for _ in range(generator.randint(1, 12))]
        decoded.append({"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False)})
    return {
        "spec": {
            "model": "gpt2", "tokens": tokens, "types": [TYPES[kind] for kind in kinds],
            "merges": [" ".join(merge) for merge in merges],
        },
        "as_text": cases[0],
        "parsed": [case if case != plain else None for case, plain in zip(cases[1], cases[0])],
        "decoded": decoded,
    }


def grouped(names, outputs):
    """Families with the same tokens share one entry: `name name: id id`."""
    groups = {}
    for name, ids in zip(names, outputs):
        groups.setdefault(ids, []).append(name)
    return {" ".join(members): list(ids) for ids, members in groups.items()}


def group_of(case, name):
    return next(ids for members, ids in case.items() if name in members.split())


def train_sentencepiece(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, num_threads=1, minloglevel=2, **options)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()), model.getvalue()


def kind(processor, token):
    for name, test in [("unknown", processor.is_unknown), ("control", processor.is_control),
                       ("unused", processor.is_unused), ("byte", processor.is_byte)]:
        if test(token):
            return name
    return "user defined" if processor.id_to_piece(token) in SENTENCE_USER_DEFINED else "normal"


SENTENCE_USER_DEFINED = ["<tool_call>", "\u2581\u2581\u2581\u2581"]
SENTENCE_CONTROL = ["<|user|>", "<|end|>"]


def sentence_spec(processor, model):
    """Tokens, scores and types as a converter writes them; of user-defined tokens with plain spaces."""
    pieces = range(processor.get_piece_size())
    kinds = [kind(processor, token) for token in pieces]
    texts = [processor.id_to_piece(token) for token in pieces]
    tokens = [text.replace("\u2581", " ") if kind == "user defined" else text for text, kind in zip(texts, kinds)]
    return {
        "model": model, "tokens": tokens, "types": [TYPES[kind] for kind in kinds],
        "scores": [processor.get_score(token) for token in pieces],
        "bos": processor.bos_id(), "eos": processor.eos_id(), "unknown": processor.unk_id(),
    }


def sentence_cases(processor, texts):
    cases = [processor.encode(text) for text in texts]
    decoded = [processor.decode(ids) for ids in cases]
    return {"as_text": cases, "decoded": [text if text != whole else None for text, whole in zip(decoded, texts)]}


def golden_llama(texts):
    """BPE with byte fallback, with a space in front of every text (Llama 2, Mistral, Phi-3) and without (Gemma)."""
    processor, model = train_sentencepiece(
        model_type="bpe", vocab_size=800, byte_fallback=True, character_coverage=0.995, split_digits=True,
        allow_whitespace_only_pieces=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=SENTENCE_USER_DEFINED, control_symbols=SENTENCE_CONTROL)
    # A later field of a protocol buffer wins: the normalizer's description (3) with add_dummy_prefix (3) = false.
    bare = sentencepiece.SentencePieceProcessor(model_proto=model + b"\x1a\x02\x18\x00")
    return {
        "spec": sentence_spec(processor, "llama"),
        "prefix": sentence_cases(processor, texts),
        "no_prefix": sentence_cases(bare, texts),
    }


# A cut of `nmt_nfkc`, whose compiled form (0.2 MB) is too large to commit: the same kinds of rules in the same format.
RULES = [
    *[(chr(0xFF01 + code), chr(0x21 + code)) for code in range(94)],
    ("\u3000", " "), ("\u00A0", " "), ("\t", " "), ("\n", " "), ("\r", " "), ("\r\n", " "), ("\u2003", " "), ("\u200B", " "),
    *[(chr(code), "") for code in [*range(1, 9), 0x0B, 0x0E, 0x7F, 0x8F, 0x9F]],
    ("\uFB01", "fi"), ("\uFB02", "fl"), ("\u00BD", "1\u20442"), ("\u2167", "VIII"), ("\u2026", "..."), ("\u00B2", "2"),
    ("e\u0301", "é"), ("a\u0300", "à"), ("a\u0300\u0301", "à\u0301"), ("u\u0308", "ü"), ("\uFF76\uFF9E", "ガ"), ("\uFF76", "カ"),
    ("\uFDFA", "صلى الله عليه وسلم"), ("\u1E9B\u0323", "ṩ"), ("\u2126", "Ω"), ("\u212A", "K"),
]


def golden_unigram(texts):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as rules:
        for source, target in RULES:
            rules.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
        rules.flush()
        processor, model = train_sentencepiece(
            model_type="unigram", vocab_size=500, character_coverage=0.995, normalization_rule_tsv=rules.name,
            user_defined_symbols=["<tool_call>"], control_symbols=SENTENCE_CONTROL, pad_id=3)
    spec = sentence_spec(processor, "t5")
    spec["charsmap"] = charsmap(model).hex()
    spec["padding"] = processor.pad_id()
    return {"spec": spec, "prefix": sentence_cases(processor, texts)}


def fields(message):
    """The length-delimited fields of a protocol buffer, which is what a SentencePiece model is."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 2:
            length = number()
            yield key >> 3, message[at:at + length]
            at += length
        else:
            at += {1: 8, 5: 4}.get(key & 7, 0)
            if key & 7 == 0:
                number()


def charsmap(model):
    """The compiled character map: field 2 of the normalizer's description, field 3 of the model."""
    normalizer = next(data for field, data in fields(model) if field == 3)
    return next((data for field, data in fields(normalizer) if field == 2), b"")


BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def bert_vocabulary():
    """Characters, and the most frequent beginnings and insides of words. (The library's trainer orders equal counts by
    chance, so its vocabulary differs from run to run.)"""
    counts = {}
    normalizer, splitter = normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()
    for text in [*CORPUS, *[text.lower() for text in CORPUS]]:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            for start in range(len(word)):
                for end in range(start + 1, min(start + 8, len(word)) + 1):
                    piece = ("##" if start else "") + word[start:end]
                    counts[piece] = counts.get(piece, 0) + 1
    characters = sorted(piece for piece in counts if len(piece.removeprefix("##")) == 1 and counts[piece] > 2)
    longer = sorted(counts.keys() - set(characters), key=lambda piece: (-counts[piece] * len(piece), piece))
    return [*BERT_SPECIAL, *characters, *[piece for piece in longer if len(piece.removeprefix("##")) > 1][:400]]


def golden_bert(texts):
    tokens, special = bert_vocabulary(), BERT_SPECIAL
    vocab = {token: number for number, token in enumerate(tokens)}
    cases = {}
    for name, options in {"uncased": {"lowercase": True}, "cased": {"lowercase": False},
                          "accents": {"lowercase": True, "strip_accents": False}}.items():
        tokenizer = Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(**options)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        cases[name] = [tokenizer.encode(text).ids for text in texts]

    def spelled(token):
        """As the converter writes it: U+2581 in front of a word, nothing in front of what is inside one."""
        if token in special:
            return token
        return token[2:] if token.startswith("##") else "\u2581" + token

    return {
        "spec": {
            "model": "bert", "tokens": [spelled(token) for token in tokens],
            "types": [TYPES["control" if token in special else "normal"] for token in tokens],
            "unknown": vocab["[UNK]"], "classify": vocab["[CLS]"], "separator": vocab["[SEP]"],
            "padding": vocab["[PAD]"], "mask": vocab["[MASK]"],
        },
        **cases,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    parser.add_argument("path", nargs="?", default=GOLDEN, type=pathlib.Path)
    arguments = parser.parse_args()
    texts = [*TEXTS, *random_texts(25, seed=5)]
    golden = {
        "source": {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__},
        "texts": texts,
        "byte_level": golden_bytes(texts),
        "sentence_bpe": golden_llama(texts),
        "unigram": golden_unigram(texts),
        "word_piece": golden_bert(texts),
    }
    written = json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n"
    if not arguments.check:
        arguments.path.write_text(written, encoding="utf-8")
    elif arguments.path.read_text(encoding="utf-8") != written:
        sys.exit(f"{arguments.path} is not what the libraries give now; run this script without --check and look at the difference")


if __name__ == "__main__":
    main()
