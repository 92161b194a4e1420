/** `@querent/realm`: the client of Realm, the language model server for many tenants. */

export { Realm } from './client.js';
export * from './errors.js';
export type { OpenAI, OpenAIOptions } from './openai.js';
export type { Chat } from './resources/chat.js';
export type { Completions } from './resources/completions.js';
export type { Models } from './resources/models.js';
export type { ClientOptions, RequestOptions } from './settings.js';
export type { Piece, TokenStream } from './token-stream.js';
export type {
  ChatAnswer,
  ChatChoice,
  ChatLogprob,
  ChatParams,
  ChatToken,
  TokenLogprob,
} from './types/chat.js';
export type {
  Completion,
  CompletionChoice,
  CompletionLogprobs,
  CompletionParams,
  CompletionToken,
} from './types/completion.js';
export type { EmbeddingParams, Embeddings } from './types/embedding.js';
export type { FinishReason } from './types/finish-reason.js';
export type {
  GenerationParams,
  JsonSchemaFormat,
  ResponseFormat,
  StructuredOutputs,
} from './types/generation.js';
export type {
  AnswerMessage,
  AssistantMessage,
  Content,
  Message,
  TextPart,
  ToolMessage,
} from './types/message.js';
export type { Model, ModelList } from './types/model.js';
export type {
  Detokenized,
  DetokenizeParams,
  TokenizeParams,
  Tokens,
} from './types/tokens.js';
export type { Tool, ToolCall, ToolCallPiece, ToolChoice } from './types/tool.js';
export type { Usage } from './types/usage.js';
export type { JsonObject } from './wire/json.js';
