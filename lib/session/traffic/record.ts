import { reasonOf, UserError } from "@/util/mod.ts";
import { lookForOwners, makeTelling, type RecordLine } from "./told_flow.ts";
import type { Traffic } from "./traffic.ts";

/** What a record begins with. */
export type RecordHead = Omit<RecordLine & { line: "session" }, "line" | "at">;

/**
 * Opens the file of `--record`, readable by its owner alone, before anything is changed in the cluster.
 *
 * @throws {UserError} when it cannot be written
 */
export async function openRecordFile(path: string): Promise<Deno.FsFile> {
  try {
    const file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 });
    const { isFile } = await file.stat();
    if (isFile) await Deno.chmod(path, 0o600); // it may have been there with wider rights
    return file;
  } catch (cause) {
    throw new UserError(`Cannot write the record "${path}": ${reasonOf(cause)}`, {
      hints: ["Name a file in a directory that is there and yours: --record FILE"],
      cause,
    });
  }
}

/**
 * Writes each flow to a file when it is over, as a line of JSON: addresses, names, times, bytes and errors, and nothing
 * of what was said. Disposing it writes those that are still open, and the totals. A full disk ends the record, not the
 * session.
 */
export function startRecord(
  traffic: Traffic,
  file: Pick<Deno.FsFile, "write" | "close">,
  { head, say }: { readonly head: RecordHead; readonly say: (line: string) => void },
): AsyncDisposable {
  const telling = makeTelling(traffic);
  let writing = Promise.resolve();
  let broken = false;
  const write = (line: () => RecordLine) => {
    writing = writing.then(async () => {
      if (broken) return;
      try {
        const bytes = new TextEncoder().encode(`${JSON.stringify(line())}\n`);
        for (let offset = 0; offset < bytes.length;) offset += await file.write(bytes.subarray(offset));
      } catch (error) {
        broken = true;
        say(`Cannot go on with the record: ${reasonOf(error)}. The session goes on without it.`);
      }
    });
  };
  write(() => ({ line: "session", ...head, at: Date.now() }));
  const looking = lookForOwners(traffic, telling);
  const listening = traffic.listen((flow) => {
    if (flow.until !== undefined) write(() => ({ line: "flow", ...telling.tell(flow) }));
  });
  return {
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]();
      looking[Symbol.dispose]();
      for (const flow of traffic.flows()) {
        if (flow.until === undefined) write(() => ({ line: "flow", ...telling.tell(flow) }));
      }
      write(() => ({ line: "end", at: Date.now(), ...traffic.totals() }));
      await writing;
      file.close();
    },
  };
}
