import { UserError } from "@/util/mod.ts";

/**
 * The images of what the tests call and call from, once made of this machine's files for the embedded cluster (its
 * `images.ts`), once public ones for any other. The agent's own image is the program's business.
 */
export const FIXTURE_IMAGES = {
  /** In the node already; nothing can be pulled there. */
  local: { helloworld: "helloworld:1", tools: "tools:1", pullPolicy: "Never" },
  /** busybox has the web server; the full Python image has sh, curl, wget, getent and python3. */
  public: { helloworld: "busybox:1.37", tools: "python:3.13", pullPolicy: "IfNotPresent" },
} as const;

/** One row of the table. */
export type FixtureImages = (typeof FIXTURE_IMAGES)[keyof typeof FIXTURE_IMAGES];

/**
 * The row for another cluster than the embedded one, which `TELEPRESENCE_TEST_IMAGES` may name.
 *
 * @throws {UserError} when there is no such row
 */
export function foreignImages(env: Readonly<Record<string, string>>): FixtureImages {
  const wanted = env["TELEPRESENCE_TEST_IMAGES"] || "public";
  if (wanted === "public" || wanted === "local") return FIXTURE_IMAGES[wanted];
  const rows = Object.keys(FIXTURE_IMAGES).join(" or ");
  throw new UserError(`Cannot use IMAGES=${wanted}: want ${rows}`);
}
