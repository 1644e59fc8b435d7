/** A process, told from a later one that has its number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it was started, as the system tells it; empty where it does not. */
  readonly started: string;
}

/** The identity of a process that runs; undefined when none of this number does. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The second field is the program's name, in parentheses, and may hold anything. The 22nd is the start.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state] = fields;
    return state === "Z" || state === "X" ? undefined : { pid, started: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}

/** Whether this very process still runs. */
export function isRunning({ pid, started }: ProcessIdentity): boolean {
  return identifyProcess(pid)?.started === started;
}
