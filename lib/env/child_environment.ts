/** Whose environment is which. */
export interface Environments {
  /** Of our own process. */
  readonly host: Readonly<Record<string, string>>;
  /** Of the pod's container. */
  readonly pod: Readonly<Record<string, string>>;
  /** What describes the session: `TELEPRESENCE_POD` and its like. */
  readonly session: Readonly<Record<string, string>>;
}

/**
 * Variables of the pod that would be wrong on the host: they name places and a machine of the pod (`HOME`, `PATH`,
 * `HOSTNAME`: as in Telepresence 1), load its libraries (`LD_*`), or are there for the agent's own runtime (`DENO_*`).
 */
const OF_THE_POD_ALONE = /^(?:HOME|PATH|HOSTNAME|(?:LD|DENO)_.*)$/;

/**
 * In front of the names of variables that the container got under another name, as the agent's own runtime would obey
 * them: `NODE_OPTIONS`, say. The user's process gets them under their true names.
 */
export const KEPT_PREFIX = "TELEPRESENCE_KEPT_";

/** The environment of the user's process: the host's, the pod's over it, the session's over both. */
export function childEnvironment({ host, pod, session }: Environments): Record<string, string> {
  const all = Object.entries(pod);
  const fitting = all.filter(([name]) => !OF_THE_POD_ALONE.test(name) && !name.startsWith(KEPT_PREFIX));
  const kept = all.filter(([name]) => name.startsWith(KEPT_PREFIX));
  const given = kept.map(([name, value]) => [name.slice(KEPT_PREFIX.length), value] as const);
  return { ...host, ...Object.fromEntries(fitting), ...Object.fromEntries(given), ...session };
}
