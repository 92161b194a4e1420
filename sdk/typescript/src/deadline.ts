/** When a call ends whatever its state: its time is over, or its caller aborts it. */

import { TimeoutError } from './errors.js';

/** Longest delay that timers take, in milliseconds; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Deadline {
  readonly #controller = new AbortController();
  readonly #timeout: number;
  readonly #caller: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #end = 0;
  #expired = false;

  /** Starts the clock. */
  constructor(timeout: number, caller: AbortSignal | undefined) {
    this.#timeout = timeout;
    this.#caller = caller;
    if (caller?.aborted) this.#onAbort();
    caller?.addEventListener('abort', this.#onAbort, { once: true });
    this.restart();
  }

  /** For `fetch`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Milliseconds until the time is over. */
  get left(): number {
    return this.#end - Date.now();
  }

  /** Gives the whole time again. */
  restart(): void {
    clearTimeout(this.#timer);
    this.#end = Date.now() + this.#timeout;
    if (this.#timeout <= MAX_TIMER_MS) this.#timer = setTimeout(() => this.#expire(), this.#timeout);
  }

  /** Stops the clock until the next restart; the caller may still abort. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  /** Forgets timer and caller; the call has ended. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#onAbort);
  }

  /** Ends the call's request. */
  cancel(): void {
    this.stop();
    this.#controller.abort();
  }

  /** What ended the call, as an error; undefined when something else did. */
  fault(requestId: string): unknown {
    if (this.#expired) return new TimeoutError(`no answer within ${this.#timeout} ms`, requestId);
    return this.#caller?.aborted ? this.#caller.reason : undefined;
  }

  /** Waits; rejects with the fault when the call ends before. */
  async sleep(milliseconds: number, requestId: string): Promise<void> {
    const { signal } = this;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(wake, milliseconds);
      function wake(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      }
      signal.addEventListener('abort', wake);
      if (signal.aborted) wake();
    });
    if (signal.aborted) throw this.fault(requestId);
  }

  #expire(): void {
    this.#expired = true;
    this.#controller.abort();
  }
}
