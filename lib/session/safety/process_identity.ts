/** A process, told from a later one that has its number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it was started, as the system tells it; empty where it does not. */
  readonly started: string;
}

/** The identity of a process that runs; undefined when none of this number does. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const [state, ...fields] = readStat(pid);
  return state === undefined || state === "Z" || state === "X" ? undefined : { pid, started: fields[18] ?? "" };
}

/** Whether a process was stopped (Ctrl-Z, SIGSTOP): it hears no other signal until it goes on. */
export function isSuspended(pid: number): boolean {
  return ["T", "t"].includes(readStat(pid)[0] ?? "");
}

/** What the system tells of a process, from its state on; nothing of one that is not there. */
function readStat(pid: number): string[] {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The second field is the program's name, in parentheses, and may hold anything. The 22nd is the start.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

/** Whether this very process still runs. */
export function isRunning({ pid, started }: ProcessIdentity): boolean {
  return identifyProcess(pid)?.started === started;
}
