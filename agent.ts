/**
 * The pod's end of the tunnel: `deno run agent.js --port N --key PUBLIC_KEY`. It ends on SIGTERM and SIGINT.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { listenForHosts } from "@/agent/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { VERSION } from "./version.ts";

const { values } = parseArgs({ options: { port: { type: "string" }, key: { type: "string" } } });
const port = Number(values.port);
if (values.key === undefined || !Number.isInteger(port) || port < 0 || port > 65535) {
  tell("usage: agent --port PORT --key PUBLIC_KEY");
  Deno.exit(2);
}
const log = makeLog(tell);
const stopped = Promise.withResolvers<void>();
for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, stopped.resolve);
log.info(`Telepresence agent ${VERSION}`);
{
  await using _hosts = listenForHosts(port, {
    publicKey: values.key,
    version: VERSION,
    environment: Deno.env.toObject(),
    log,
  });
  await stopped.promise;
}
Deno.exit(0);

function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
