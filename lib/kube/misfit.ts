import { messageOf } from "@/util/mod.ts";
import * as z from "zod/mini";

/** What a schema expects, in a reader's words. */
const EXPECTED: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  number: "a number",
  object: "a map",
  record: "a map",
  string: "text",
};

/**
 * Where a value does not have the shape that a schema wants, and what was expected there: `users[0].name is not text`.
 * Never the value itself, which may be a secret.
 *
 * @param error what the schema threw
 */
export function describeMisfit(error: unknown): string {
  if (!(error instanceof z.core.$ZodError)) return messageOf(error);
  const [issue] = error.issues;
  const path = (issue?.path ?? []).map((step) => typeof step === "number" ? `[${step}]` : `.${String(step)}`).join("");
  const expected = issue?.code === "invalid_type" ? EXPECTED[issue.expected] : undefined;
  return `${path.replace(/^\./, "") || "it"} is not ${expected ?? "what it should be"}`;
}
