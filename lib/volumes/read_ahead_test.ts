import { deepStrictEqual as equals, ok, throws } from "node:assert/strict";
import {
  decodeSftpRequest,
  FieldReader,
  OPEN,
  OPEN_AND_READ,
  type Packet,
  PacketReader,
  PacketWriter,
  SFTP,
  SFTP_VERSION,
  SftpError,
  type SftpRequest,
  STATUS,
} from "@/pod/mod.ts";
import { type Full, ReadAhead } from "./read_ahead.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** An answer, as the client that asked for it sees it. */
type Answer =
  | Uint8Array
  | "EOF"
  | { readonly status: number; readonly why?: string }
  | { readonly handle: number }
  | { readonly size: number }
  | { readonly target: string };

/** A machine between a client and a server that are both this test, with a clock that it sets. */
class Scene {
  now = 1_000_000;
  readonly #up = new PacketWriter();
  readonly #down = new PacketWriter();
  readonly ahead = new ReadAhead({
    toServer: () => this.#up,
    toClient: () => this.#down,
    now: () => this.now,
    full: (refusal) => void this.full.push(refusal),
  });
  /** What there was no room for. */
  readonly full: Full[] = [];
  #nextId = 0;
  /** Requests that the server has yet to answer. */
  readonly asked: { readonly id: number; readonly request: SftpRequest }[] = [];
  readonly answers = new Map<number, Answer>();

  /** The client asks. @returns the number that it chose */
  ask(type: number, fill: (to: PacketWriter) => void): number {
    const id = this.#nextId++;
    const writer = new PacketWriter().begin(type).uint32(id);
    fill(writer);
    writer.end();
    for (const packet of packetsOf(writer)) this.ahead.request(packet);
    this.#sort();
    return id;
  }

  open(path: string, flags: number): number {
    return this.ask(SFTP.OPEN, (to) => to.text(path).uint32(flags).attributes({}));
  }

  read(handle: number, offset: number, length = 64 * KIB): number {
    return this.ask(SFTP.READ, (to) => to.uint32(4).uint32(handle).uint64(offset).uint32(length));
  }

  /** The server answers the request that it has had for longest. */
  answer(answer: (request: SftpRequest) => Answer): SftpRequest {
    const { id, request } = this.asked.shift() ?? fail("Nothing was asked");
    this.answerTo(id, answer(request));
    return request;
  }

  answerTo(id: number, answer: Answer): void {
    const writer = new PacketWriter();
    if (answer instanceof Uint8Array) writer.begin(SFTP.DATA).uint32(id).bytes(answer);
    else if (answer === "EOF") writer.begin(SFTP.STATUS).uint32(id).uint32(STATUS.EOF).text("").text("");
    else if ("status" in answer) {
      writer.begin(SFTP.STATUS).uint32(id).uint32(answer.status).text(answer.why ?? "").text("");
    } else if ("handle" in answer) writer.begin(SFTP.HANDLE).uint32(id).uint32(4).uint32(answer.handle);
    else if ("target" in answer) {
      writer.begin(SFTP.NAME).uint32(id).uint32(1).text(answer.target).text("").attributes({});
    } else writer.begin(SFTP.ATTRS).uint32(id).attributes({ size: answer.size });
    for (const packet of packetsOf(writer.end())) this.ahead.answer(packet);
    this.#sort();
  }

  answerAll(answer: (request: SftpRequest) => Answer): void {
    while (this.asked.length > 0) this.answer(answer);
  }

  /** Opens a file. @returns its handle, which is the number of the request */
  opened(path = "/f", flags: number = OPEN.READ): number {
    const id = this.open(path, flags);
    this.answer(() => ({ handle: id }));
    return id;
  }

  /** Which READs the server has. */
  get reads(): (readonly [number, number])[] {
    return this.asked.flatMap(({ request }) =>
      request.ask === "read" ? [[request.offset, request.length] as const] : []
    );
  }

  #sort(): void {
    for (const packet of packetsOf(this.#up)) this.asked.push(decodeSftpRequest(packet));
    for (const { type, body } of packetsOf(this.#down)) {
      const fields = new FieldReader(body);
      const id = fields.uint32();
      ok(!this.answers.has(id), `${id} is answered twice`);
      this.answers.set(id, answerOf(type, fields));
    }
  }
}

function answerOf(type: number, fields: FieldReader): Answer {
  if (type === SFTP.DATA) return fields.bytes().slice();
  if (type === SFTP.HANDLE) return { handle: new FieldReader(fields.bytes()).uint32() };
  if (type === SFTP.ATTRS) return { size: fields.attributes().size ?? 0 };
  const status = fields.uint32(); // of a NAME: how many there are
  if (type === SFTP.NAME) return { target: fields.text() };
  return status === STATUS.EOF ? "EOF" : { status };
}

function packetsOf(writer: PacketWriter): Packet[] {
  return new PacketReader().push(writer.take().slice());
}

function fail(message: string): never {
  throw new Error(message);
}

/** That a READ was answered with these bytes; not by `equals`, which would search minutes for how to show a difference. */
function gets(scene: Scene, id: number, want: Uint8Array): void {
  const got = scene.answers.get(id);
  ok(got instanceof Uint8Array, `READ ${id} was answered with ${got}`);
  equals(got.length, want.length);
  for (let at = 0; at < want.length; at++) if (got[at] !== want[at]) fail(`Byte ${at} of READ ${id} is another`);
}

/** A file as the server has it: no two blocks of 64 KiB of it are equal until all are again. */
const PATTERN = new Uint8Array(16 * MIB).map((_, at) => (at * 7 + (at >> 8) + (at >> 16)) & 255);
const content = (offset: number, length: number) => {
  const at = offset % (PATTERN.length - MIB);
  return PATTERN.slice(at, at + length);
};
const serve = (request: SftpRequest): Answer => {
  return request.ask === "read" ? content(request.offset, request.length) : { status: STATUS.OK };
};

/** A scene in which a file was read from front to back so far that there is something ahead of `at`. */
function steady(flags: number = OPEN.READ): { scene: Scene; handle: number; at: number } {
  const scene = new Scene();
  const handle = scene.opened("/f", flags);
  for (const offset of [0, 64 * KIB]) {
    scene.read(handle, offset);
    scene.answer(serve);
  }
  scene.answerAll(serve);
  equals(scene.ahead.bytes, 256 * KIB);
  return { scene, handle, at: 128 * KIB };
}

Deno.test("ReadAhead answers the READs of a sequence from what it asked for ahead", () => {
  const { scene, handle, at } = steady();
  for (let offset = at; offset < 40 * MIB; offset += 64 * KIB) {
    const id = scene.read(handle, offset);
    const asked = scene.reads;
    ok(asked.every(([ahead]) => ahead >= offset), "nothing is asked twice");
    scene.now += 5;
    scene.answerAll(serve);
    gets(scene, id, content(offset, 64 * KIB));
    ok(scene.ahead.bytes <= 8 * MIB + 512 * KIB, `${scene.ahead.bytes} ahead of one file`);
  }
});

Deno.test("ReadAhead takes READs that the kernel asks from several threads as one sequence", () => {
  const scene = new Scene();
  const handle = scene.opened();
  for (let offset = 0; offset < 4 * MIB; offset += 128 * KIB) {
    const ids = [scene.read(handle, offset + 64 * KIB), scene.read(handle, offset)];
    scene.answerAll(serve);
    ids.forEach((id, at) => gets(scene, id, content(offset + (1 - at) * 64 * KIB, 64 * KIB)));
  }
  ok(scene.ahead.bytes > 0);
});

Deno.test("ReadAhead asks for nothing that is read at random, or is small", () => {
  const scene = new Scene();
  const handle = scene.opened();
  let state = 1;
  for (let turn = 0; turn < 2000; turn++) {
    state = (state * 48271) % 0x7fffffff;
    scene.read(handle, (state % 1000) * 256 * KIB, 4 * KIB);
    equals(scene.asked.length, 1, "the READ itself alone");
    scene.answer(serve);
  }
  const small = scene.opened("/small");
  for (const [offset, length] of [[0, 16], [16, 32], [48, 64]] as const) {
    scene.read(small, offset * KIB, length * KIB);
    scene.answer(serve);
  }
  equals(scene.ahead.bytes, 0);
});

/**
 * A reader that asks for 64 KiB at a time, over a path of a round trip and a rate.
 *
 * @returns at which rate it read the second half, how long the answers of that stood in a queue at most, and in how many
 * messages they were asked for
 */
function readOver(
  { rttMs, rate }: { rttMs: number; rate: number },
): { rate: number; queuedMs: number; messages: number } {
  const scene = new Scene();
  const handle = scene.open("/f", OPEN.READ);
  scene.now += rttMs;
  scene.answer(() => ({ handle }));
  const due = new Map<number, number>();
  let [freeAt, queuedMs, halfAt, messages] = [0, 0, 0, 0];
  const size = 32 * MIB;
  for (let offset = 0; offset < size; offset += 64 * KIB) {
    if (offset === size / 2) [halfAt, queuedMs, messages] = [scene.now, 0, 0];
    const id = scene.read(handle, offset);
    while (!scene.answers.has(id)) {
      if (scene.asked.some(({ id }) => !due.has(id))) messages++; // what is asked at once goes out together
      for (const { id, request } of scene.asked) {
        if (due.has(id) || request.ask !== "read") continue;
        queuedMs = Math.max(queuedMs, freeAt - scene.now - rttMs);
        freeAt = Math.max(freeAt, scene.now + rttMs) + request.length / rate;
        due.set(id, freeAt);
      }
      const [{ id: next } = fail("Nothing is under way")] = scene.asked;
      scene.now = due.get(next) ?? fail("Not due");
      due.delete(next);
      scene.answer(serve);
    }
    scene.answers.delete(id); // others look at what they are
  }
  return { rate: size / 2 / (scene.now - halfAt), queuedMs, messages };
}

Deno.test("ReadAhead fills a path of any length, and stands in no long queue of its own", () => {
  const table = [[0.2, 400], [1, 50], [20, 50], [20, 200], [80, 50], [80, 2], [300, 20]] as const;
  for (const [rttMs, megabytesPerSecond] of table) {
    const rate = megabytesPerSecond * 1000;
    const read = readOver({ rttMs, rate });
    const said = `${rttMs} ms, ${megabytesPerSecond} MB/s: ${read.rate / 1000} MB/s, ${read.queuedMs} ms in a queue`;
    ok(read.rate >= 0.8 * rate, said);
    ok(read.queuedMs <= 2 * (2 * rttMs + 30) + 256 * KIB / rate, said);
  }
});

Deno.test("ReadAhead asks for several pieces in one message, where it asks for many", () => {
  const { messages } = readOver({ rttMs: 20, rate: 200_000 });
  const pieces = 16 * MIB / (128 * KIB);
  ok(messages <= pieces / 3, `${messages} messages for ${pieces} pieces`);
});

Deno.test("ReadAhead answers with nothing that was asked for longer than a second ago", () => {
  const { scene, handle, at } = steady();
  scene.now += 1001;
  const id = scene.read(handle, at);
  equals(scene.reads[0], [at, 64 * KIB]);
  scene.answer(() => new Uint8Array(64 * KIB).fill(9));
  gets(scene, id, new Uint8Array(64 * KIB).fill(9));
});

Deno.test("ReadAhead lets READs wait for what is under way, however long that takes", () => {
  const { scene, handle, at } = steady();
  const offsets = Array.from({ length: 8 }, (_, nth) => at + nth * 64 * KIB);
  const ids = offsets.map((offset) => scene.read(handle, offset));
  equals(scene.answers.has(ids[4] ?? 0), false);
  ok(scene.reads.every(([, length]) => length === 128 * KIB), "none is asked again");
  scene.now += 10_000; // all carriers are lost, and come back
  scene.answerAll(serve);
  for (const [nth, id] of ids.entries()) gets(scene, id, content(offsets[nth] ?? 0, 64 * KIB));
});

Deno.test("ReadAhead has the server say where a file ends, each time", () => {
  const { scene, handle, at } = steady();
  const size = at + 300 * KIB;
  const ends = (request: SftpRequest): Answer => {
    if (request.ask !== "read") return { status: STATUS.OK };
    const count = Math.min(request.length, Math.max(0, size - request.offset));
    return count === 0 ? "EOF" : content(request.offset, count);
  };
  for (let offset = at; offset < size; offset += 64 * KIB) {
    const id = scene.read(handle, offset);
    scene.answerAll(ends);
    gets(scene, id, content(offset, Math.min(64 * KIB, size - offset)));
  }
  for (let turn = 0; turn < 5; turn++) { // as `tail -f` does
    const id = scene.read(handle, size);
    equals(scene.reads, [[size, 64 * KIB]]);
    scene.answer(turn < 4 ? ends : serve);
    equals(scene.answers.get(id), turn < 4 ? "EOF" : content(size, 64 * KIB));
  }
});

Deno.test("ReadAhead gives an error to the READ that it belongs to, and to no other", () => {
  const { scene, handle, at } = steady();
  scene.read(handle, at);
  const ids = [1, 2, 3, 4].map((nth) => scene.read(handle, at + nth * 64 * KIB));
  const fails = (request: SftpRequest): Answer => {
    return request.ask === "read" && request.offset >= at + 256 * KIB ? { status: STATUS.FAILURE } : serve(request);
  };
  scene.answerAll(fails);
  for (const [nth, id] of ids.entries()) {
    const want = nth === 3 ? { status: STATUS.FAILURE } : content(at + (nth + 1) * 64 * KIB, 64 * KIB);
    equals(scene.answers.get(id), want);
  }
  equals(scene.ahead.bytes <= 256 * KIB, true);
});

Deno.test("ReadAhead drops what a request through the same connection may have made untrue", async (t) => {
  const path = (to: PacketWriter) => void to.text("/f");
  const handles = (handle: number) => (to: PacketWriter) => to.uint32(4).uint32(handle);
  const rename = (name: string, from: string, to: string) => (writer: PacketWriter) => {
    writer.text(name).text(from).text(to);
  };
  const drops: Readonly<Record<string, (scene: Scene, handle: number) => void>> = {
    WRITE: (scene, handle) => scene.ask(SFTP.WRITE, (to) => handles(handle)(to).uint64(0).text("x")),
    "WRITE by another handle": (scene) => {
      const other = scene.opened("/f", OPEN.WRITE);
      scene.ask(SFTP.WRITE, (to) => handles(other)(to).uint64(1e9).text("x"));
    },
    "WRITE to a file that was renamed, by its new name": (scene) => {
      scene.ask(SFTP.RENAME, (to) => to.text("/f").text("/g"));
      const other = scene.opened("/g", OPEN.WRITE | OPEN.READ);
      scene.ask(SFTP.WRITE, (to) => handles(other)(to).uint64(1e9).text("x"));
    },
    FSETSTAT: (scene, handle) => scene.ask(SFTP.FSETSTAT, (to) => handles(handle)(to).attributes({ size: 3 })),
    SETSTAT: (scene) => scene.ask(SFTP.SETSTAT, (to) => to.text("/f").attributes({ size: 3 })),
    REMOVE: (scene) => scene.ask(SFTP.REMOVE, path),
    RENAME: (scene) => scene.ask(SFTP.RENAME, (to) => to.text("/f").text("/g")),
    "RENAME over it": (scene) => scene.ask(SFTP.EXTENDED, rename("posix-rename@openssh.com", "/g", "/f")),
    "RENAME of a directory above it": (scene) => scene.ask(SFTP.EXTENDED, rename("posix-rename@openssh.com", "", "/x")),
    "a hard link": (scene) => scene.ask(SFTP.EXTENDED, rename("hardlink@openssh.com", "/f", "/g")),
    "OPEN for writing": (scene) => scene.open("/f", OPEN.WRITE),
    "OPEN that truncates": (scene) => scene.open("/f", OPEN.READ | OPEN.TRUNCATE),
    CLOSE: (scene, handle) => scene.ask(SFTP.CLOSE, handles(handle)),
    "attributes that are others than before": (scene) => {
      for (const size of [5, 6]) {
        scene.ask(SFTP.LSTAT, path);
        scene.answer(() => ({ size }));
      }
    },
  };
  for (const [name, change] of Object.entries(drops)) {
    await t.step(name, () => {
      const { scene, handle, at } = steady(OPEN.READ | OPEN.WRITE);
      change(scene, handle);
      const before = scene.asked.length;
      scene.read(handle, at);
      const [last] = scene.asked.slice(before);
      equals(last?.request.ask === "read" && last.request.offset, at, "the server is asked, after the change");
      equals(scene.asked.length, before + 1, "and nothing ahead");
    });
  }
  const keeps: Readonly<Record<string, (scene: Scene) => void>> = {
    "WRITE to another file": (scene) => {
      const other = scene.opened("/other", OPEN.WRITE);
      scene.ask(SFTP.WRITE, (to) => to.uint32(4).uint32(other).uint64(0).text("x"));
    },
    "the same attributes as before": (scene) => {
      for (let turn = 0; turn < 2; turn++) {
        scene.ask(SFTP.LSTAT, path);
        scene.answer(() => ({ size: 5 }));
      }
    },
    "another handle that is closed": (scene) => {
      const other = scene.opened();
      scene.ask(SFTP.CLOSE, (to) => to.uint32(4).uint32(other));
    },
  };
  for (const [name, change] of Object.entries(keeps)) {
    await t.step(`but not ${name}`, () => {
      const { scene, handle, at } = steady();
      change(scene);
      const id = scene.read(handle, at);
      gets(scene, id, content(at, 64 * KIB));
    });
  }
});

Deno.test("ReadAhead sends a READ that waits before a request that drops what it waits for", () => {
  for (const type of [SFTP.WRITE, SFTP.CLOSE]) {
    const { scene, handle, at } = steady(OPEN.READ | OPEN.WRITE);
    for (let offset = at; scene.asked.length === 0; offset += 64 * KIB) scene.read(handle, offset);
    const [[offset = 0] = []] = scene.reads;
    const id = scene.read(handle, offset);
    scene.asked.splice(0);
    scene.ask(type, (to) => {
      to.uint32(4).uint32(handle);
      if (type === SFTP.WRITE) to.uint64(0).text("x");
    });
    equals(scene.asked.map(({ request }) => request.ask), ["read", type === SFTP.WRITE ? "write" : "close"]);
    scene.answerAll(serve);
    gets(scene, id, content(offset, 64 * KIB));
  }
});

Deno.test("ReadAhead holds 16 MiB for all files together, and lets go of what is too old", () => {
  const scene = new Scene();
  const handles = Array.from({ length: 100 }, (_, nth) => scene.opened(`/f${nth}`));
  const readAll = (from: number) => {
    for (const handle of handles) for (const nth of [0, 1]) scene.read(handle, from + nth * 64 * KIB);
  };
  readAll(0);
  equals(scene.ahead.bytes, 16 * MIB);
  ok(scene.reads.reduce((sum, [, length]) => sum + length, 0) <= (16 + 100 / 8) * MIB);
  scene.answerAll(serve);
  for (let from = 128 * KIB; from < 2 * MIB; from += 128 * KIB) {
    readAll(from);
    scene.answerAll(serve);
    ok(scene.ahead.bytes <= 16 * MIB);
  }
  scene.now += 2000;
  const late = scene.opened("/late");
  for (const offset of [0, 64 * KIB]) scene.read(late, offset);
  ok(scene.reads.length > 2, "others' old pieces make room");
  scene.answerAll(serve);
  for (const handle of [...handles, late]) scene.ask(SFTP.CLOSE, (to) => to.uint32(4).uint32(handle));
  scene.answerAll(serve);
  equals(scene.ahead.bytes, 0);
});

Deno.test("ReadAhead refuses answers that nobody asked for, or that are more than was asked for", () => {
  const { scene, handle, at } = steady();
  const packet = (type: number, id: number) => packetsOf(new PacketWriter().begin(type).uint32(id).text("x").end());
  for (const [one] of [packet(SFTP.DATA, 4711), packet(SFTP.STATUS, 1), packet(SFTP.HANDLE, 0)]) {
    throws(() => scene.ahead.answer(one ?? fail("none")), SftpError);
  }
  for (let offset = at; scene.asked.length === 0; offset += 64 * KIB) scene.read(handle, offset);
  throws(() => scene.answer(() => new Uint8Array(129 * KIB)), SftpError);
});

/** A scene whose server reads as it opens, and a file of 3000 bytes that was opened there. */
function small(content: Answer = PATTERN.slice(0, 3000)): { scene: Scene; handle: number } {
  const scene = new Scene();
  const version = new PacketWriter().begin(SFTP.VERSION).uint32(SFTP_VERSION).text(OPEN_AND_READ).text("1").end();
  for (const packet of packetsOf(version)) scene.ahead.answer(packet);
  scene.answers.clear();
  const handle = scene.open("/f", OPEN.READ);
  const [{ id, request } = fail("Nothing was asked")] = scene.asked;
  ok(request.ask === "open-and-read" && request.path === "/f");
  scene.asked.shift();
  scene.answerTo(id, { handle });
  scene.answerTo(request.readId, content);
  return { scene, handle };
}

Deno.test("ReadAhead has a small file come with its handle, where the server can", () => {
  const { scene, handle } = small();
  const ids = [[0, 1000], [1000, 4096]].map(([offset = 0, length]) => scene.read(handle, offset, length));
  equals(scene.asked, []);
  equals(ids.map((id) => scene.answers.get(id)), [PATTERN.slice(0, 1000), PATTERN.slice(1000, 3000)]);
  equals(scene.ahead.bytes, 0);
  scene.read(handle, 0, 4096);
  equals(scene.reads, [[0, 4096]], "its end is told once");
});

Deno.test("ReadAhead asks for a small file that came too long ago, was written, or did not come", async (t) => {
  const late: Readonly<Record<string, () => { scene: Scene; handle: number }>> = {
    "more than a second ago": () => {
      const { scene, handle } = small();
      scene.now += 1001;
      return { scene, handle };
    },
    "written by its path": () => {
      const { scene, handle } = small();
      scene.open("/f", OPEN.WRITE);
      scene.asked.shift();
      return { scene, handle };
    },
    "too large": () => small({ status: STATUS.OP_UNSUPPORTED }),
    "read behind its end": () => {
      const { scene, handle } = small();
      scene.read(handle, 3000);
      scene.asked.shift();
      return { scene, handle };
    },
  };
  for (const [name, make] of Object.entries(late)) {
    await t.step(name, () => {
      const { scene, handle } = make();
      scene.read(handle, 0, 4096);
      equals(scene.reads, [[0, 4096]]);
      equals(scene.ahead.bytes, 0);
    });
  }
});

Deno.test("ReadAhead passes on that a small file cannot be opened, and refuses more than it asked for", () => {
  const { scene } = small();
  const id = scene.open("/g", OPEN.READ);
  scene.answer(() => ({ status: STATUS.NO_SUCH_FILE }));
  equals(scene.answers.get(id), { status: STATUS.NO_SUCH_FILE });
  equals(scene.ahead.bytes, 3000);
  throws(() => small(new Uint8Array(65 * KIB)), SftpError);
});

Deno.test("ReadAhead passes on what a symlink says, and refuses one that would lead out of the mount", () => {
  const scene = new Scene();
  const says = (path: string, target: string) => {
    const id = scene.ask(SFTP.READLINK, (to) => to.text(path));
    scene.answer(() => ({ target }));
    return scene.answers.get(id);
  };
  for (const target of ["..data/a", "../../x", ".", "", "../..", "./../b/c"]) {
    equals(says("/a/b/link", target), { target });
  }
  for (const target of ["/etc/passwd", "../../../x", "b/../../../../x", "x/..", "../../.."]) {
    equals(says("/a/b/link", target), { status: STATUS.PERMISSION_DENIED }, target);
  }
  const id = scene.ask(SFTP.READLINK, (to) => to.text("/a"));
  scene.answer(() => ({ status: STATUS.NO_SUCH_FILE }));
  equals(scene.answers.get(id), { status: STATUS.NO_SUCH_FILE });
});

Deno.test("ReadAhead hears that there is no room, and for what", () => {
  const scene = new Scene();
  const handle = scene.opened("/data/f", OPEN.WRITE);
  const answers: readonly Answer[] = [
    { status: STATUS.NO_SPACE, why: "ENOSPC: No space left on device (os error 28)" },
    { status: STATUS.OK, why: "ENOSPC" },
    { status: STATUS.FAILURE, why: "EEXIST: not about ENOSPC" },
    { status: STATUS.NO_SPACE, why: "EDQUOT: Disk quota exceeded" },
    { status: STATUS.NO_SPACE, why: "ENOSPC" },
  ];
  for (let count = 0; count < 3; count++) {
    scene.ask(SFTP.WRITE, (to) => to.uint32(4).uint32(handle).uint64(0).text("x"));
  }
  scene.ask(SFTP.MKDIR, (to) => to.text("/data/d").attributes({}));
  scene.ask(SFTP.WRITE, (to) => to.uint32(4).uint32(handle + 1).uint64(0).text("x"));
  for (const answer of answers) scene.answer(() => answer);
  equals(scene.full, [
    { path: "/data/f", errno: "ENOSPC" },
    { path: "/data/d", errno: "EDQUOT" },
    { path: undefined, errno: "ENOSPC" },
  ]);
});
