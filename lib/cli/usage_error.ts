/** A command line that has no meaning. It is told after the usage line, in one sentence, and ends with exit code 2. */
export class UsageError extends Error {
  /** What it is called where only its name is known. */
  override readonly name = "UsageError";
  /** What may have been meant, one line each. */
  readonly hints: readonly string[];

  /** An error of one sentence, without a period at its end. */
  constructor(message: string, hints: readonly string[] = []) {
    super(message);
    this.hints = hints;
  }
}
