/** A process as `/proc` shows it. */
export interface Process {
  readonly pid: number;
  readonly argv: readonly string[];
  /** Its number in each pid namespace it is in, this one's first. */
  readonly pids: readonly number[];
  /** Name of the innermost of these namespaces. */
  readonly pidNamespace: string;
}

/** Every living process of the machine; zombies have no namespace any more and are left out. */
export async function listProcesses(): Promise<Process[]> {
  const pids: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (/^\d+$/.test(name)) pids.push(Number(name));
  }
  const processes = await Promise.all(pids.map(readProcess));
  return processes.filter((process) => process !== undefined);
}

async function readProcess(pid: number): Promise<Process | undefined> {
  try {
    const [cmdline, status, pidNamespace] = await Promise.all([
      Deno.readTextFile(`/proc/${pid}/cmdline`),
      Deno.readTextFile(`/proc/${pid}/status`),
      Deno.readLink(`/proc/${pid}/ns/pid`),
    ]);
    if (/^State:\s+[ZX]/m.test(status)) return undefined;
    const pids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/).map(Number) ?? [pid];
    return { pid, argv: cmdline.split("\0").slice(0, -1), pids, pidNamespace };
  } catch {
    return undefined; // it ended while it was read
  }
}

/** Sends a signal to a process that may have ended meanwhile. @throws {RangeError} when `pid` is no single process */
export function signalProcess(pid: number, signal: Deno.Signal): void {
  // The kernel would take 0 for our own process group and -1 for everybody.
  if (!Number.isInteger(pid) || pid < 2) throw new RangeError(`Cannot send ${signal}: ${pid} is no process of ours`);
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
