/**
 * The program: parse, plan, run, exit code. The only place that ends the process.
 *
 * @module
 */
import { chooseAuthorities, main, systemHost } from "@/cli/mod.ts";
import { runSession } from "@/session/mod.ts";
import agentSource from "./build/agent.js" with { type: "text" };
import shims from "./build/shims.json" with { type: "json" };
import { AGENT_IMAGE, VERSION } from "./version.ts";

const host = systemHost({
  version: VERSION,
  reportTo: "https://github.com/telepresence/telepresence-deno/issues",
  exit: Deno.exit,
  run: (flags, around) =>
    runSession(flags, {
      ...around,
      version: VERSION,
      chooseAuthorities,
      agentSource,
      agentImage: AGENT_IMAGE,
      shim: shimFor(Deno.build),
    }),
});

// Everything was given back when `main` returns; a timer that somebody forgot is not to hold up the user's prompt.
Deno.exit(await main(Deno.args, host));

/** The preload library for this machine, where we have one. */
function shimFor({ os, arch }: typeof Deno.build): Uint8Array<ArrayBuffer> | undefined {
  const text = os === "linux" ? (shims as Record<string, string>)[arch] : undefined;
  return text === undefined ? undefined : Uint8Array.fromBase64(text);
}
