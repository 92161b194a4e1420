"""Texts for golden_tokenizer_families.py: what its small vocabularies are trained on, and what they are asked."""

import random

SENTENCES = [
    "The capital of France is Paris, and the capital of Japan is Tokyo.",
    "It's what we'd call a language model; they're trained, you've seen it, I'm sure she'll do it and he doesn't.",
    "IT'S WHAT WE'D CALL A MODEL, THEY'RE TRAINED, YOU'VE SEEN IT, I'M SURE SHE'LL DO IT, DON'T YOU?",
    "In 2024, 1234567 people ran 42.195 km for $1,250.00 on 12/31/1999 at 10:30; 100% of 256 and 1000 and 2000.",
    "def tokenize(text, special=True):\n    if text == '':\n        return []\n    return [piece for piece in text.split(' ')]  # comment\n",
    "fn main() -> Result<(), Error> {\n\tlet value = map.get(&key)?;\n\tprintln!(\"{value:?}\");\n\tOk(())\n}\n",
    "<div class=\"row\">&nbsp;</div>\r\n<p>https://example.com/path?query=value#part</p>\r\n",
    "Größe, Übermaß, naïve café, piñata, façade, crème brûlée, Ærø, Łódź, İstanbul.",
    "Cafe\u0301 nai\u0308ve a\u0300 e\u0301 u\u0308 o\u0302: combining marks after plain letters.",
    "Быстрая коричневая лиса перепрыгивает через ленивую собаку. Привет, мир!",
    "Η γρήγορη αλεπού πηδάει πάνω από το σκυλί. ΣΊΣΥΦΟΣ σίσυφος",
    "快速的棕色狐狸跳过了懒狗。你好,世界!机器学习模型的词表。",
    "素早い茶色の狐は怠け者の犬を飛び越えます。ひらがなとカタカナのテキスト。",
    "빠른 갈색 여우가 게으른 개를 뛰어넘습니다. 한국어 텍스트입니다.",
    "مرحبا بالعالم، هذا نص عربي قصير للتجربة. ١٢٣٤٥",
    "שלום עולם, זה טקסט קצר בעברית לניסיון.",
    "नमस्ते दुनिया, यह एक छोटा हिन्दी वाक्य है। १२३",
    "สวัสดีชาวโลก นี่คือข้อความภาษาไทยสั้นๆ",
    "😀 😂 👍 👍🏽 ❤️ 🎉 👩‍👩‍👧‍👦 🇫🇷 🚀 emoji in a row 😀😀😀",
    "whitespace  two   three    four        eight\t\ttabs\n\n\nlines   ",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name ORDER BY 2 DESC;",
    "camelCase PascalCase HTTPServer parseXMLDocument snake_case SCREAMING_CASE kebab-case iPhone",
    "...!!!??? --- === *** ### (a) [b] {c} <d> ~ ^ | ` @ # $ % & \\ /",
]
WORDS = ("token tokens tokenizer tokenizers encoding encoder decode decoder decoded language languages model models training "
         "trained sequence sequences prefill decode page pages block blocks kernel kernels tenant tenants request requests").split()

CORPUS = [sentence for count, sentence in enumerate(SENTENCES) for _ in range(2 + count % 3)]
CORPUS += [f"The {a} and the {b} are {a}ing {b}s, {number} times." for number, (a, b) in
           enumerate(zip(WORDS, WORDS[3:] + WORDS[:3]), start=97)]

TEXTS = [
    "", " ", "  ", "\n", "\t", "a", "Hello, world!", "The capital of France is Paris.",
    # Contractions in every case, straight and curly, and the long s that folds to s.
    "I'm you're they've we'll he'd she's don't I'M YOU'RE THEY'VE WE'LL HE'D SHE'S DON'T I'Ll 'Tis '\u017f it'\u017f l\u2019été don\u2019t",
    # Runs of digits of 1 to 10, in several scripts.
    "1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890",
    "1,234,567.89 3.14 -42 1e10 0x1F v2.0.1 2024-12-31 ١٢٣٤٥ १२३ ½ ² Ⅷ ④ a1b22c333d4444",
    # White space.
    "  leading", "trailing  ", "   both   ", " a  b   c    d     e", "\ta\t\tb\t\t\tc", "a\nb\n\nc\n\n\nd\n", "\r\nwin\r\n\r\ndows\r\n",
    " \n \n\n  \t\n x", "x \t y\u00a0z\u3000w\u2003v\u2028u\u0085t", "a        b                c", "\n\n\n    indented\n", "\u3000\u3000x \u3000 y",
    # Marks, scripts, directions.
    "Cafe\u0301 e\u0301\u0302 a\u0300\u0301\u0327 \u0301alone \u1E9B\u0323 nai\u0308ve \u212b \u2126 ﬁﬂ",
    "naïve café Übermaß piñata İstanbul ıI ŁÓDŹ ΣΊΣΥΦΟΣ ς ǅ ẞ",
    "快速的棕色狐狸。你好,世界!", "素早い茶色の狐カタカナひらがなガｶﾞｶ", "빠른 갈색 여우 한국어", "\u1112\u1161\u11ab글",
    "مرحبا بالعالم، ﷺ נסיון שלום עולם", "नमस्ते दुनिया คือข้อความ ภาษา", "Привет мир! Быстрая Лиса Η γρήγορη", "mixed混合ミックスمختلطсмесь混123abcдва",
    # Emoji: skin tones, joined families, flags, keycaps, variation selectors.
    "😀", "👍🏽👍🏿 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷🇩🇪 1️⃣ ❤️ ☺", "😀😀😀 text😂text 🚀!",
    # Control characters and others that are not seen.
    "a\u0000b\u0000\u0001\u0002\u001f\u007f\u009fc", "zero\u200bwidth\u200djoin\ufeffbom\u00adsoft\ufffdrepl\ue000priv\u2066iso\u2069",
    # Words that never end, and words in odd cases.
    "a" * 70, "=" * 33, " " * 40 + "x", "ab" * 30, "é" * 25, "漢" * 20, "supercalifragilisticexpialidocious" * 3, "A" * 40 + "a",
    "camelCase PascalCase HTTPServer parseXMLDocument iPhone's ABC'Sd aB'LL", "x" * 99 + " " + "y" * 100 + " " + "z" * 101,
    # Code, marks, addresses.
    "def f(x):\n    if x == 0:\n        return [1, 2]  # ok\n", "fn main() { println!(\"{:?}\", a::<T>()); }\n/path/to//file/\n\n",
    "$100 €50 a+b=c <=> ~^|` @#%&*()_-{}[]\\/ ...!!!??? “q” «g» — –", "<div>&nbsp;</div> https://example.com/a?b=c#d u@e.org",
    # Tokens that no merge makes.
    "zqxj azqxj zqxj unmergeable Whole unmergeables",
    # Special tokens and what looks like them.
    "<|im_start|>user\nHi<|im_end|>\n", "a<|endoftext|>b <|im_end|> <|im_end <|im_start|><|im_start|>",
    "call <tool_call>{\"a\": 1}</tool_call> end <tool_call> x", "[CLS] text [SEP] [MASK] [UNK] <unk> <s> </s> <0x41> <|user|> x <|end|>",
    "\u2581under\u2581score \u2581\u2581 <0x0A>", "    four    spaces     five", "<tool_call>first", "a <tool_call>  b<tool_call><tool_call> ", "     ", "x    ",
]

RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x09, 0x0D), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F),
          (0x2000, 0x206F), (0x3040, 0x30FF), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x1F300, 0x1F64F), (0x61, 0x7A), (0x41, 0x5A)]


def random_texts(count, seed):
    """Texts of mixed scripts; the ranges hold odd characters too."""
    generator = random.Random(seed)
    for _ in range(count):
        text, length = "", generator.randint(1, 40)
        while len(text) < length:
            low, high = generator.choice(RANGES)
            text += "".join(chr(generator.randint(low, high)) for _ in range(generator.randint(1, 5)))
            text += generator.choice(["", "", " ", "  ", "\n", "7", "'s", "1234"])
        yield text
