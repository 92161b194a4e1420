//! The published pre-tokenizer rules by the names that model files give (`tokenizer.ggml.pre`).
//!
//! Data only. Look-ahead is left out: `\s+(?!\S)|\s+` is written `|\s+` at the end of an expression, and the splitter
//! leaves the last space of such a run to the next word.

/// GPT-2: contractions, words, numbers and punctuation with one leading space, runs of white space.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";
/// Llama 3: like GPT-2, but numbers in groups of three and line ends kept with what is before them.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
/// Qwen 2: like Llama 3 with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
/// Qwen 3.5: combining marks belong to words.
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
/// Mistral's Tekken: words split where the case changes, single digits.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+";
/// GPT-4o: like Tekken with contractions and numbers in groups of three.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+";
/// DeepSeek V3: numbers, then Chinese and kana, then this.
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+"##;
/// Digits one by one.
const DIGIT: &str = r"\p{N}";
const NUMBER: &str = r"\p{N}+";
const UP_TO_THREE_DIGITS: &str = r"\p{N}{1,3}";
const THREE_DIGITS: &str = r"[0-9][0-9][0-9]";
const PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const LINE_END: &str = r"[\r\n]";
const HAN_AND_KANA: &str = r"[一-龥\u{3040}-ゟ゠-ヿ]+";
/// From U+0800 on, as DeepSeek's own rule has it.
const HAN_TO_HANGUL: &str = r"[一-龥\u{800}-一가-\u{D7FF}]+";

/// What a name means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Applied one after the other, each to the pieces of the one before.
    pub(super) stages: &'static [&'static str],
    /// A run of white space that ends in a line end is a piece of its own, without look-ahead.
    pub(super) keeps_line_ends: bool,
    /// A piece that is a token as a whole is taken before any merge.
    pub(super) whole_words: bool,
    /// Prompts start with BOS when the file does not say.
    pub(super) adds_bos: bool,
    /// Text is brought into normal form C first.
    pub(super) composes: bool,
}

impl Rule {
    const fn new(stages: &'static [&'static str]) -> Self {
        Self {
            stages,
            keeps_line_ends: false,
            whole_words: false,
            adds_bos: false,
            composes: false,
        }
    }

    const fn lines(stages: &'static [&'static str]) -> Self {
        Self { keeps_line_ends: true, ..Self::new(stages) }
    }
}

/// Names that a file may give, and what they mean.
pub(super) const RULES: [(&[&str], Rule); 12] = [
    (&["default"], Rule::new(&[PUNCTUATION, GPT2, NUMBER, THREE_DIGITS])),
    (
        &["gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "a.x-4.0", "mellum", "trillion"],
        Rule::new(&[GPT2]),
    ),
    (
        &["smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b"],
        Rule::new(&[DIGIT, GPT2]),
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        Rule { whole_words: true, adds_bos: true, ..Rule::lines(&[LLAMA3]) },
    ),
    // Phi-4's files say `dbrx`: Llama 3's expression without its whole words.
    (&["dbrx", "smaug-bpe"], Rule::lines(&[LLAMA3])),
    (&["qwen2", "deepseek-r1-qwen", "megrez"], Rule { composes: true, ..Rule::lines(&[QWEN2]) }),
    (&["stablelm2", "hunyuan"], Rule::lines(&[QWEN2])),
    (&["qwen35"], Rule { composes: true, ..Rule::lines(&[QWEN35]) }),
    (&["tekken"], Rule { whole_words: true, adds_bos: true, ..Rule::lines(&[TEKKEN]) }),
    (&["gpt-4o", "llama4"], Rule::lines(&[GPT4O])),
    (
        &["deepseek-v3", "hunyuan-dense"],
        Rule::lines(&[UP_TO_THREE_DIGITS, HAN_AND_KANA, DEEPSEEK3]),
    ),
    (&["deepseek-coder"], Rule::new(&[LINE_END, r"\s?\p{L}+", r"\s?\p{P}+", HAN_TO_HANGUL, DIGIT])),
];
