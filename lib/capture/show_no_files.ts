import type { Capture } from "./method.ts";

/** The answer of a method that changes no paths: every file stays where it is on the host. */
export function showNoFiles(method: string): Capture["show"] {
  return ({ files }) => Promise.resolve(files.map(({ pod }) => ({ path: pod, reason: `${method} changes no paths` })));
}
