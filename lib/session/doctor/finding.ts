import { messageOf, UserError } from "@/util/mod.ts";

/** What a check found: one line for the user. */
export interface Finding {
  /** What was looked at: `namespace`, `right to create deployments.apps`. */
  readonly check: string;
  /** `warning`: something that some sessions need; `problem`: no session works like this. */
  readonly state: State;
  /** What was seen, a sentence without its period. */
  readonly says: string;
  /** Next steps that can be pasted; some for everything that is not `ok`. */
  readonly hints: readonly string[];
}

/** How it is, the better first. */
export const STATES = ["ok", "warning", "problem"] as const;
/** How it is. */
export type State = typeof STATES[number];

/** Everything is as it should be. */
export function ok(check: string, says: string): Finding {
  return { check, state: "ok", says, hints: [] };
}

/** Some sessions need something else. */
export function warning(check: string, says: string, hints: readonly string[]): Finding {
  return { check, state: "warning", says, hints };
}

/** No session works. */
export function problem(check: string, says: string, hints: readonly string[]): Finding {
  return { check, state: "problem", says, hints };
}

/** What an error means for a check; `otherwise` are next steps where the error has none of its own. */
export function failed(
  check: string,
  error: unknown,
  otherwise: readonly string[],
  state: "warning" | "problem" = "problem",
): Finding {
  const hints = error instanceof UserError && error.hints.length > 0 ? error.hints : otherwise;
  return { check, state, says: messageOf(error).split("\n").join("; "), hints };
}
