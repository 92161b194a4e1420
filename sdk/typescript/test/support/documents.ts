/** Documents as Realm writes them. */

const HEAD = { id: 'cmpl-1', created: 1_790_000_000, model: 'm', system_fingerprint: 'realm-0' };
const USAGE = {
  prompt_tokens: 3,
  completion_tokens: 2,
  total_tokens: 5,
  prompt_tokens_details: { cached_tokens: 1 },
};

/** A whole completion. */
export function completion(...texts: string[]): object {
  const choice = (text: string, index: number): object => ({
    index,
    text,
    logprobs: null,
    finish_reason: 'stop',
  });
  return { ...HEAD, object: 'text_completion', choices: texts.map(choice), usage: USAGE };
}

/** An event of a completion. */
export function piece(text: string, finishReason: string | null = null, index = 0): string {
  const choice = { index, text, logprobs: null, finish_reason: finishReason };
  return JSON.stringify({ ...HEAD, object: 'text_completion', choices: [choice], usage: null });
}

/** The event with the token counts. */
export const usageEvent = JSON.stringify({ ...HEAD, choices: [], usage: USAGE });

/** A whole answer of a chat. */
export function chat(message: object, finishReason = 'stop'): object {
  const choice = { index: 0, message, logprobs: null, finish_reason: finishReason };
  return { ...HEAD, object: 'chat.completion', choices: [choice], usage: USAGE };
}

/** An event of a chat. */
export function delta(change: object, finishReason: string | null = null): string {
  const choice = { index: 0, delta: change, logprobs: null, finish_reason: finishReason };
  return JSON.stringify({ ...HEAD, object: 'chat.completion.chunk', choices: [choice] });
}

/** The list of models. */
export function models(...ids: string[]): object {
  const data = ids.map((id) => ({ id, object: 'model', created: 1, owned_by: 'realm' }));
  return { object: 'list', data };
}
