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

/** The environment of the user's process: the host's, the pod's over it, the session's over both. */
export function childEnvironment({ host, pod, session }: Environments): Record<string, string> {
  const fitting = Object.entries(pod).filter(([name]) => !OF_THE_POD_ALONE.test(name));
  return { ...host, ...Object.fromEntries(fitting), ...session };
}
