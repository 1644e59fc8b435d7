/**
 * The embedded cluster's command line: `deno run -A tests/cluster/cluster.ts COMMAND`. The README beside says what it
 * is and how it works.
 *
 * @module
 */
import { messageOf, UserError } from "@/util/mod.ts";
import { down } from "./down.ts";
import { loadArchive } from "./images.ts";
import { type Instance, instanceOf } from "./instance.ts";
import { acquireLock } from "./lock.ts";
import { findNode } from "./node.ts";
import { kubeconfigOf } from "./pki.ts";
import { requireLinuxAndRoot } from "./prerequisites.ts";
import { restart } from "./restart.ts";
import { readStatus } from "./status.ts";
import { makeTell, type Tell } from "./tell.ts";
import { up } from "./up.ts";

const USAGE = `usage: cluster.ts COMMAND

  up                  bring the cluster up, building what is not built yet
  down                take it away with all that belongs to it
  status              say how its parts are; ends with 0 only when all is well
  restart COMPONENT   end one component and start it again
  env                 print the shell command that sets KUBECONFIG
  load IMAGE.tar      load a docker-archive image into the node

TELEPRESENCE_CLUSTER names the cluster; without it, it is "main".
`;

/** Does what the words say. @returns the exit status */
async function run(words: readonly string[], instance: Instance, tell: Tell): Promise<number> {
  const [command, argument, ...others] = words;
  const wantsArgument = command === "restart" || command === "load";
  if (command === undefined || others.length > 0 || wantsArgument !== (argument !== undefined)) return usage();
  requireLinuxAndRoot();
  switch (command) {
    case "up":
      await up(instance, tell);
      return 0;
    case "down":
      await down(instance, tell);
      return 0;
    case "status": {
      const { lines, well } = await readStatus(instance);
      print(Deno.stdout, lines.join("\n") + "\n");
      return well ? 0 : 1;
    }
    case "restart":
      await restart(instance, argument ?? "", tell);
      return 0;
    case "env":
      await requireUp(instance);
      print(Deno.stdout, `export KUBECONFIG='${kubeconfigOf(instance, "admin")}'\n`);
      return 0;
    case "load": {
      await requireUp(instance);
      await using _lock = await acquireLock(instance, tell);
      for (const name of await loadArchive(instance, argument ?? "")) tell(`loaded ${name}`);
      return 0;
    }
    default:
      return usage();
  }
}

async function requireUp(instance: Instance): Promise<void> {
  if (await findNode(instance) !== undefined) return;
  throw new UserError(`Cannot use cluster "${instance.name}": it is not up`, { hints: ["make cluster-up"] });
}

function usage(): number {
  print(Deno.stderr, USAGE);
  return 2;
}

function print(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let offset = 0; offset < bytes.length;) offset += to.writeSync(bytes.subarray(offset));
}

if (import.meta.main) {
  const tell = makeTell();
  try {
    Deno.exitCode = await run(Deno.args, instanceOf(Deno.env.get("TELEPRESENCE_CLUSTER") || "main"), tell);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(messageOf(error));
    for (const hint of error.hints) tell(`  hint: ${hint}`);
    Deno.exitCode = 1;
  }
}
