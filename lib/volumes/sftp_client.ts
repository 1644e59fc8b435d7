import {
  type Attributes,
  FieldReader,
  OPEN,
  type Packet,
  PacketReader,
  PacketWriter,
  SFTP,
  SFTP_VERSION,
  SftpError,
  STATUS,
} from "@/pod/mod.ts";
import { closeQuietly, type Duplex, messageOf, writeAll } from "@/util/mod.ts";

/** How much of a file is asked for at a time, and how many such requests are under way: 1 MiB for each round trip. */
const READ_BYTES = 128 * 1024;
const READS = 8;
/** How many entries of a directory are taken: a server may say that there are more for ever. */
const MOST_ENTRIES = 10_000;

/** The server refused a request; `code` is a STATUS. */
export class SftpRefused extends Error {
  override readonly name = "SftpRefused";
  readonly code: number;
  constructor(code: number, message: string) {
    super(message || `SFTP status ${code}`);
    this.code = code;
  }
}

/** An entry of a directory. */
export interface Entry {
  readonly name: string;
  readonly attributes: Attributes;
}

/** A client of SFTP, for what this room itself wants to know of the pod's files. Disposing it ends the connection. */
export class SftpClient implements AsyncDisposable {
  readonly #duplex: Duplex;
  readonly #asked = new Map<number, PromiseWithResolvers<Packet>>();
  readonly #answers: Promise<void>;
  #nextId = 1;
  #sent: Promise<void> = Promise.resolve();
  #ended: Error | undefined;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
    this.#answers = this.#take().then(
      () => this.#end(new SftpError("The server ended the connection")),
      (error) => this.#end(error instanceof Error ? error : new SftpError(messageOf(error))),
    );
  }

  /** Greets the server. @throws {SftpError} when it does not speak version 3 */
  static async open(duplex: Duplex): Promise<SftpClient> {
    const client = new SftpClient(duplex);
    const { type, body } = await client.#send(0, (to) => to.begin(SFTP.INIT).uint32(SFTP_VERSION).end());
    if (type === SFTP.VERSION && new FieldReader(body).uint32() === SFTP_VERSION) return client;
    await client[Symbol.asyncDispose]();
    throw new SftpError("The server does not speak version 3");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#duplex.closeWrite().catch(() => {});
    this.#end(new SftpError("The connection was closed"));
    await this.#answers;
  }

  /** Sends a request, and waits for its answer. @throws {SftpRefused} for a STATUS that is not OK */
  async ask(type: number, fill: (to: PacketWriter) => void): Promise<Packet> {
    const id = this.#nextId++;
    const answer = await this.#send(id, (to) => {
      to.begin(type).uint32(id);
      fill(to);
      to.end();
    });
    if (answer.type !== SFTP.STATUS) return answer;
    const fields = new FieldReader(answer.body);
    const [, code, message] = [fields.uint32(), fields.uint32(), fields.text()];
    if (code !== STATUS.OK) throw new SftpRefused(code, message);
    return answer;
  }

  /** The attributes of a path itself. @throws {SftpRefused} */
  async lstat(path: string): Promise<Attributes> {
    const { body } = await this.ask(SFTP.LSTAT, (to) => to.text(path));
    const fields = new FieldReader(body);
    fields.uint32();
    return fields.attributes();
  }

  /** What a symlink says. @throws {SftpRefused} */
  async readLink(path: string): Promise<string> {
    const { body } = await this.ask(SFTP.READLINK, (to) => to.text(path));
    const fields = new FieldReader(body);
    fields.uint32();
    if (fields.uint32() !== 1) throw new SftpError("A symlink with more than one target");
    return fields.text();
  }

  /** The entries of a directory, without `.` and `..`. @throws {SftpRefused} */
  async list(path: string): Promise<Entry[]> {
    const handle = await this.#open(SFTP.OPENDIR, (to) => to.text(path));
    const entries: Entry[] = [];
    try {
      while (true) {
        const fields = new FieldReader((await this.ask(SFTP.READDIR, (to) => to.bytes(handle))).body);
        fields.uint32();
        for (let count = fields.uint32(); count > 0; count--) {
          const name = fields.text();
          fields.bytes();
          const attributes = fields.attributes();
          if (name !== "." && name !== "..") entries.push({ name, attributes });
          if (entries.length > MOST_ENTRIES) {
            throw new SftpRefused(STATUS.FAILURE, `"${path}" has more than ${MOST_ENTRIES} entries`);
          }
        }
      }
    } catch (error) {
      if (!isEndOfFile(error)) throw error;
      return entries;
    } finally {
      await this.#close(handle);
    }
  }

  /** A file's content, in pieces and in order. @throws {SftpRefused} */
  async *read(path: string): AsyncIterable<Uint8Array> {
    const handle = await this.#open(SFTP.OPEN, (to) => to.text(path).uint32(OPEN.READ).attributes({}));
    const under: Promise<Packet>[] = [];
    let offset = 0;
    const more = () => {
      const at = offset;
      const asked = this.ask(SFTP.READ, (to) => to.bytes(handle).uint64(at).uint32(READ_BYTES));
      asked.catch(() => {}); // whoever takes it sees it
      offset += READ_BYTES;
      under.push(asked);
    };
    try {
      while (under.length < READS) more();
      for (let next; (next = under.shift()) !== undefined; more()) {
        const fields = new FieldReader((await next).body);
        fields.uint32();
        const bytes = fields.bytes();
        yield bytes;
        if (bytes.length < READ_BYTES) return; // files of the kind that is copied do not grow
      }
    } catch (error) {
      if (!isEndOfFile(error)) throw error;
    } finally {
      await Promise.allSettled(under);
      await this.#close(handle);
    }
  }

  async #open(type: number, fill: (to: PacketWriter) => void): Promise<Uint8Array> {
    const { body } = await this.ask(type, fill);
    const fields = new FieldReader(body);
    fields.uint32();
    return fields.bytes();
  }

  async #close(handle: Uint8Array): Promise<void> {
    await this.ask(SFTP.CLOSE, (to) => to.bytes(handle)).catch(() => {}); // a lost connection has closed it
  }

  async #send(id: number, fill: (to: PacketWriter) => void): Promise<Packet> {
    if (this.#ended) throw this.#ended;
    const answer = Promise.withResolvers<Packet>();
    this.#asked.set(id, answer);
    const writer = new PacketWriter();
    fill(writer);
    const bytes = writer.take();
    this.#sent = this.#sent.then(() => writeAll(this.#duplex, bytes));
    this.#sent.catch((error) => this.#end(error));
    return await answer.promise;
  }

  async #take(): Promise<void> {
    const reader = new PacketReader();
    const buffer = new Uint8Array(256 * 1024);
    for (let count; (count = await this.#duplex.read(buffer)) !== null;) {
      for (const packet of reader.push(buffer.subarray(0, count))) {
        const id = packet.type === SFTP.VERSION ? 0 : new FieldReader(packet.body).uint32();
        this.#asked.get(id)?.resolve({ ...packet, body: packet.body.slice() }); // it is looked at later
        this.#asked.delete(id);
      }
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#asked.values()) reject(this.#ended);
    this.#asked.clear();
    closeQuietly(this.#duplex);
  }
}

/** Whether it says that there is no more. */
function isEndOfFile(error: unknown): boolean {
  return error instanceof SftpRefused && error.code === STATUS.EOF;
}
