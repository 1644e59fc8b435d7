import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import {
  FieldReader,
  OPEN,
  OPEN_AND_READ,
  PacketReader,
  PacketWriter,
  SFTP,
  SFTP_VERSION,
  SftpError,
  STATUS,
} from "@/pod/mod.ts";
import { type Duplex, duplexPair, messageOf, writeAll } from "@/util/mod.ts";
import { SftpClient, SftpRefused } from "@/volumes/mod.ts";
import { FileTree } from "./file_tree.ts";
import { serveFiles } from "./files.ts";

/** Runs `body` with a client of a server of one volume, a new directory, at each way of cutting the bytes. */
function check(
  name: string,
  body: (client: SftpClient, root: string) => Promise<void>,
  pieces: readonly number[] = [65536, 1000, 1],
): void {
  Deno.test(`serveFiles() ${name}`, async (t) => {
    for (const chunkBytes of pieces) {
      await t.step(`in pieces of ${chunkBytes} bytes`, async () => {
        const root = await Deno.realPath(await Deno.makeTempDir());
        const [there, here] = duplexPair({ chunkBytes });
        const serving = serveFiles(there, await FileTree.of([root])).finally(() => there.close());
        try {
          await using client = await SftpClient.open(here);
          await body(client, root);
        } finally {
          await serving.catch(() => {}); // what the client saw of it is the better story
          await Deno.remove(root, { recursive: true });
        }
      });
    }
  });
}

async function open(client: SftpClient, path: string, flags: number, mode = 0o644): Promise<Uint8Array> {
  const { body } = await client.ask(SFTP.OPEN, (to) => to.text(path).uint32(flags).attributes({ mode }));
  return new FieldReader(body.subarray(4)).bytes();
}

async function write(client: SftpClient, handle: Uint8Array, offset: number, text: string): Promise<void> {
  await client.ask(SFTP.WRITE, (to) => to.bytes(handle).uint64(offset).text(text));
}

async function read(client: SftpClient, handle: Uint8Array, offset: number, length: number): Promise<string> {
  const { body } = await client.ask(SFTP.READ, (to) => to.bytes(handle).uint64(offset).uint32(length));
  return new FieldReader(body.subarray(4)).text();
}

const refusedWith = (code: number) => (error: unknown) => {
  ok(error instanceof SftpRefused, String(error));
  equals(error.code, code, error.message);
  return true;
};

check("writes, reads, truncates and closes at any offset", async (client, root) => {
  const handle = await open(client, `${root}/f`, OPEN.READ | OPEN.WRITE | OPEN.CREATE, 0o640);
  await write(client, handle, 0, "hello");
  await write(client, handle, 2 ** 31 + 5, "far");
  equals(await read(client, handle, 1, 3), "ell");
  equals(await read(client, handle, 2 ** 31 + 4, 100), "\0far");
  await rejects(read(client, handle, 2 ** 32, 1), refusedWith(STATUS.EOF));
  await client.ask(SFTP.FSETSTAT, (to) => to.bytes(handle).attributes({ size: 3 }));
  equals(await read(client, handle, 0, 100), "hel");
  await client.ask(SFTP.EXTENDED, (to) => to.text("fsync@openssh.com").bytes(handle));
  await client.ask(SFTP.CLOSE, (to) => to.bytes(handle));
  await rejects(read(client, handle, 0, 1), refusedWith(STATUS.FAILURE));
  const { size, mode } = await client.lstat(`${root}/f`);
  equals([size, mode], [3, 0o100640]);
});

check("answers READs and WRITEs that come together as it answers each alone", async (client, root) => {
  const path = `${root}/f`;
  const handle = await open(client, path, OPEN.READ | OPEN.WRITE | OPEN.CREATE);
  await Promise.all([
    ...["abc", "defg", "", "hi"].map((text, at) => write(client, handle, [0, 3, 7, 7][at] ?? 0, text)),
    write(client, handle, 12, "z"),
    write(client, handle, 1, "B"),
  ]);
  equals(await Deno.readTextFile(path), "aBcdefghi\0\0\0z");
  const other = await open(client, path, OPEN.READ);
  const asked = [[handle, 0, 2], [handle, 2, 3], [other, 5, 1], [handle, 6, 5], [handle, 11, 300_000], [handle, 13, 1]];
  const texts = asked.map(([of, offset, length]) => read(client, of as Uint8Array, Number(offset), Number(length)));
  const end = texts.pop() ?? Promise.reject();
  equals(await Promise.all(texts), ["aB", "cde", "f", "ghi\0\0", "\0z"]);
  await rejects(end, refusedWith(STATUS.EOF));
  const beyond = [9, 13, 20].map((offset, at) => read(client, handle, offset, [4, 7, 1][at] ?? 0));
  equals(await beyond[0], "\0\0\0z");
  for (const one of beyond.slice(1)) await rejects(one, refusedWith(STATUS.EOF));
  const refused = [write(client, other, 0, "x"), write(client, other, 1, "y")];
  for (const one of await Promise.allSettled(refused)) equals(one.status, "rejected");
  const end1 = await open(client, path, OPEN.WRITE | OPEN.APPEND);
  await Promise.all([write(client, end1, 13, "1"), write(client, end1, 14, "2")]);
  equals((await Deno.readTextFile(path)).slice(12), "z12");
});

check("opens by each combination of flags as the kernel does", async (client, root) => {
  const path = `${root}/f`;
  await rejects(open(client, path, OPEN.READ), refusedWith(STATUS.NO_SUCH_FILE));
  await client.ask(SFTP.CLOSE, (to) => to.bytes(new Uint8Array(4))).catch(() => {});
  await write(client, await open(client, path, OPEN.WRITE | OPEN.CREATE | OPEN.EXCLUSIVE), 0, "12345");
  await rejects(open(client, path, OPEN.WRITE | OPEN.CREATE | OPEN.EXCLUSIVE), refusedWith(STATUS.FAILURE));
  await write(client, await open(client, path, OPEN.WRITE | OPEN.CREATE, 0o777), 0, "x");
  equals(await Deno.readTextFile(path), "x2345");
  equals((await client.lstat(path)).mode, 0o100644, "a file that was there keeps its mode");
  await write(client, await open(client, path, OPEN.WRITE | OPEN.APPEND), 0, "6");
  equals(await Deno.readTextFile(path), "x23456");
  await open(client, path, OPEN.WRITE | OPEN.TRUNCATE);
  equals(await Deno.readTextFile(path), "");
  await rejects(open(client, `${root}/none/f`, OPEN.WRITE | OPEN.CREATE), refusedWith(STATUS.NO_SUCH_FILE));
});

check("makes, lists, moves and removes", async (client, root) => {
  await client.ask(SFTP.MKDIR, (to) => to.text(`${root}/d`).attributes({ mode: 0o750 }));
  const names = Array.from({ length: 1500 }, (_, n) => `ü${n}`.padEnd(60, "-"));
  await Promise.all(names.map((name) => Deno.writeTextFile(`${root}/d/${name}`, name)));
  const listed = await client.list(`${root}/d`);
  equals(listed.map(({ name }) => name).sort(), names.toSorted());
  for (const { name, attributes } of listed) equals(attributes.size, name.length + 1);
  equals((await client.lstat(`${root}/d`)).mode, 0o040750);

  await Deno.writeTextFile(`${root}/a`, "a");
  await Deno.writeTextFile(`${root}/b`, "b");
  await rejects(
    client.ask(SFTP.RENAME, (to) => to.text(`${root}/a`).text(`${root}/b`)),
    refusedWith(STATUS.FAILURE),
    "RENAME replaces nothing",
  );
  await client.ask(SFTP.EXTENDED, (to) => to.text("posix-rename@openssh.com").text(`${root}/a`).text(`${root}/b`));
  equals(await Deno.readTextFile(`${root}/b`), "a");
  await client.ask(SFTP.RENAME, (to) => to.text(`${root}/b`).text(`${root}/c`));
  await client.ask(SFTP.RENAME, (to) => to.text(`${root}/d`).text(`${root}/e`));
  await client.ask(SFTP.EXTENDED, (to) => to.text("hardlink@openssh.com").text(`${root}/c`).text(`${root}/h`));
  equals((await Deno.stat(`${root}/h`)).nlink, 2);
  await rejects(client.ask(SFTP.RMDIR, (to) => to.text(`${root}/e`)), refusedWith(STATUS.FAILURE));
  await client.ask(SFTP.REMOVE, (to) => to.text(`${root}/c`));
  await rejects(client.lstat(`${root}/c`), refusedWith(STATUS.NO_SUCH_FILE));
  await rejects(client.ask(SFTP.REMOVE, (to) => to.text("/")), refusedWith(STATUS.PERMISSION_DENIED));
});

check("tells symlinks as they are, and follows none out", async (client, root) => {
  await client.ask(SFTP.SYMLINK, (to) => to.text("..data/x").text(`${root}/l`));
  equals(await Deno.readLink(`${root}/l`), "..data/x");
  equals(await client.readLink(`${root}/l`), "..data/x");
  await Deno.symlink("/etc/passwd", `${root}/out`);
  await rejects(open(client, `${root}/out`, OPEN.READ), refusedWith(STATUS.PERMISSION_DENIED));
  await rejects(client.ask(SFTP.STAT, (to) => to.text(`${root}/out`)), refusedWith(STATUS.PERMISSION_DENIED));
  equals(((await client.lstat(`${root}/out`)).mode ?? 0) & 0o170000, 0o120000);
  for (const path of ["/etc/passwd", `${root}/../../etc/passwd`, "etc/passwd"]) {
    await rejects(client.lstat(path), refusedWith(STATUS.NO_SUCH_FILE), path);
  }
});

check("never takes a name that is not UTF-8 for another", async (client, root) => {
  const raw = (...bytes: number[]) => Uint8Array.of(...new TextEncoder().encode(`${root}/`), ...bytes);
  const script = `import os, sys
for name, text in (b"a\\xff", "hidden"), (b"a\\xef\\xbf\\xbd", "true"), (b"b\\xff", "hidden"):
    open(os.fsencode(sys.argv[1]) + b"/" + name, "w").write(text)
os.symlink(b"a\\xff", sys.argv[1] + "/link")`;
  const { success } = await new Deno.Command("python3", { args: ["-c", script, root] }).output();
  ok(success);
  equals((await client.list(root)).map(({ name }) => name).sort(), ["a\ufffd", "link"]);
  equals((await client.lstat(`${root}/a\ufffd`)).size, "true".length);
  await rejects(client.lstat(`${root}/b\ufffd`), refusedWith(STATUS.NO_SUCH_FILE));
  await rejects(client.ask(SFTP.LSTAT, (to) => to.bytes(raw(0x61, 0xff))), refusedWith(STATUS.OP_UNSUPPORTED));
  await rejects(client.ask(SFTP.REMOVE, (to) => to.bytes(raw(0x61, 0xff))), refusedWith(STATUS.OP_UNSUPPORTED));
  await rejects(client.readLink(`${root}/link`), refusedWith(STATUS.OP_UNSUPPORTED));
  await rejects(open(client, `${root}/link`, OPEN.READ), refusedWith(STATUS.OP_UNSUPPORTED));
});

check("begins its reasons with the errno", async (client, root) => {
  await Deno.writeTextFile(`${root}/f`, "");
  await Deno.mkdir(`${root}/d/e`, { recursive: true });
  await Deno.mkdir(`${root}/empty`);
  const posixRename = (from: string, to: string) => (writer: PacketWriter) => {
    writer.text("posix-rename@openssh.com").text(`${root}/${from}`).text(`${root}/${to}`);
  };
  const table = [
    ["ENOENT", STATUS.NO_SUCH_FILE, client.lstat(`${root}/none`)],
    ["EACCES", STATUS.PERMISSION_DENIED, client.ask(SFTP.REMOVE, (to) => to.text("/"))],
    ["EEXIST", STATUS.FAILURE, client.ask(SFTP.MKDIR, (to) => to.text(`${root}/d`).attributes({}))],
    ["ENOTEMPTY", STATUS.FAILURE, client.ask(SFTP.RMDIR, (to) => to.text(`${root}/d`))],
    // Of a posix-rename, FAILURE is what happens between two file systems and nothing else.
    ["ENOTEMPTY", STATUS.PERMISSION_DENIED, client.ask(SFTP.EXTENDED, posixRename("empty", "d"))],
    ["EBADF", STATUS.FAILURE, client.ask(SFTP.FSTAT, (to) => to.bytes(new Uint8Array(4).fill(9)))],
  ] as const;
  for (const [errno, code, asking] of table) {
    await rejects(asking, (error) => refusedWith(code)(error) && messageOf(error).startsWith(`${errno}: `));
  }
});

check("sets what is asked, and tells the space that there is", async (client, root) => {
  await Deno.writeTextFile(`${root}/f`, "12345");
  await client.ask(SFTP.SETSTAT, (to) => {
    to.text(`${root}/f`).attributes({ size: 2, mode: 0o600, times: { accessed: 1e9, modified: 2e9 } });
  });
  const { size, mode, times } = await client.lstat(`${root}/f`);
  equals([size, mode, times], [2, 0o100600, { accessed: 1e9, modified: 2e9 }]);
  for (const path of [root, "/"]) {
    const { type, body } = await client.ask(SFTP.EXTENDED, (to) => to.text("statvfs@openssh.com").text(path));
    equals(type, SFTP.EXTENDED_REPLY);
    const fields = new FieldReader(body.subarray(4));
    const [blockBytes, , blocks] = [fields.uint64(), fields.uint64(), fields.uint64()];
    ok(blockBytes > 0 && blocks > 0);
  }
  await rejects(client.ask(SFTP.EXTENDED, (to) => to.text("x@example.com")), refusedWith(STATUS.OP_UNSUPPORTED));
});

check("reads a large file in order, with several requests under way", async (client, root) => {
  const bytes = new Uint8Array(3_000_000).map((_, index) => index * 7 + (index >> 8));
  await Deno.writeFile(`${root}/large`, bytes);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const part of client.read(`${root}/large`)) parts.push(part.slice());
  equals(new Uint8Array(await new Blob(parts).arrayBuffer()), bytes);
}, [65536, 1000]);

Deno.test("serveFiles() answers a client that writes much in a few messages, and all of it", async (t) => {
  const WRITES = 64;
  const PIECE = "x".repeat(64 * 1024);
  const serveAndCount = async (
    body: (client: SftpClient, handle: Uint8Array, messages: () => number) => Promise<void>,
  ) => {
    const root = await Deno.realPath(await Deno.makeTempDir());
    const [there, here] = duplexPair({ chunkBytes: 64 * 1024 });
    let messages = 0;
    const counted: Duplex = {
      read: (into) => there.read(into),
      write: (bytes) => (messages++, there.write(bytes)),
      closeWrite: () => there.closeWrite(),
      close: () => there.close(),
    };
    const serving = serveFiles(counted, await FileTree.of([root])).finally(() => there.close());
    try {
      await using client = await SftpClient.open(here);
      const handle = await open(client, `${root}/f`, OPEN.READ | OPEN.WRITE | OPEN.CREATE);
      const before = messages;
      await body(client, handle, () => messages - before);
    } finally {
      await serving.catch(() => {});
      await Deno.remove(root, { recursive: true });
    }
  };
  await t.step("in the middle of a large file", () =>
    serveAndCount(async (client, handle, messages) => {
      await Promise.all(Array.from({ length: WRITES }, (_, at) => write(client, handle, at * PIECE.length, PIECE)));
      ok(messages() < WRITES / 2, `${messages()} messages`);
      equals(await read(client, handle, 3 * PIECE.length - 1, 2), "xx");
    }));
  await t.step(
    "each at once where little was written, or something else was asked since",
    () =>
      serveAndCount(async (client, handle, messages) => {
        for (let at = 0; at < 2 * WRITES; at++) {
          const asking = write(client, handle, at * PIECE.length, PIECE);
          await asking;
          if (at % 4 === 3) await client.ask(SFTP.FSTAT, (to) => to.bytes(handle));
        }
        equals(messages(), 2 * WRITES + WRITES / 2);
      }),
  );
});

Deno.test("serveFiles() gives all of a small file with its handle", async (t) => {
  const root = await Deno.realPath(await Deno.makeTempDir());
  const [there, here] = duplexPair();
  const serving = serveFiles(there, await FileTree.of([root])).finally(() => there.close());
  try {
    await Deno.writeTextFile(`${root}/small`, "content");
    await Deno.writeTextFile(`${root}/large`, "more than it");
    await Deno.writeTextFile(`${root}/empty`, "");
    await Deno.mkdir(`${root}/directory`);
    await new Deno.Command("mkfifo", { args: [`${root}/pipe`] }).output();
    await writeAll(here, new PacketWriter().begin(SFTP.INIT).uint32(SFTP_VERSION).end().take());
    const reader = new PacketReader();
    const buffer = new Uint8Array(65536);
    const answers: { type: number; id: number; says: unknown }[] = [];
    const next = async (count: number) => {
      while (answers.length < count) {
        for (const { type, body } of reader.push(buffer.subarray(0, await here.read(buffer) ?? 0))) {
          const fields = new FieldReader(body);
          const id = fields.uint32();
          const says = type === SFTP.STATUS ? fields.uint32() : type === SFTP.DATA ? fields.text() : undefined;
          answers.push({ type, id, says });
        }
      }
      return answers.splice(0);
    };
    await next(1); // VERSION
    const table: Readonly<Record<string, string | number>> = {
      small: "content",
      large: STATUS.OP_UNSUPPORTED,
      empty: STATUS.OP_UNSUPPORTED,
      directory: STATUS.OP_UNSUPPORTED,
      pipe: STATUS.OP_UNSUPPORTED,
    };
    for (const [name, says] of Object.entries(table)) {
      await t.step(name, async () => {
        const request = new PacketWriter().begin(SFTP.EXTENDED).uint32(5).text(OPEN_AND_READ).text(`${root}/${name}`);
        await writeAll(here, request.uint32(OPEN.READ).attributes({}).uint32(6).uint32(7).end().take());
        equals(await next(2), [
          { type: SFTP.HANDLE, id: 5, says: undefined },
          { type: typeof says === "string" ? SFTP.DATA : SFTP.STATUS, id: 6, says },
        ]);
      });
    }
    await t.step("one that is not there", async () => {
      const request = new PacketWriter().begin(SFTP.EXTENDED).uint32(5).text(OPEN_AND_READ).text(`${root}/none`);
      await writeAll(here, request.uint32(OPEN.READ).attributes({}).uint32(6).uint32(7).end().take());
      equals(await next(1), [{ type: SFTP.STATUS, id: 5, says: STATUS.NO_SUCH_FILE }]);
    });
  } finally {
    await here.closeWrite();
    await serving.catch(() => {});
    await Deno.remove(root, { recursive: true });
  }
});

check("opens no more than it can have", async (client, root) => {
  await Deno.writeTextFile(`${root}/f`, "");
  const handles: Uint8Array[] = [];
  await rejects(async () => {
    for (let count = 0; count < 2000; count++) handles.push(await open(client, `${root}/f`, OPEN.READ));
  }, refusedWith(STATUS.FAILURE));
  equals(handles.length, 1024);
});

/** What a server does with these bytes; it must end by itself. */
async function serve(bytes: Uint8Array): Promise<void> {
  const root = await Deno.makeTempDir();
  const [there, here]: [Duplex, Duplex] = duplexPair();
  try {
    const serving = serveFiles(there, await FileTree.of([root])).finally(() => there.close());
    const sending = writeAll(here, bytes).then(() => here.closeWrite()).catch(() => {});
    const reading = (async () => {
      const buffer = new Uint8Array(65536);
      while (await here.read(buffer).catch(() => null) !== null);
    })();
    await Promise.all([serving, sending, reading]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const INIT = new PacketWriter().begin(SFTP.INIT).uint32(3).end().take();

Deno.test("serveFiles() ends the connection at what is no SFTP", async (t) => {
  const table = {
    "a request before INIT": new PacketWriter().begin(SFTP.LSTAT).uint32(1).text("/").end().take(),
    "an old version": new PacketWriter().begin(SFTP.INIT).uint32(2).end().take(),
    "a packet that is too long": [...INIT, 0xff, 0xff, 0xff, 0xff, 5],
    "a packet of no length": [...INIT, 0, 0, 0, 0],
    "an answer": [...INIT, ...new PacketWriter().begin(SFTP.STATUS).uint32(1).uint32(0).end().take()],
    "an end within a packet": [...INIT, 0, 0, 0, 9, 5],
    "a handle of another server": [
      ...INIT,
      ...new PacketWriter().begin(SFTP.CLOSE).uint32(1).text("long").text("").end().take().map((byte, at) =>
        at === 12 ? 9 : byte
      ),
    ],
  };
  for (const [name, bytes] of Object.entries(table)) {
    await t.step(name, async () => await rejects(serve(new Uint8Array(bytes)), SftpError));
  }
});

Deno.test("serveFiles() meets random packets with an answer or an end, and leaves nothing open", async () => {
  const types = Object.values(SFTP);
  for (let round = 0; round < 300; round++) {
    const writer = new PacketWriter();
    for (let count = 0; count < 20; count++) {
      writer.begin(types[Math.floor(Math.random() * types.length)] ?? 3).uint32(count);
      for (let field = 0; field < 4; field++) {
        if (Math.random() < 0.5) writer.bytes(crypto.getRandomValues(new Uint8Array(Math.floor(Math.random() * 9))));
        else writer.uint32(Math.floor(Math.random() * 12));
      }
      writer.end();
    }
    await serve(new Uint8Array([...INIT, ...writer.take()])).catch((error) => {
      ok(error instanceof SftpError, String(error));
    });
  }
});
