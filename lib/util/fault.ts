/**
 * An error that the user can do something about: one sentence of the form "Cannot <act> <what>: <state>", and hints
 * that can be pasted into a shell. Anything else that reaches the top is a bug of ours and is told as one.
 */
export class UserError extends Error {
  override readonly name: string = "UserError";
  /** Next steps, one per line; each is a command or a sentence. */
  readonly hints: readonly string[];

  constructor(message: string, options: { hints?: readonly string[]; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : {});
    this.hints = options.hints ?? [];
  }
}

/** The sentence of an error, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

/** An error in the system's words alone: "Permission denied", without the error's number and what was being done. */
export function reasonOf(error: unknown): string {
  return messageOf(error).replace(/ \(os error \d+\).*$/s, "");
}

/**
 * Every error that is inside one: the error itself, its `cause`s, both halves of a `SuppressedError`, all of an
 * `AggregateError`; the outermost first, each once.
 */
export function unfold(error: unknown): unknown[] {
  const seen = new Set<unknown>();
  const visit = (value: unknown) => {
    if (value === undefined || value === null || seen.has(value)) return;
    seen.add(value);
    if (!(value instanceof Error)) return;
    if (value instanceof AggregateError) value.errors.forEach(visit);
    if (value instanceof SuppressedError) {
      visit(value.suppressed); // what happened first, then what the clean-up added
      visit(value.error);
    }
    visit(value.cause);
  };
  visit(error);
  return [...seen];
}
