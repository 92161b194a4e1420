// Answers in JSON that a schema describes. The server enforces the schema while the model writes, so there is nothing to
// parse and try again. A request whose last message is too long to be a support ticket is refused before the model runs.

/** What the application reads. */
const SCHEMA = {
  type: "object",
  properties: {
    category: { enum: ["billing", "delivery", "account", "other"] },
    urgent: { type: "boolean" },
    summary: { type: "string", maxLength: 120 },
  },
  required: ["category", "urgent", "summary"],
  additionalProperties: false,
};

/** Characters of a ticket. */
const MAX_TICKET = 4000;

/** What the model is told. */
const TASK = "Sort the customer's message. Answer in JSON with category, urgent and summary.";

/** A plan that leaves everything as it is. */
const UNCHANGED = {
  prompt: null,
  route: null,
  sampling: { temperature: null, topP: null, topK: null, minP: null },
  maxTokens: null,
  stop: [],
  bias: [],
  constraint: null,
  redact: [],
  redaction: "",
  wake: [],
  subscribe: { tokens: false, logits: false, response: false },
  every: 0,
  top: 0,
};

export const requestHook = {
  /** Runs before the prompt reaches the model. What it throws refuses the request. */
  onRequest(info, input) {
    if (input.tag !== "chat") {
      throw { status: 400, code: "not_a_conversation", message: "Send messages, not a prompt." };
    }
    const ticket = input.val.filter((message) => message.role === "user").pop();
    if (!ticket || ticket.content.length > MAX_TICKET) {
      const message = `Send one message of at most ${MAX_TICKET} characters.`;
      throw { status: 413, code: "ticket_too_long", message };
    }
    return {
      ...UNCHANGED,
      prompt: { tag: "chat", val: [{ role: "system", content: TASK }, ticket] },
      sampling: { ...UNCHANGED.sampling, temperature: 0 },
      maxTokens: 200,
      constraint: { tag: "json-schema", val: JSON.stringify(SCHEMA) },
    };
  },
};
