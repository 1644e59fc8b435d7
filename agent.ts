/**
 * The pod's end of the tunnel: `deno run agent.js --port N --key PUBLIC_KEY [--grace SECONDS]`, or `--stdio` instead of
 * a port. It ends on SIGTERM and SIGINT; with `--grace` also when no host has been there for so long; on standard input
 * and output when the input ends.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { listenForHosts, serveStdio } from "@/agent/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { VERSION } from "./version.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    key: { type: "string" },
    grace: { type: "string" },
    stdio: { type: "boolean", default: false },
  },
});
const port = Number(values.port);
const grace = Number(values.grace ?? 60);
const isPort = Number.isInteger(port) && port >= 0 && port <= 65535;
if (values.key === undefined || values.stdio === isPort || !(grace >= 0)) {
  tell("usage: agent (--port PORT | --stdio) --key PUBLIC_KEY [--grace SECONDS]");
  Deno.exit(2);
}
const log = makeLog(tell);
const stopped = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, () => stopped.abort());
log.info(`Telepresence agent ${VERSION}`);
const options = {
  publicKey: values.key,
  version: VERSION,
  environment: Deno.env.toObject(),
  graceMs: grace * 1000,
  log,
};
if (values.stdio) await serveStdio({ ...options, signal: stopped.signal });
else await servePort();
Deno.exit(0);

async function servePort(): Promise<void> {
  await using hosts = listenForHosts(port, options);
  const stop = new Promise<void>((resolve) => stopped.signal.addEventListener("abort", () => resolve()));
  await Promise.race([stop, ...(values.grace === undefined ? [] : [hosts.abandoned])]);
  log.info(stopped.signal.aborted ? "Ends because it was told to" : `No host for ${grace} s: nobody needs this agent`);
}

function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
