/**
 * What each request of SFTP does to the files of the pod. Calls of `node:fs`, which take the kernel's flags and
 * offsets: `Deno.open` can neither refuse a symlink nor read at an offset in one call.
 *
 * @module
 */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import {
  type Attributes,
  MAX_PACKET_BYTES,
  OPEN,
  type PacketWriter,
  SFTP,
  type SftpChange,
  type SftpRequest,
  STATUS,
} from "@/pod/mod.ts";
import { FileRefusal, type FileTree, normalize } from "./file_tree.ts";

/** How many files and directories a client may have open. */
const MAX_HANDLES = 1024;
/** The most that one READ gives: the packet around it has room beside. */
const MAX_READ_BYTES = MAX_PACKET_BYTES - 1024;
/** The most that READs or WRITEs which follow one another are about together. */
export const MAX_TOGETHER_BYTES = 1024 * 1024;
/** A NAME ends before it is longer, so that a client with OpenSSH's old limits takes it. */
const NAME_BYTES = 96 * 1024;
/** How many entries of a directory are looked at together. */
const ENTRIES = 128;

/** A request, and the number that its answer carries. */
export interface Asked<Request extends SftpRequest = SftpRequest> {
  readonly id: number;
  readonly request: Request;
}
/** A request for bytes of a file. */
export type ReadRequest = Extract<SftpRequest, { ask: "read" }>;
/** A request with bytes for a file. */
export type WriteRequest = Extract<SftpRequest, { ask: "write" }>;

interface OpenFile {
  readonly kind: "file";
  readonly file: fs.FileHandle;
  readonly path: string;
  /** Whether the kernel puts what is written at the end, wherever it is to go. */
  readonly appends: boolean;
}
type OpenDirectory = { readonly kind: "directory"; readonly path: string; readonly names: string[] };
type Names = readonly { readonly name: string; readonly attributes: Attributes }[];

/** The files of one client. Disposing it closes what the client left open. */
export class FileRequests implements AsyncDisposable {
  readonly #tree: FileTree;
  readonly #open = new Map<number, OpenFile | OpenDirectory>();
  readonly #buffer = new Uint8Array(MAX_TOGETHER_BYTES);
  #nextHandle = 1;

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(all.map((one) => one.kind === "file" ? one.file.close() : undefined));
  }

  /** Does what is asked, and writes the answer. @throws the system's error, or {FileRefusal} */
  async answer(request: SftpRequest, id: number, to: PacketWriter): Promise<void> {
    switch (request.ask) {
      case "open":
        return handle(to, id, await this.#openFile(request.path, request.flags, request.attributes));
      case "open-and-read": {
        const number = await this.#openFile(request.path, request.flags, request.attributes);
        handle(to, id, number);
        return await this.#readSmall(number, request.length, request.readId, to);
      }
      case "opendir":
        return handle(to, id, await this.#openDirectory(request.path));
      case "close":
        return await this.#close(request.handle), status(to, id);
      case "read":
        return await this.#read(request, id, to);
      case "write":
        return await writeAt(this.#file(request.handle).file, request.bytes, request.offset), status(to, id);
      case "readdir":
        return await this.#readDirectory(request.handle, id, to);
      case "lstat":
      case "stat":
        return attributes(to, id, await this.#attributesAt(request.path, request.ask));
      case "fstat":
        return attributes(to, id, attributesOf(await this.#file(request.handle).file.stat()));
      case "setstat":
        return await setAttributes(await this.#reach(request.path), request.attributes), status(to, id);
      case "fsetstat":
        return await this.#setOpen(this.#file(request.handle), request.attributes), status(to, id);
      case "fsync":
        return await this.#file(request.handle).file.sync(), status(to, id);
      case "statvfs":
        return await this.#space(request.path, id, to);
      case "fstatvfs":
        return space(to, id, await fs.statfs(this.#file(request.handle).path, { bigint: true }));
      case "realpath":
        return names(to, id, [{ name: normalize(request.path), attributes: {} }]);
      case "readlink": {
        const target = await fs.readlink(await this.#entry(request.path));
        return names(to, id, [{ name: this.#tree.targetFor(request.path, target), attributes: {} }]);
      }
      case "unknown":
        return status(to, id, STATUS.OP_UNSUPPORTED, `The extension "${request.name}" is not spoken here`);
      case "unnameable":
        return status(to, id, STATUS.OP_UNSUPPORTED, "A name that is not UTF-8 cannot be reached here");
      default:
        return await this.#change(request), status(to, id);
    }
  }

  /** Changes to directories. */
  async #change(request: SftpChange): Promise<void> {
    switch (request.ask) {
      case "remove":
        return await fs.unlink(await this.#entry(request.path));
      case "rmdir":
        return await fs.rmdir(await this.#entry(request.path));
      case "mkdir": {
        const path = await this.#entry(request.path);
        await fs.mkdir(path);
        const { mode } = request.attributes; // set apart: the agent's own umask is not the client's
        if (mode !== undefined) await fs.chmod(path, mode & 0o7777);
        return;
      }
      case "symlink":
        return await fs.symlink(request.target, await this.#entry(request.path));
      case "hardlink":
        return await fs.link(await this.#entry(request.from), await this.#entry(request.to));
      case "posix-rename":
        return await fs.rename(await this.#entry(request.from), await this.#entry(request.to));
      case "rename": { // the draft's own (section 6.5) replaces nothing: a link fails where there is something
        const [from, to] = [await this.#entry(request.from), await this.#entry(request.to)];
        if ((await fs.lstat(from)).isDirectory()) return await fs.rename(from, to);
        await fs.link(from, to);
        return await fs.unlink(from);
      }
    }
  }

  #reach(path: string): Promise<string> {
    return this.#tree.reach(path, "follow");
  }

  #entry(path: string): Promise<string> {
    return this.#tree.reach(path, "entry");
  }

  async #openFile(path: string, flags: number, { mode = 0o666 }: Attributes): Promise<number> {
    this.#requireRoom();
    const access = flags & OPEN.WRITE ? flags & OPEN.READ ? constants.O_RDWR : constants.O_WRONLY : constants.O_RDONLY;
    // A pipe or a device in a volume must not hold up everybody else.
    const always = access | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY |
      (flags & OPEN.APPEND ? constants.O_APPEND : 0) | (flags & OPEN.TRUNCATE ? constants.O_TRUNC : 0);
    const real = await this.#reach(path);
    const add = (file: fs.FileHandle) => {
      return this.#add({ kind: "file", file, path: real, appends: (flags & OPEN.APPEND) !== 0 });
    };
    if (!(flags & OPEN.CREATE)) return add(await fs.open(real, always));
    try {
      const number = add(await fs.open(real, always | constants.O_CREAT | constants.O_EXCL, 0o600));
      await fs.chmod(real, mode & 0o7777); // as with mkdir
      return number;
    } catch (error) {
      if (flags & OPEN.EXCLUSIVE || codeOf(error) !== "EEXIST") throw error;
      return add(await fs.open(real, always));
    }
  }

  async #openDirectory(path: string): Promise<number> {
    this.#requireRoom();
    const place = this.#tree.locate(path);
    const listed = place.kind === "way" ? place.names : await fs.readdir(await this.#reach(path));
    // The runtime gives U+FFFD for bytes that are not UTF-8. Whoever really has such a name is there once, and all who only
    // seem to have it go when the entries are looked at.
    const names = new Set([".", "..", ...listed]);
    return this.#add({ kind: "directory", path, names: [...names] });
  }

  async #read(
    { handle, offset, length }: ReadRequest,
    id: number,
    to: PacketWriter,
  ): Promise<void> {
    const wanted = Math.min(length, MAX_READ_BYTES);
    const { bytesRead } = await this.#file(handle).file.read(this.#buffer, 0, wanted, offset);
    if (bytesRead === 0 && wanted > 0) return status(to, id, STATUS.EOF);
    data(to, id, this.#buffer.subarray(0, bytesRead));
  }

  /** Gives all of a file that has no more than `length` bytes. Whatever else was opened is not read. */
  async #readSmall(number: number, length: number, id: number, to: PacketWriter): Promise<void> {
    const { file } = this.#file(number);
    const stat = await file.stat().catch(() => undefined);
    if (stat?.isFile() && stat.size <= Math.min(length, MAX_READ_BYTES)) {
      const { bytesRead } = await file.read(this.#buffer, 0, Math.min(length, MAX_READ_BYTES), 0)
        .catch(() => ({ bytesRead: 0 }));
      if (bytesRead > 0) return data(to, id, this.#buffer.subarray(0, bytesRead));
    }
    status(to, id, STATUS.OP_UNSUPPORTED, "It is to be read by READ");
  }

  /**
   * Answers READs or WRITEs of one file each of which begins where the one before it ends.
   *
   * @returns whether they are answered; where the file does not take them as one they are still to be, each by itself
   */
  async answerTogether(asked: readonly Asked<ReadRequest | WriteRequest>[], to: PacketWriter): Promise<boolean> {
    const { handle = 0, offset = 0 } = asked[0]?.request ?? {};
    const opened = this.#open.get(handle);
    if (opened?.kind !== "file" || opened.appends) return false;
    const reads = asked.flatMap(({ id, request }) => request.ask === "read" ? [{ id, length: request.length }] : []);
    try {
      if (reads.length > 0) return await this.#readTogether(opened.file, reads, offset, to);
      let length = 0;
      for (const { request } of asked) {
        if (request.ask !== "write") continue;
        this.#buffer.set(request.bytes, length);
        length += request.bytes.length;
      }
      await writeAt(opened.file, this.#buffer.subarray(0, length), offset);
    } catch {
      return false; // what was written will be written once more, which changes nothing
    }
    for (const { id } of asked) status(to, id);
    return true;
  }

  async #readTogether(
    file: fs.FileHandle,
    reads: readonly { readonly id: number; readonly length: number }[],
    offset: number,
    to: PacketWriter,
  ): Promise<boolean> {
    if (reads.some(({ length }) => length > MAX_READ_BYTES)) return false;
    const wanted = reads.reduce((sum, { length }) => sum + length, 0);
    let filled = 0;
    for (let count = 1; count > 0 && filled < wanted; filled += count) {
      count = (await file.read(this.#buffer, filled, wanted - filled, offset + filled)).bytesRead;
    }
    let start = 0;
    for (const { id, length } of reads) {
      const bytes = this.#buffer.subarray(start, Math.min(start + length, filled));
      if (bytes.length === 0 && length > 0) status(to, id, STATUS.EOF);
      else data(to, id, bytes);
      start += bytes.length;
    }
    return true;
  }

  /** Gives the next entries of a directory, as many as fit; an entry that is gone in the meantime is left out. */
  async #readDirectory(number: number, id: number, to: PacketWriter): Promise<void> {
    const directory = this.#open.get(number);
    if (directory?.kind !== "directory") throw new FileRefusal("EBADF", "No such directory is open");
    const found: { name: string; attributes: Attributes }[] = [];
    for (let bytes = 0; bytes < NAME_BYTES && directory.names.length > 0;) {
      const batch = directory.names.splice(0, ENTRIES);
      const each = await Promise.all(batch.map(async (name) => {
        const path = name === "." || name === ".." ? directory.path : `${directory.path}/${name}`;
        return { name, attributes: await this.#attributesOfEntry(path) };
      }));
      for (const { name, attributes } of each) {
        if (attributes === undefined) continue;
        found.push({ name, attributes });
        bytes += 44 + 4 * name.length; // what it takes at most, for the two forms of its name
      }
    }
    if (found.length === 0) return status(to, id, STATUS.EOF);
    names(to, id, found);
  }

  /** An entry of a directory that was reached already. */
  async #attributesOfEntry(path: string): Promise<Attributes | undefined> {
    try {
      const place = this.#tree.locate(path);
      return place.kind === "way" ? madeUp() : attributesOf(await fs.lstat(place.path));
    } catch {
      return undefined;
    }
  }

  async #attributesAt(path: string, how: "lstat" | "stat"): Promise<Attributes> {
    if (this.#tree.locate(path).kind === "way") return madeUp();
    return attributesOf(await fs.lstat(how === "stat" ? await this.#reach(path) : await this.#entry(path)));
  }

  async #space(path: string, id: number, to: PacketWriter): Promise<void> {
    const [volume = ""] = this.#tree.mounts;
    const asked = this.#tree.locate(path).kind === "way" ? volume : path; // the made-up ones have no space of their own
    space(to, id, await fs.statfs(await this.#reach(asked), { bigint: true }));
  }

  async #setOpen({ file, path }: OpenFile, { size, ...others }: Attributes): Promise<void> {
    if (size !== undefined) await file.truncate(size);
    if (others.mode !== undefined) await file.chmod(others.mode & 0o7777);
    if (others.times !== undefined) await file.utimes(others.times.accessed, others.times.modified);
    if (others.ids !== undefined) await fs.chown(path, others.ids.user, others.ids.group);
  }

  #requireRoom(): void {
    if (this.#open.size >= MAX_HANDLES) throw new FileRefusal("EMFILE", `More than ${MAX_HANDLES} files are open`);
  }

  #add(opened: OpenFile | OpenDirectory): number {
    const number = this.#nextHandle++;
    this.#open.set(number, opened);
    return number;
  }

  #file(number: number): OpenFile {
    const opened = this.#open.get(number);
    if (opened?.kind !== "file") throw new FileRefusal("EBADF", "No such file is open");
    return opened;
  }

  async #close(number: number): Promise<void> {
    const opened = this.#open.get(number);
    if (opened === undefined) throw new FileRefusal("EBADF", "No such handle is open");
    this.#open.delete(number);
    if (opened.kind === "file") await opened.file.close();
  }
}

/**
 * A directory that there is only so that a volume can be below it. It is the agent's user's: a client takes the owner
 * of the root for the user whose files are its own (`idmap=user` of sshfs).
 */
function madeUp(): Attributes {
  const ids = { user: Deno.uid() ?? 0, group: Deno.gid() ?? 0 };
  return { mode: constants.S_IFDIR | 0o555, size: 0, ids, times: { accessed: 0, modified: 0 } };
}

/** Where the bytes end that a request is about. */
export function endOf(request: ReadRequest | WriteRequest): number {
  return request.offset + (request.ask === "read" ? request.length : request.bytes.length);
}

/** The name of a system's error, whatever was thrown. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

async function writeAt(file: fs.FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
}

async function setAttributes(path: string, { size, mode, times, ids }: Attributes): Promise<void> {
  if (size !== undefined) await fs.truncate(path, size);
  if (mode !== undefined) await fs.chmod(path, mode & 0o7777);
  if (times !== undefined) await fs.utimes(path, times.accessed, times.modified);
  if (ids !== undefined) await fs.chown(path, ids.user, ids.group);
}

function attributesOf(
  stat: { mode: number; size: number; uid: number; gid: number; atimeMs: number; mtimeMs: number },
): Attributes {
  const seconds = (ms: number) => Math.max(0, Math.floor(ms / 1000)) % 2 ** 32;
  return {
    size: stat.size,
    ids: { user: stat.uid, group: stat.gid },
    mode: stat.mode,
    times: { accessed: seconds(stat.atimeMs), modified: seconds(stat.mtimeMs) },
  };
}

/** Writes a STATUS. */
export function status(to: PacketWriter, id: number, code: number = STATUS.OK, message = ""): void {
  to.begin(SFTP.STATUS).uint32(id).uint32(code).text(message).text("").end();
}

function data(to: PacketWriter, id: number, bytes: Uint8Array): void {
  to.begin(SFTP.DATA).uint32(id).bytes(bytes).end();
}

function handle(to: PacketWriter, id: number, number: number): void {
  to.begin(SFTP.HANDLE).uint32(id).uint32(4).uint32(number).end();
}

function attributes(to: PacketWriter, id: number, value: Attributes): void {
  to.begin(SFTP.ATTRS).uint32(id).attributes(value).end();
}

/** Writes a NAME; the long form, which is for people, is the name. */
function names(to: PacketWriter, id: number, all: Names): void {
  to.begin(SFTP.NAME).uint32(id).uint32(all.length);
  for (const { name, attributes } of all) to.text(name).text(name).attributes(attributes);
  to.end();
}

/** Writes the reply of statvfs (OpenSSH's PROTOCOL, section 4.4); the kernel gives no id, flags or length of names. */
function space(
  to: PacketWriter,
  id: number,
  { bsize, blocks, bfree, bavail, files, ffree }: Awaited<ReturnType<typeof fs.statfs>>,
): void {
  to.begin(SFTP.EXTENDED_REPLY).uint32(id);
  for (const value of [bsize, bsize, blocks, bfree, bavail, files, ffree, ffree, 0, 0, 255]) to.uint64(value);
  to.end();
}
