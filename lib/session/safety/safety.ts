import type { ClusterConfig } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import type { Plan } from "../plan/plan.ts";
import { messageOf, reasonOf } from "@/util/mod.ts";
import { resolve } from "node:path";
import { type Guardian, startGuardian } from "./guardian.ts";
import { type Journal, journalDirectory, openJournal } from "./journal.ts";
import { identifyProcess } from "./process_identity.ts";
import { recoverBy, type SessionRecord } from "./record.ts";
import { byHand } from "./undo.ts";

/** What stands behind a session: disposing it comes last. */
export interface Safety extends AsyncDisposable {
  readonly journal: Journal;
  /** Undefined where the program does not know how to start itself again. */
  readonly guardian: Guardian | undefined;
}

/** What opening needs. */
export interface SafetyOptions {
  readonly plan: Plan;
  readonly cluster: ClusterConfig;
  readonly around: {
    readonly log: Log;
    readonly teller: { say(line: string): void };
    readonly env: Readonly<Record<string, string>>;
    readonly home: string;
    onLeftovers(names: () => readonly string[]): void;
    readonly terminal?: string | undefined;
    readonly self?: (args: readonly string[]) => readonly [string, ...string[]];
  };
}

/** The word that starts this program as a guardian. */
export const GUARDIAN = "guardian";

/**
 * Opens the journal and starts the guardian, before the first change.
 *
 * @throws {UserError} when the guardian cannot be started
 */
export async function openSafety({ plan, cluster, around }: SafetyOptions): Promise<Safety> {
  const { log, env, home, self, terminal } = around;
  const directory = journalDirectory(env, home);
  const path = `${directory}/${plan.sessionId}.json`;
  const guardian = self && await startGuardian({ command: self([GUARDIAN]), cluster, path, terminal, log });
  const journal = openJournal(directory, recordOf(plan, cluster, env), { onChange: guardian?.tell, log });
  // It changes nothing, so that it may go on where nothing can be written: then it is in no list.
  if (plan.isThere) await journal.announce().catch((error) => log.info(messageOf(error)));
  around.onLeftovers(() => journal.record.steps.map((step) => byHand(step, plan.namespace)));
  return {
    journal,
    guardian,
    async [Symbol.asyncDispose]() {
      try {
        await journal[Symbol.asyncDispose]();
      } catch (error) {
        around.teller.say(
          `Everything is given back, but ${path} cannot be removed (${reasonOf(error)}): telepresence recover does it`,
        );
      }
      if (journal.record.steps.length === 0) return await guardian?.[Symbol.asyncDispose]();
      if (guardian?.isThere()) around.teller.say("A process in the background goes on trying to give it back.");
      around.teller.say(`Whoever has the rights to give it back can do so from anywhere: ${recoverBy(journal.record)}`);
    },
  };
}

function recordOf(plan: Plan, cluster: ClusterConfig, env: Readonly<Record<string, string>>): SessionRecord {
  const { sessionId, namespace } = plan;
  // Whoever heals does so in another directory.
  const kubeconfig = env["KUBECONFIG"]?.split(":").map((path) => path && resolve(path)).join(":");
  return {
    version: 1,
    sessionId,
    since: new Date().toISOString(),
    by: nameOfUser(env),
    process: identifyProcess(Deno.pid) ?? { pid: Deno.pid, started: "" },
    cluster: {
      context: cluster.contextName,
      server: cluster.server,
      ...(kubeconfig !== undefined && { kubeconfig }),
    },
    namespace,
    doing: doingOf(plan),
    steps: [],
  };
}

/** What a session does, as the user may have asked for it. */
function doingOf({ isThere, original, name }: Plan): string {
  if (isThere) return `--deployment ${name}`;
  return original === undefined ? `--new-deployment ${name}` : `--swap-deployment ${original.kind}/${original.name}`;
}

/** Who runs this, for other people: `user@host`. */
export function nameOfUser(env: Readonly<Record<string, string>>): string {
  return `${env["USER"] ?? env["LOGNAME"] ?? "somebody"}@${Deno.hostname()}`.replace(/\p{C}/gu, "?").slice(0, 200);
}
