/**
 * The pod's end of the tunnel: `deno run agent.js --port N --key PUBLIC_KEY [--grace SECONDS]`. It ends on SIGTERM and
 * SIGINT; with `--grace` also when no host has been there for so long. `deno run agent.js --stdio --port N` joins its
 * standard input and output to such an agent, and ends with either.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { joinStdio, listenForHosts } from "@/agent/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { keepYoungSmall, messageOf } from "@/util/mod.ts";
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
if (!isPort || values.stdio === (values.key !== undefined) || !(grace >= 0)) {
  tell("usage: agent --port PORT (--key PUBLIC_KEY [--grace SECONDS] | --stdio)");
  Deno.exit(2);
}
const stopped = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, () => stopped.abort());
if (values.key === undefined) Deno.exit(await join());
await serve(values.key);
Deno.exit(0);

async function join(): Promise<number> {
  try {
    await joinStdio(port, stopped);
    return 0;
  } catch (error) {
    tell(`Cannot join standard input and output to the agent on port ${port}: ${messageOf(error)}`);
    return 1;
  }
}

async function serve(publicKey: string): Promise<void> {
  const log = makeLog(tell);
  log.info(`Telepresence agent ${VERSION}`);
  await keepYoungSmall();
  await using hosts = listenForHosts(port, {
    publicKey,
    version: VERSION,
    environment: Deno.env.toObject(),
    graceMs: grace * 1000,
    log,
  });
  const stop = new Promise<void>((resolve) => stopped.signal.addEventListener("abort", () => resolve()));
  await Promise.race([stop, ...(values.grace === undefined ? [] : [hosts.abandoned])]);
  log.info(stopped.signal.aborted ? "Ends because it was told to" : `No host for ${grace} s: nobody needs this agent`);
}

function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
