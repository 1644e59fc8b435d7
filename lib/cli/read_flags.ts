/**
 * From what was typed to what is asked for: the values of all flags together, and those that do not go together.
 *
 * @module
 */
import type { Long } from "./flag_table.ts";
import { isMethod, readExposed, readMode, readMount, readSwap } from "./flag_values.ts";
import type { Exposed, Flags } from "./flags.ts";
import { UsageError } from "./usage_error.ts";

/** What was typed, before it has a meaning: each flag's values in order, a switch's as an empty word each time. */
export interface Typed {
  /** Values of a flag that may be repeated. */
  all(long: Long): readonly string[];
  /** The value of a flag that counts once, or undefined when it was not given. */
  last(long: Long): string | undefined;
  /** The words behind a flag that takes the rest of the line. */
  readonly rest: readonly string[];
}

/**
 * The meaning of what was typed; only flags that are built come here.
 *
 * @throws {UsageError} when values that are right alone do not go together
 */
export function readFlags(typed: Typed): Flags {
  const expose = readExpose(typed.all("--expose"));
  const name = typed.last("--new-deployment");
  if (name !== undefined && expose.length > 0 && !/^[a-z]/.test(name)) {
    // A Deployment may be called so, a Service (RFC 1035) may not: said before either is made.
    throw new UsageError(
      `argument --new-deployment/-n: invalid name: '${name}' (with --expose it names a Service too, ` +
        "which begins with a letter)",
    );
  }
  const swapped = typed.last("--swap-deployment");
  const swap = swapped === undefined ? undefined : readSwap(swapped);
  if (typeof swap === "string") throw new UsageError(`argument --swap-deployment/-s: ${swap}`);
  const existing = typed.last("--deployment");
  const takeOver = typed.last("--take-over") !== undefined;
  if (takeOver && swap === undefined) throw new UsageError("argument --take-over: only with --swap-deployment");
  if (existing !== undefined && typed.last("--serviceaccount") !== undefined) {
    throw new UsageError("argument --serviceaccount: not allowed with argument --deployment/-d, which changes nothing");
  }
  const shown = typed.last("--output");
  const isShown = typed.last("--plan") !== undefined;
  if (shown !== undefined && !isShown) throw new UsageError("argument --output: only with --plan");
  const ports = (long: Long) => [...new Set(typed.all(long).map(Number))];
  const fromPod = ports("--from-pod");
  const both = expose.find(({ pod }) => fromPod.includes(pod));
  if (both !== undefined) throw new UsageError(`argument --from-pod: --expose has the pod's port ${both.pod} already`);
  const toPod = ports("--to-pod");
  const publish = ports("--publish");
  // Its listener here would be ours: what comes from the pod would go back to it, round and round.
  const back = [...expose.map(({ host }) => host), ...fromPod, ...publish].find((port) => toPod.includes(port));
  if (back !== undefined) {
    throw new UsageError(`argument --to-pod: port ${back} of this machine is where the command is to listen`);
  }
  const [serviceAccount, timeout] = [typed.last("--serviceaccount"), typed.last("--give-back-timeout")];
  const [context, namespace, logfile] = [typed.last("--context"), typed.last("--namespace"), typed.last("--logfile")];
  const [json, file] = [typed.last("--env-json"), typed.last("--env-file")];
  const grace = typed.last("--grace");
  const record = typed.last("--record");
  const [command, ...args] = typed.rest;
  const method = typed.last("--method");
  return {
    ...(isMethod(method) && { method }),
    operation: swap ??
      (existing !== undefined
        ? { kind: "existing", name: existing }
        : { kind: "new", ...(name !== undefined && { name }) }),
    ...(context !== undefined && { context }),
    ...(namespace !== undefined && { namespace }),
    ...(serviceAccount !== undefined && { serviceAccount }),
    expose,
    toPod,
    fromPod,
    initContainers: typed.last("--no-init-containers") === undefined,
    ...(timeout !== undefined && { giveBackTimeoutMs: Number(timeout) * 1000 }),
    recover: typed.last("--recover") !== undefined,
    ...(record !== undefined && { record }),
    takeOver,
    ...(isShown && { show: shown === "json" ? "json" : "text" }),
    publish,
    neverProxy: [...new Set(typed.all("--never-proxy"))],
    alsoProxy: [...new Set(typed.all("--also-proxy"))],
    localCluster: typed.last("--local-cluster") !== undefined,
    ...(grace !== undefined && { graceSeconds: Number(grace) }),
    run: command === undefined ? { kind: "shell" } : { kind: "command", words: [command, ...args] },
    ...(logfile !== undefined && { logfile }),
    verbose: typed.last("--verbose") !== undefined,
    quiet: typed.last("--quiet") !== undefined,
    environment: {
      set: Object.fromEntries(typed.all("--env").map((given) => cut(given))),
      unset: typed.all("--env-unset"),
    },
    environmentFiles: {
      ...(json !== undefined && { json }),
      ...(file !== undefined && { file }),
    },
    volumes: { at: readMount(typed.last("--mount") ?? "true"), mode: readMode(typed.last("--mount-mode")) },
  };
}

function readExpose(values: readonly string[]): Exposed[] {
  const ports: (Exposed & { value: string })[] = [];
  for (const value of values) {
    const port = readExposed(value);
    if (typeof port === "string") throw new UsageError(`argument --expose: ${port}`);
    const twin = ports.find(({ host, pod }) => host === port.host || pod === port.pod);
    if (twin !== undefined) {
      const what = twin.pod === port.pod ? `the pod's port ${port.pod}` : `port ${port.host} of this machine`;
      throw new UsageError(`argument --expose: '${twin.value}' and '${value}' both use ${what}`);
    }
    ports.push({ ...port, value });
  }
  return ports.map(({ host, pod }) => ({ host, pod }));
}

/** `NAME=VALUE` at its first "=". */
function cut(given: string): [string, string] {
  const at = given.indexOf("=");
  return [given.slice(0, at), given.slice(at + 1)];
}
