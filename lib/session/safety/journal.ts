import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf, reasonOf, stateDirectory, UserError } from "@/util/mod.ts";
import { parseRecord, type PlaceStep, type SessionRecord, type Step, titleOf } from "./record.ts";

/** Steps written ahead. Disposing it removes its file when nothing is left to undo. */
export interface Journal extends AsyncDisposable {
  readonly record: SessionRecord;
  /** What was undone so far, in that order. */
  readonly undone: readonly Step[];
  /**
   * Writes down that the session is there, before its first step or without any: others of this machine see it.
   *
   * @throws {UserError} when it cannot be written
   */
  announce(): Promise<void>;
  /** Writes down which pod the session is in. @throws {UserError} when it cannot be written */
  enter(pod: string): Promise<void>;
  /**
   * Writes a step down, or again with what is known by now. The change may be made once this has returned.
   *
   * @throws {UserError} when it cannot be written: then nothing is to be changed
   */
  add(step: Step): Promise<void>;
  /** Takes out a step that has been undone: that is so even where it cannot be written down, which the log tells. */
  strike(step: Step): Promise<void>;
  /** Takes out a step that was refused, so that there is nothing to undo; likewise. */
  forget(step: Step): Promise<void>;
}

/** The place that a session has taken, or is about to take. */
export function placeIn({ record }: Journal): PlaceStep | undefined {
  return record.steps.find((step) => step.kind === "place");
}

/** What a journal is opened with. */
export interface JournalOptions {
  /** Who also gets the record at each change: the guardian. */
  readonly onChange?: ((record: SessionRecord) => Promise<void>) | undefined;
  readonly log?: Log;
}

/** The directory of the journals. */
export function journalDirectory(env: Readonly<Record<string, string>>, home: string): string {
  return `${stateDirectory(env, home)}/sessions`;
}

/**
 * Opens the journal of a session. Its file is there from the first step to the last, or from the announcement to the
 * end; only its owner can read it.
 *
 * @param directory from {@linkcode journalDirectory}
 */
export function openJournal(directory: string, first: SessionRecord, options: JournalOptions = {}): Journal {
  const { onChange, log = silentLog } = options;
  const path = `${directory}/${first.sessionId}.json`;
  let record = first;
  let writing: Promise<void> = Promise.resolve();
  const made: string[] = [];
  const undone: Step[] = [];
  // One after another: a later state never comes before an earlier one.
  const inTurn = (act: () => Promise<void>): Promise<void> => {
    const next = writing.catch(() => {}).then(act);
    writing = next;
    return next;
  };
  const write = async (changed: SessionRecord) => {
    await writeRecord(path, changed, made);
    await onChange?.(changed);
  };
  const put = (change: (steps: readonly Step[]) => Step[], pod?: string) =>
    inTurn(async () => {
      const changed = { ...record, ...(pod !== undefined && { pod }), steps: change(record.steps) };
      await write(changed);
      record = changed;
    });
  const others = (steps: readonly Step[], step: Step) => steps.filter((one) => titleOf(one) !== titleOf(step));
  const forget = (step: Step) =>
    inTurn(async () => {
      record = { ...record, steps: others(record.steps, step) };
      // A full disk, a guardian that is gone: who reads the old state undoes once more what is undone, which does nothing.
      await write(record).catch((error) => log.info(`${titleOf(step)} stays written down: ${messageOf(error)}`));
    });
  return {
    get record() {
      return record;
    },
    undone,
    announce: () => put((steps) => [...steps]),
    enter: (pod) => put((steps) => [...steps], pod),
    add: (step) =>
      put((steps) => {
        const known = steps.findIndex((one) => titleOf(one) === titleOf(step));
        return known < 0 ? [...steps, step] : steps.with(known, step); // its place is the order of undoing
      }),
    async strike(step) {
      await forget(step);
      undone.push(step);
    },
    forget,
    async [Symbol.asyncDispose]() {
      await writing.catch(() => {});
      if (record.steps.length > 0) return;
      await removeRecord(path);
      // Directories that we made go with it, while nobody else uses them; another session makes them again.
      for (const directory of made) await Deno.remove(directory).catch(() => {});
    },
  };
}

/** Makes a directory and what is above it; puts down which of them were not there, the innermost first. */
async function makeDirectory(path: string, made: string[]): Promise<void> {
  const missing: string[] = [];
  for (let each = path; each !== ""; each = each.slice(0, each.lastIndexOf("/"))) {
    if (await Deno.stat(each).then(() => true, () => false)) break;
    missing.push(each);
  }
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  made.push(...missing.filter((each) => !made.includes(each)));
}

async function writeRecord(path: string, record: SessionRecord, made: string[]): Promise<void> {
  const draft = `${path}.new`;
  try {
    await makeDirectory(path.slice(0, path.lastIndexOf("/")), made);
    {
      using file = await Deno.open(draft, { write: true, create: true, truncate: true, mode: 0o600 });
      const bytes = new TextEncoder().encode(JSON.stringify(record));
      for (let offset = 0; offset < bytes.length;) offset += await file.write(bytes.subarray(offset));
      await file.sync(); // before the change, not after the power cut
    }
    await Deno.rename(draft, path);
  } catch (cause) {
    throw new UserError(`Cannot write down what is about to be changed (${path}): ${reasonOf(cause)}`, {
      hints: ["XDG_STATE_HOME=DIRECTORY names another place for it"],
      cause,
    });
  }
}

/** Removes the file of a journal, if it is there, and the socket beside it that a killed session left. */
export async function removeRecord(path: string): Promise<void> {
  await Deno.remove(path.replace(/\.json$/, ".sock")).catch(() => {});
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** A journal as it lies on the disk. */
export interface StoredRecord {
  readonly path: string;
  readonly record: SessionRecord;
}

/** Whether anything is to be undone: a session that changes nothing has a journal while it runs, for `status` alone. */
export function hasSteps({ record }: Pick<StoredRecord, "record">): boolean {
  return record.steps.length > 0;
}

/** @throws {UserError} when it is another user's: what it says would be done with our rights */
async function readRecord(path: string): Promise<SessionRecord> {
  using file = await Deno.open(path);
  const { uid } = await file.stat();
  if (uid !== Deno.uid()) throw new UserError("it belongs to somebody else");
  return parseRecord(await new Response(file.readable).text());
}

/** The session's id is the file's name, and by that the cluster tells what it has. */
function wayAround(path: string): string {
  const session = path.slice(path.lastIndexOf("/") + 1, -".json".length).slice(0, 10);
  return `telepresence recover ${session} gives back what the cluster says of that session; then delete the file`;
}

/** All journals of a directory; a file that is none is skipped and told. */
export async function readJournals(directory: string, tell: (line: string) => void): Promise<StoredRecord[]> {
  const found: StoredRecord[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      if (!name.endsWith(".json")) continue;
      const path = `${directory}/${name}`;
      try {
        found.push({ path, record: await readRecord(path) });
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) {
          tell(`Cannot read the journal ${path}: ${reasonOf(error)}. ${wayAround(path)}`);
        }
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort((a, b) => a.record.since < b.record.since ? -1 : 1);
}
