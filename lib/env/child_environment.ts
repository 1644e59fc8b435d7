/** Whose environment is which, from the least to the most. */
export interface Environments {
  /** Of our own process. */
  readonly host: Readonly<Record<string, string>>;
  /** Of the pod, without what only means something there. */
  readonly pod: Readonly<Record<string, string>>;
  /** What describes the session: `TELEPRESENCE_POD` and its like. */
  readonly session: Readonly<Record<string, string>>;
  /** What the user wants otherwise. */
  readonly changes: EnvironmentChanges;
}

/** What the user wants otherwise than the pod has it. */
export interface EnvironmentChanges {
  /** Variables that are set, whatever the pod or the host say. */
  readonly set: Readonly<Record<string, string>>;
  /** Patterns of names that the process must not have; `*` and `?` as in a shell. */
  readonly unset: readonly string[];
}

/**
 * Set by a session, and by no other: one that runs inside another does not inherit the outer one's, which would name
 * files of another pod.
 */
const OF_A_SESSION = /^TELEPRESENCE_(?:POD|CONTAINER|MOUNTS|ROOT)$/;

/** The environment of the user's process: the host's, the pod's over it, the session's over both, then the changes. */
export function childEnvironment({ host, pod, session, changes }: Environments): Record<string, string> {
  return { ...without(host, changes), ...writtenEnvironment({ pod, session, changes }) };
}

/** What of it is not the host's own: what `--env-json` and `--env-file` are about. */
export function writtenEnvironment({ pod, session, changes }: Omit<Environments, "host">): Record<string, string> {
  return { ...without(pod, changes), ...session, ...changes.set };
}

function without(variables: Readonly<Record<string, string>>, { unset }: EnvironmentChanges): Record<string, string> {
  const patterns = unset.map(toPattern);
  const stays = (name: string) => !OF_A_SESSION.test(name) && !patterns.some((pattern) => pattern.test(name));
  return Object.fromEntries(Object.entries(variables).filter(([name]) => stays(name)));
}

function toPattern(glob: string): RegExp {
  const escaped = glob.replace(/[\\^$.|+()[\]{}]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${escaped}$`, "s");
}
