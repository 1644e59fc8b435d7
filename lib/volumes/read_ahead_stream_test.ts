import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { listenForHosts } from "@/agent/mod.ts";
import { FieldReader, OPEN, openPod, PacketReader, PacketWriter, SFTP, SftpError } from "@/pod/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import { closeQuietly, type Duplex, duplexPair, writeAll } from "@/util/mod.ts";
import { readAhead } from "./read_ahead_stream.ts";
import { SftpClient, SftpRefused } from "./sftp_client.ts";

const KIB = 1024;

/** Runs `body` with a directory, and with a connection that reads ahead to an agent that serves it. */
async function withAgent(
  body: (stream: Duplex, root: string) => Promise<void>,
  { chunkBytes = Infinity }: { chunkBytes?: number } = {},
): Promise<void> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    const { privateKey, publicKey } = await makeSessionKey();
    await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
    const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
    await greetAgent(carrier, privateKey, { version: "1" });
    await using pod = openPod(carrier);
    const { duplex } = await pod.files([root], { signal: new AbortController().signal });
    await body(inPieces(readAhead(inPieces(duplex, chunkBytes)), chunkBytes), root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** The same connection, of which no call takes more than so many bytes. */
function inPieces(duplex: Duplex, bytes: number): Duplex {
  return {
    read: (into) => duplex.read(into.subarray(0, bytes)),
    write: (from) => duplex.write(from.subarray(0, bytes)),
    closeWrite: () => duplex.closeWrite(),
    close: () => duplex.close(),
  };
}

/** The same with a client. */
async function withClient(
  chunkBytes: number,
  body: (client: SftpClient, root: string) => Promise<void>,
): Promise<void> {
  await withAgent(async (stream, root) => {
    await using client = await SftpClient.open(stream);
    await body(client, root);
  }, { chunkBytes });
}

async function open(client: SftpClient, path: string, flags: number): Promise<Uint8Array> {
  const { body } = await client.ask(SFTP.OPEN, (to) => to.text(path).uint32(flags).attributes({}));
  return new FieldReader(body.subarray(4)).bytes();
}

async function read(client: SftpClient, handle: Uint8Array, offset: number, length: number): Promise<Uint8Array> {
  try {
    const { body } = await client.ask(SFTP.READ, (to) => to.bytes(handle).uint64(offset).uint32(length));
    return new FieldReader(body.subarray(4)).bytes();
  } catch (error) {
    if (error instanceof SftpRefused) return new Uint8Array();
    throw error;
  }
}

Deno.test("readAhead() gives a file as it is, in whatever pieces the bytes come", async (t) => {
  for (const [chunkBytes, size] of [[1, 300], [7, 1000], [1000, 5000], [65536, 20_000]] as const) {
    await t.step(`${chunkBytes} bytes at a time`, async () => {
      await withClient(chunkBytes, async (client, root) => {
        const bytes = new Uint8Array(size * KIB + 17).map((_, at) => at * 7 + (at >> 8) + (at >> 16));
        await Deno.writeFile(`${root}/f`, bytes);
        const handle = await open(client, `${root}/f`, OPEN.READ);
        for (let offset = 0; offset < bytes.length; offset += 50_000) {
          equals(await read(client, handle, offset, 50_000), bytes.slice(offset, offset + 50_000));
        }
        equals(await read(client, handle, bytes.length, 1), new Uint8Array());
        const parts: Uint8Array<ArrayBuffer>[] = [];
        for await (const part of client.read(`${root}/f`)) parts.push(part.slice());
        equals(new Uint8Array(await new Blob(parts).arrayBuffer()), bytes);
      });
    });
  }
});

Deno.test("readAhead() shows each READ what was written before it, on two handles of one file", async (t) => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    await t.step(`seed ${seed}`, async () => {
      await withClient(seed % 2 ? 65536 : 1013, async (client, root) => {
        const random = randomOf(seed);
        let model = new Uint8Array(random(1500) * KIB + random(KIB)).map((_, at) => at ^ (at >> 8) ^ seed);
        await Deno.writeFile(`${root}/f`, model);
        const handles = [0, 1].map(() => open(client, `${root}/f`, OPEN.READ | OPEN.WRITE));
        const [one, other] = await Promise.all(handles);
        const places = [0, 0];
        const under: Promise<void>[] = [];
        for (let turn = 0; turn < 600; turn++) {
          const at = random(2);
          const handle = (at === 0 ? one : other) ?? new Uint8Array();
          const kind = random(100);
          if (kind < 3) {
            const bytes = new Uint8Array(1 + random(3000)).map(() => random(256));
            const offset = random(model.length + 1000);
            const grown = new Uint8Array(Math.max(model.length, offset + bytes.length));
            grown.set(model);
            grown.set(bytes, offset);
            model = grown;
            under.push(client.ask(SFTP.WRITE, (to) => to.bytes(handle).uint64(offset).bytes(bytes)).then(() => {}));
          } else if (kind < 4) {
            const size = Math.floor(model.length / 2) + random(model.length);
            const cut = new Uint8Array(size);
            cut.set(model.subarray(0, size));
            model = cut;
            under.push(client.ask(SFTP.FSETSTAT, (to) => to.bytes(handle).attributes({ size })).then(() => {}));
          } else {
            if (kind < 8) places[at] = random(model.length);
            const offset = places[at] ?? 0;
            const length = 1 + random(128 * KIB);
            places[at] = offset + length > model.length ? 0 : offset + length;
            const want = model.slice(offset, offset + length);
            under.push(read(client, handle, offset, length).then((got) => ok(same(got, want), `turn ${turn}`)));
          }
          if (under.length > random(12)) await under.shift();
        }
        await Promise.all(under);
      });
    });
  }
});

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** Numbers below what is asked for, the same ones for a seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed * 7919;
  return (below) => (state = (state * 48271) % 0x7fffffff) % below;
}

Deno.test("readAhead() takes no more from a client that does not read its answers", async () => {
  await withAgent(async (stream, root) => {
    await Deno.writeFile(`${root}/f`, new Uint8Array(1000 * KIB));
    const client = new Client(stream);
    await client.send(SFTP.INIT, 3, () => {});
    equals(await client.answers(1), [SFTP.VERSION]);
    const ask = (handle: number, offset: number) =>
      client.send(SFTP.READ, handle, (to) => to.uint32(4).uint32(handle).uint64(offset).uint32(64 * KIB));
    const handles = Array.from({ length: 20 }, (_, nth) => 1 + nth);
    for (const handle of handles) { // as the agent numbers them
      await client.send(SFTP.OPEN, handle, (to) => to.text(`${root}/f`).uint32(OPEN.READ).attributes({}));
      equals(await client.answers(1), [SFTP.HANDLE]);
      for (const nth of [0, 1]) {
        await ask(handle, nth * 64 * KIB);
        equals(await client.answers(1), [SFTP.DATA]);
      }
    }
    await client.send(SFTP.LSTAT, 0, (to) => to.text(root)); // by its answer all that was asked ahead is here
    equals(await client.answers(1), [SFTP.ATTRS]);
    let taken = 0;
    const asking = (async () => {
      for (const nth of [2, 3, 4, 5]) {
        for (const handle of handles) await ask(handle, nth * 64 * KIB).then(() => taken++);
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    ok(taken < 20, `${taken} answers are held`);
    equals((await client.answers(80)).length, 80);
    await asking;
    await client.send(SFTP.LSTAT, 0, (to) => to.text(root));
    equals(await client.answers(1), [SFTP.ATTRS]);
    const writer = new PacketWriter();
    for (const handle of handles) {
      for (const nth of [6, 7]) {
        writer.begin(SFTP.READ).uint32(handle).uint32(4).uint32(handle).uint64(nth * 64 * KIB).uint32(64 * KIB).end();
      }
    }
    const [answers] = await Promise.all([client.answers(40), writeAll(stream, writer.take())]);
    equals(answers.length, 40, "also those that were asked for in one piece");
    await stream.closeWrite();
    equals(await stream.read(new Uint8Array(1)), null);
    stream.close();
  });
});

/** A client that sends what it is told and counts what comes. */
class Client {
  readonly #stream: Duplex;
  readonly #reader = new PacketReader();
  readonly #buffer = new Uint8Array(65536);

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  async send(type: number, id: number, fill: (to: PacketWriter) => void): Promise<void> {
    const writer = new PacketWriter().begin(type).uint32(id);
    fill(writer);
    await writeAll(this.#stream, writer.end().take());
  }

  /** The types of the next answers. */
  async answers(count: number): Promise<number[]> {
    const types: number[] = [];
    while (types.length < count) {
      const read = await this.#stream.read(this.#buffer) ?? 0;
      types.push(...this.#reader.push(this.#buffer.subarray(0, read)).map(({ type }) => type));
    }
    return types;
  }
}

Deno.test("readAhead() ends at what is no SFTP, from either side, and at the end of the server's", async (t) => {
  const random = randomOf(3);
  const noise = () => new Uint8Array(1 + random(60)).map((_, at) => at % 4 < 3 && at < 4 ? 0 : random(256));
  await t.step("from the server", async () => {
    for (let round = 0; round < 300; round++) {
      const [there, here] = duplexPair({ chunkBytes: 1 + random(30) });
      const stream = readAhead(here);
      await writeAll(there, noise());
      await there.closeWrite();
      const buffer = new Uint8Array(100);
      try {
        while (await stream.read(buffer) !== null);
      } catch (error) {
        ok(error instanceof SftpError, String(error));
      }
      closeQuietly(stream);
    }
  });
  await t.step("from the client", async () => {
    for (let round = 0; round < 300; round++) {
      const stream = readAhead(duplexPair()[1]);
      await writeAll(stream, noise()).catch((error) => ok(error instanceof SftpError, String(error)));
      closeQuietly(stream);
    }
  });
  await t.step("a reset", async () => {
    const [there, here] = duplexPair();
    const stream = readAhead(here);
    const reading = rejects(stream.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
    there.close();
    await reading;
    await rejects(stream.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  });
});

Deno.test("readAhead() ends when nothing more can be asked, though nobody asks", async () => {
  const [there, here] = duplexPair();
  let isRefused = false;
  const refused = new SftpError("A file that went with its pod");
  const stream = readAhead({
    read: (into) => here.read(into),
    write: (bytes) => isRefused ? Promise.reject(refused) : here.write(bytes),
    closeWrite: () => here.closeWrite(),
    close: () => here.close(),
  });
  const [client, server] = [new Client(stream), new Client(there)];
  await client.send(SFTP.OPEN, 0, (to) => to.text("/f").uint32(OPEN.READ).attributes({}));
  await server.send(SFTP.HANDLE, 0, (to) => to.uint32(4).uint32(1));
  equals(await client.answers(1), [SFTP.HANDLE]);
  for (const nth of [0, 1, 2]) {
    await client.send(SFTP.READ, nth, (to) => to.uint32(4).uint32(1).uint64(nth * 64 * KIB).uint32(64 * KIB));
  }
  isRefused = true;
  const answering = (async () => {
    for (const [id, length] of [[1, 64], [2, 64], [3, 128]] as const) {
      await server.send(SFTP.DATA, id, (to) => to.bytes(new Uint8Array(length * KIB)));
    }
  })();
  equals(await client.answers(3), [SFTP.DATA, SFTP.DATA, SFTP.DATA]);
  await answering;
  await rejects(stream.read(new Uint8Array(1)), refused); // the window has grown, and was to be asked for
  stream.close();
});
