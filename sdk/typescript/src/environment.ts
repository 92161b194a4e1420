/** Environment variables where there are any: browsers have none, and some runtimes refuse to tell. */

interface WithProcess {
  readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> };
}

/** The variable's value; undefined when it is not set or empty. */
export function readEnvironment(name: string): string | undefined {
  try {
    return (globalThis as WithProcess).process?.env?.[name] || undefined;
  } catch {
    return undefined;
  }
}
