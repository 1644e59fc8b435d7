import { type Log, silentLog } from "@/log/mod.ts";
import {
  decodeSftpRequest,
  EXTENSIONS,
  FieldReader,
  type Packet,
  PacketReader,
  PacketWriter,
  SFTP,
  SFTP_VERSION,
  SftpError,
  type SftpRequest,
  STATUS,
  type Status,
} from "@/pod/mod.ts";
import { comesWithin, type Duplex, messageOf, writeAll } from "@/util/mod.ts";
import {
  type Asked,
  codeOf,
  endOf,
  FileRequests,
  MAX_TOGETHER_BYTES,
  type ReadRequest,
  status,
  type WriteRequest,
} from "./file_requests.ts";
import type { FileTree } from "./file_tree.ts";

/** Answers are sent when there are so many bytes of them; what is held is this and the answers of one turn. */
const SEND_BYTES = 128 * 1024;
/** How much of the stream is read at a time. */
const READ_BYTES = 1024 * 1024;
/**
 * A client that has written so much, and nothing else in between, is in the middle of a large file: it goes on writing
 * without waiting for its answers, each of which is a message through all programs on the way. They wait for one another,
 * so long at most, and for so many bytes of WRITEs.
 */
const BULK_BYTES = 512 * 1024;
const ANSWERS_WAIT_MS = 2;
const ANSWERS_WAIT_BYTES = 1024 * 1024;

/**
 * Serves files by SFTP until the client ends the stream (`lib/pod/sftp.md` is the protocol as it is served).
 *
 * Requests are done one after another, in their order: what a client wrote, its next read sees. Nothing is read while
 * an answer cannot be sent, so a client that does not read holds no more memory than a packet and its answers.
 *
 * @throws {SftpError} when the client sends what is no SFTP; what was open is closed
 */
export async function serveFiles(stream: Duplex, tree: FileTree, log: Log = silentLog): Promise<void> {
  await using requests = new FileRequests(tree);
  const reader = new PacketReader();
  const writer = new PacketWriter();
  const buffer = new Uint8Array(READ_BYTES);
  const writing = new Writing();
  const send = async () => {
    writing.answered();
    if (writer.length > 0) await writeAll(stream, writer.take());
  };
  const readOn = async () => {
    if (!writing.mayWait) await send();
    const reading = stream.read(buffer);
    reading.catch(() => {}); // what cannot be sent is told first
    if (writer.length > 0 && !await comesWithin(reading, ANSWERS_WAIT_MS)) await send();
    return await reading;
  };
  const answer = async ({ id, request }: Asked) => {
    try {
      await requests.answer(request, id, writer);
    } catch (error) {
      const why = reasonOf(error);
      log.debug(`${request.ask} refused: ${why}`);
      status(writer, id, statusOf(error, request), why);
    }
  };
  let greeted = false;
  for (let count; (count = await readOn()) !== null;) {
    const packets = reader.push(buffer.subarray(0, count));
    for (const packet of packets) writing.heard(packet);
    if (!greeted && packets.length > 0) {
      greet(packets.shift() ?? NO_PACKET, writer);
      greeted = true;
    }
    while (packets.length > 0) {
      const taken = takeTogether(packets);
      if (taken.length < 2 || !await requests.answerTogether(taken, writer)) {
        for (const one of taken) await answer(one);
      }
      if (taken.length === 0) await answer(decodeSftpRequest(packets.shift() ?? NO_PACKET));
      if (writer.length >= SEND_BYTES) await send();
    }
  }
  await send();
  if (!reader.isBetweenPackets) throw new SftpError("The end came in the middle of a packet");
}

/** Whether a client writes so much that its answers may wait. */
class Writing {
  #runBytes = 0;
  #unansweredBytes = 0;

  /** It asks this. */
  heard({ type, body }: Packet): void {
    this.#runBytes = type === SFTP.WRITE ? this.#runBytes + body.length : 0;
    this.#unansweredBytes += body.length;
  }

  /** All of its answers are sent. */
  answered(): void {
    this.#unansweredBytes = 0;
  }

  get mayWait(): boolean {
    return this.#runBytes >= BULK_BYTES && this.#unansweredBytes < ANSWERS_WAIT_BYTES;
  }
}

const NO_PACKET: Packet = { type: 0, body: new Uint8Array() };

/**
 * Takes from the front the READs or the WRITEs each of which goes on where the one before it ends: a client asks in many
 * small pieces, and one call of the system for all of them costs little more than for one.
 */
function takeTogether(packets: Packet[]): Asked<ReadRequest | WriteRequest>[] {
  const taken: Asked<ReadRequest | WriteRequest>[] = [];
  const type = packets[0]?.type;
  if (type !== SFTP.READ && type !== SFTP.WRITE) return taken;
  let bytes = 0;
  for (let [packet] = packets; packet?.type === type; packets.shift(), [packet] = packets) {
    const { id, request } = decodeSftpRequest(packet);
    if (request.ask !== "read" && request.ask !== "write") break;
    const last = taken.at(-1)?.request;
    if (last !== undefined && (request.handle !== last.handle || request.offset !== endOf(last))) break;
    bytes += endOf(request) - request.offset;
    if (last !== undefined && bytes > MAX_TOGETHER_BYTES) break;
    taken.push({ id, request });
  }
  return taken;
}

function greet({ type, body }: Packet, writer: PacketWriter): void {
  if (type !== SFTP.INIT) throw new SftpError(`A packet of type ${type} before INIT`);
  const version = new FieldReader(body).uint32();
  if (version < SFTP_VERSION) throw new SftpError(`A client of version ${version}`);
  writer.begin(SFTP.VERSION).uint32(SFTP_VERSION);
  for (const [name, value] of EXTENSIONS) writer.text(name).text(value);
  writer.end();
}

/** A system's error in words that begin with the name of its errno, where it has one. */
function reasonOf(error: unknown): string {
  const [code, message] = [codeOf(error), messageOf(error)];
  return code === "" || message.startsWith(code) ? message : `${code}: ${message}`;
}

/** The STATUS for a system's error, as OpenSSH chooses it but for what `sftp.md` says ("Status"). */
function statusOf(error: unknown, { ask }: SftpRequest): Status {
  switch (codeOf(error)) {
    case "ENOENT":
    case "ENOTDIR":
    case "ELOOP":
      return STATUS.NO_SUCH_FILE;
    case "EACCES":
    case "EPERM":
    case "EROFS": // as FAILURE it would arrive as EPERM, as this it arrives as EACCES: nearer to what happened
      return STATUS.PERMISSION_DENIED;
    case "EINVAL":
    case "ENAMETOOLONG":
      return STATUS.BAD_MESSAGE;
    case "ENOSYS":
    case "EOPNOTSUPP":
    case "ENOTSUP":
      return STATUS.OP_UNSUPPORTED;
    case "ENOSPC":
    case "EDQUOT":
    case "EIO":
      return STATUS.NO_SPACE; // which arrives as EIO, whatever was asked: FAILURE arrives so for a WRITE alone
    case "EXDEV":
      return STATUS.FAILURE;
  }
  if (error instanceof Deno.errors.InvalidData) return STATUS.OP_UNSUPPORTED; // a symlink to a name that is not UTF-8
  if (error instanceof Deno.errors.NotCapable) return STATUS.PERMISSION_DENIED;
  // A posix-rename's FAILURE arrives as EXDEV, upon which a program copies and removes: nothing else may be one.
  return ask === "posix-rename" ? STATUS.PERMISSION_DENIED : STATUS.FAILURE;
}
