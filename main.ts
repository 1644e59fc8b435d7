/**
 * The program: parse, plan, run, exit code. The only place that ends the process.
 *
 * @module
 */
import { main, systemHost } from "@/cli/mod.ts";
import { runSession } from "@/session/mod.ts";
import agentSource from "./build/agent.js" with { type: "text" };
import shimBase64 from "./build/shim/libtelepresence.so.b64" with { type: "text" };
import { AGENT_IMAGE, VERSION } from "./version.ts";

/** The machine that the embedded shim was built for (`make shim`). */
const SHIM_ARCH = "x86_64";

const host = systemHost({
  version: VERSION,
  reportTo: "https://github.com/telepresence/telepresence-deno/issues",
  exit: Deno.exit,
  run: (flags, around) =>
    runSession(flags, {
      ...around,
      version: VERSION,
      agentSource,
      agentImage: AGENT_IMAGE,
      shim: Deno.build.os === "linux" && Deno.build.arch === SHIM_ARCH ? Uint8Array.fromBase64(shimBase64) : undefined,
    }),
});

Deno.exitCode = await main(Deno.args, host);
