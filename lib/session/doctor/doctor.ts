/**
 * `telepresence doctor`: everything that a session needs, looked at without changing anything, one line for each, with
 * the next step where something is not as it should be.
 *
 * @module
 */
import {
  type Authorities,
  authoritiesOf,
  type ClusterConfig,
  loadKubeconfig,
  openKubeClient,
  type RuntimeAuthorities,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import {
  checkAdmission,
  checkCredentials,
  checkNamespace,
  checkServer,
  checkUpgrade,
  type ClusterOptions,
} from "./cluster_checks.ts";
import { failed, type Finding, ok, STATES } from "./finding.ts";
import { checkJournals, checkObjects } from "./leftover_checks.ts";
import { checkMethods, checkNames, checkVolumes, type Machine } from "./machine_checks.ts";
import { checkRights } from "./rights_checks.ts";

/** Where is looked, and how it is told. */
export interface DoctorWanted {
  readonly context?: string;
  readonly namespace?: string;
  readonly output: "text" | "json";
}

/** What the doctor needs of the program around it. */
export interface DoctorOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly home: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly machine: Machine;
  /** The agent's image. */
  readonly image: string;
  /** As that of a session, told before anything is asked of the API server. */
  chooseAuthorities?(wanted: Authorities): RuntimeAuthorities;
  /** How the API server is spoken to. @default {openKubeClient} */
  readonly openKube?: typeof openKubeClient;
  /** Writes what was asked for to the standard output. */
  print(text: string): void;
}

/** Looks at everything and prints what it found as it comes. @returns the exit code: 255 when there is a problem */
export async function doctor(wanted: DoctorWanted, options: DoctorOptions): Promise<number> {
  const found: Finding[] = [];
  for await (const finding of examine(wanted, options)) {
    found.push(finding);
    if (wanted.output === "text") options.print(textOf(finding));
  }
  const count = (state: Finding["state"]) => found.filter((finding) => finding.state === state).length;
  const counts = Object.fromEntries(STATES.map((state) => [state, count(state)]));
  if (wanted.output === "json") options.print(`${JSON.stringify({ findings: found, counts }, undefined, 2)}\n`);
  else options.print(`${STATES.map((state) => `${count(state)} ${state}`).join(", ")}\n`);
  return count("problem") > 0 ? 255 : 0;
}

async function* examine(wanted: DoctorWanted, options: DoctorOptions): AsyncGenerator<Finding> {
  const { env, home, machine } = options;
  const { config, finding } = await checkKubeconfig(wanted, options);
  yield finding;
  if (config !== undefined) yield* examineCluster(config, wanted, options);
  yield* await checkMethods(machine);
  yield await checkVolumes(machine);
  yield await checkNames(machine);
  yield await checkJournals({ env, home, signal: options.signal });
}

async function checkKubeconfig(
  { context }: DoctorWanted,
  { env, home }: DoctorOptions,
): Promise<{ readonly config?: ClusterConfig; readonly finding: Finding }> {
  const check = "kubeconfig";
  try {
    const config = await loadKubeconfig({ env, home, ...(context !== undefined && { context }) });
    return { config, finding: ok(check, `context "${config.contextName}", user "${config.userName}"`) };
  } catch (error) {
    return { finding: failed(check, error, ["Try: kubectl config get-contexts"]) };
  }
}

async function* examineCluster(
  config: ClusterConfig,
  wanted: DoctorWanted,
  options: DoctorOptions,
): AsyncGenerator<Finding> {
  const { log, image, signal, openKube = openKubeClient } = options;
  const runtimeAuthorities = options.chooseAuthorities?.(authoritiesOf(config)) ?? "some";
  await using kube = openKube(config, { log: log.room("API"), runtimeAuthorities });
  const namespace = wanted.namespace ?? config.namespace;
  const asking: ClusterOptions = { kube, namespace, image, signal };
  // What cannot be asked where the one before it failed would only say the same again.
  for (const check of [checkServer, checkCredentials, checkNamespace]) {
    const finding = await check(asking);
    yield finding;
    if (finding.state === "problem") return;
  }
  yield* await checkRights(asking);
  yield* await checkAdmission(asking);
  yield await checkUpgrade(asking);
  yield await checkObjects(kube, namespace, options);
}

/** One line, its state first; next steps below it, as they are to be copied. */
function textOf({ check, state, says, hints }: Finding): string {
  const width = Math.max(...STATES.map((each) => each.length));
  const lines = [
    `${state.padEnd(width)}  ${check}: ${says}`,
    ...hints.map((hint) => `${" ".repeat(width)}  next: ${hint}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}
