//! An open model: everything that the file says, checked once and shared by all engines that run it.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::error::{EngineError, LoadError};
use crate::{
    chat_template::ChatTemplate,
    gguf::{Gguf, Metadata, MetadataError, TensorInfo},
    kernels::{KernelChoice, Kernels},
    model::{Decoder, Task, Transformer},
    ops::product::{Precision, Products},
    team::Team,
    tokenizer::{FimTokens, TokenId, TokenRoles, Tokenizer, TokenizerSpec},
    weights::{MappedModel, PackedIn, PackedModel, PackedState, Weights},
};

/// How a model is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// Which inner loops run; the default takes the best that this CPU has.
    pub kernels: KernelChoice,
    /// How products round; the default is fast.
    pub precision: Precision,
    /// Where the weights are kept in the form that products are fastest with; the default is memory. Exact products use
    /// the file.
    pub packed: PackedIn,
}

/// What a model file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// `general.name`, or the file's stem.
    pub name: String,
    /// `general.architecture`, for example `llama`.
    pub architecture: String,
    /// Whether it generates text or only embeds it.
    pub task: Task,
    /// Whether it was trained for embedding: an encoder, or a decoder whose file says how to pool.
    pub embeds: bool,
    /// Numbers of a vector that it embeds a text in.
    pub embedding_length: usize,
    /// The format that most of the weights have, for example `Q4_1`.
    pub quantization: String,
    /// Number of weights.
    pub parameters: u64,
    /// Tokens that the model was trained to hold in one sequence.
    pub context_length: usize,
    /// Number of tokens in the vocabulary: the length of a row of logits.
    pub vocab_size: usize,
    /// Size of the file.
    pub file_bytes: u64,
}

/// An open model: weights mapped from the file, transformer, tokenizer and chat template.
#[derive(Debug)]
pub struct Model {
    info: ModelInfo,
    weights: PackedModel,
    kernels: Kernels,
    precision: Precision,
    transformer: Transformer,
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
}

impl Model {
    /// Maps the GGUF file at `path` and checks everything that a step relies on. The file must not change while the
    /// model is open.
    pub fn open(path: &Path, options: &ModelOptions) -> Result<Arc<Model>, LoadError> {
        let kernels = Kernels::select(options.kernels)?;
        let file = MappedModel::open(path)?;
        let name = || path.display().to_string();
        let metadata = file.metadata();
        let transformer = Transformer::new(file.gguf(), &file)
            .map_err(|source| LoadError::Model { file: name(), source })?;
        let spec = tokenizer_spec(metadata)
            .map_err(|source| LoadError::TokenizerMetadata { file: name(), source })?;
        let tokenizer = Tokenizer::new(&spec)
            .map_err(|source| LoadError::Tokenizer { file: name(), source })?;
        let (tokens, rows) = (tokenizer.vocab_size(), transformer.vocab_size());
        if tokens != rows {
            return Err(LoadError::Vocabulary { file: name(), tokens, rows });
        }
        let chat_template = metadata
            .optional_string("tokenizer.chat_template")
            .map_err(|source| LoadError::TokenizerMetadata { file: name(), source })?
            .map(|source| chat_template(source, &tokenizer));
        let info = info(path, &file, &transformer);
        let packed = match options.precision {
            Precision::Fast => &options.packed,
            Precision::Exact => &PackedIn::File,
        };
        let weights = PackedModel::new(file, packed);
        Ok(Arc::new(Model {
            info,
            weights,
            kernels,
            precision: options.precision,
            transformer,
            tokenizer,
            chat_template,
        }))
    }

    /// What the file says about itself.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The file's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The file's chat template; `None` when it has none.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat_template.as_ref()
    }

    /// Where the packed weights are.
    pub fn packed(&self) -> &PackedState {
        self.weights.state()
    }

    /// The inner loops in use.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    pub(super) fn products<'t>(&self, team: &'t Team) -> Products<'t> {
        Products { kernels: self.kernels, precision: self.precision, team }
    }

    pub(super) fn transformer(&self) -> &Transformer {
        &self.transformer
    }

    /// The transformer, when it has logits.
    pub(super) fn decoder(&self) -> Result<&Decoder, EngineError> {
        let architecture = self.transformer.config().architecture();
        self.transformer.decoder().ok_or(EngineError::NotGenerative { architecture })
    }

    pub(super) fn weights(&self) -> &dyn Weights {
        &self.weights
    }
}

fn info(path: &Path, file: &MappedModel, transformer: &Transformer) -> ModelInfo {
    let metadata = file.metadata();
    let stem =
        || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name =
        metadata.optional_string("general.name").ok().flatten().filter(|name| !name.is_empty());
    ModelInfo {
        name: name.map_or_else(stem, str::to_owned),
        architecture: transformer.config().architecture().to_owned(),
        task: transformer.config().task,
        embeds: transformer.config().task == Task::Embed || names_pooling(metadata),
        embedding_length: transformer.config().embedding,
        quantization: quantization(file.gguf()),
        parameters: file.gguf().tensors.iter().map(TensorInfo::weights).sum(),
        context_length: transformer.config().context_length,
        vocab_size: transformer.vocab_size(),
        file_bytes: file.file_bytes(),
    }
}

/// Whether the file says how a text's states become one vector; 0 stands for not at all.
fn names_pooling(metadata: &Metadata) -> bool {
    let architecture = metadata.optional_string("general.architecture").ok().flatten();
    let key = format!("{}.pooling_type", architecture.unwrap_or_default());
    matches!(metadata.optional_u32(&key), Ok(Some(1..)))
}

/// The format that most of the weights have.
fn quantization(gguf: &Gguf) -> String {
    let mut weights: HashMap<&str, u64> = HashMap::new();
    for tensor in &gguf.tensors {
        *weights.entry(tensor.format.name()).or_default() += tensor.weights();
    }
    let most = weights.into_iter().max_by_key(|&(name, weights)| (weights, name));
    most.map(|(name, _)| name.to_owned()).unwrap_or_default()
}

/// What the metadata say about the tokenizer.
fn tokenizer_spec(metadata: &Metadata) -> Result<TokenizerSpec, MetadataError> {
    let flag = |key: &str| metadata.optional_bool(&format!("tokenizer.ggml.{key}"));
    let name = metadata.optional_string("general.name")?.unwrap_or_default().to_lowercase();
    Ok(TokenizerSpec {
        model: metadata.string("tokenizer.ggml.model")?.to_owned(),
        pre: metadata.optional_string("tokenizer.ggml.pre")?.map(str::to_owned),
        tokens: metadata.strings("tokenizer.ggml.tokens")?.to_vec(),
        scores: metadata.optional_f32s("tokenizer.ggml.scores")?.unwrap_or_default().to_vec(),
        types: metadata.optional_i32s("tokenizer.ggml.token_type")?.unwrap_or_default(),
        merges: metadata.optional_strings("tokenizer.ggml.merges")?.unwrap_or_default().to_vec(),
        charsmap: metadata
            .optional_bytes("tokenizer.ggml.precompiled_charsmap")?
            .unwrap_or_default(),
        roles: token_roles(metadata)?,
        add_bos: flag("add_bos_token")?,
        add_eos: flag("add_eos_token")?,
        add_separator: flag("add_sep_token")?,
        add_space_prefix: flag("add_space_prefix")?,
        remove_extra_whitespaces: flag("remove_extra_whitespaces")?,
        lowercase: flag("normalizer.lowercase")?,
        strip_accents: flag("normalizer.strip_accents")?,
        strip_after_control: ["phi-3", "phi3"].iter().any(|family| name.contains(family)),
    })
}

/// The tokens that the metadata give a part to play.
fn token_roles(metadata: &Metadata) -> Result<TokenRoles, MetadataError> {
    let id = |key: &str| metadata.optional_u32(&format!("tokenizer.ggml.{key}_token_id"));
    Ok(TokenRoles {
        bos: id("bos")?,
        eos: id("eos")?,
        other_ends: [id("eot")?, id("eom")?].into_iter().flatten().collect(),
        unknown: id("unknown")?,
        separator: id("seperator")?,
        classify: id("cls")?,
        padding: id("padding")?,
        mask: id("mask")?,
        fim: FimTokens {
            prefix: id("fim_pre")?,
            suffix: id("fim_suf")?,
            middle: id("fim_mid")?,
            padding: id("fim_pad")?,
            repository: id("fim_rep")?,
            file: id("fim_sep")?,
        },
    })
}

fn chat_template(source: &str, tokenizer: &Tokenizer) -> ChatTemplate {
    let text = |id: Option<TokenId>| id.map(|id| tokenizer.decode(&[id])).unwrap_or_default();
    ChatTemplate::new(source.to_owned(), text(tokenizer.bos()), text(tokenizer.eos()))
}
