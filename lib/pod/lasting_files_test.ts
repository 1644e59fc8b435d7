import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { listenForHosts } from "@/agent/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import { abortable, type Duplex, duplexPair, sleep } from "@/util/mod.ts";
import { SftpClient, SftpRefused } from "@/volumes/mod.ts";
import { greetFileServer, openLastingFiles } from "./lasting_files.ts";
import { FieldReader, type LinkedPod, OPEN, OPEN_AND_READ, openLastingPod, openPod, SFTP, STATUS } from "./mod.ts";

/** A pod of this machine's files. Disposing it ends its agent, as a pod that goes away does. */
async function startRun(): Promise<AsyncDisposable & { readonly pod: LinkedPod }> {
  const { privateKey, publicKey } = await makeSessionKey();
  const agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
  carrier.setNoDelay(true);
  await greetAgent(carrier, privateKey, { version: "1" });
  return { pod: openPod(carrier), [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose]() };
}

/** Runs `body` with a directory that has the files `a` and `b`, each with its name in it. */
async function withFiles(body: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const name of ["a", "b"]) await Deno.writeTextFile(`${root}/${name}`, name);
    await body(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

async function open(client: SftpClient, path: string, flags: number): Promise<Uint8Array> {
  const { body } = await client.ask(SFTP.OPEN, (to) => to.text(path).uint32(flags).attributes({}));
  return new FieldReader(body.subarray(4)).bytes();
}

async function read(client: SftpClient, handle: Uint8Array): Promise<string> {
  const { body } = await client.ask(SFTP.READ, (to) => to.bytes(handle).uint64(0).uint32(100));
  return new FieldReader(body.subarray(4)).text();
}

const write = (client: SftpClient, handle: Uint8Array, text: string) =>
  client.ask(SFTP.WRITE, (to) => to.bytes(handle).uint64(0).text(text));

const isLost = (error: unknown) => error instanceof SftpRefused && error.code === STATUS.CONNECTION_LOST;

Deno.test("the files of a lasting pod go on with the next pod's, and what went is never taken for another", async () => {
  await withFiles(async (root) => {
    const first = await startRun();
    await using second = await startRun();
    const following = Promise.withResolvers<LinkedPod>();
    await using pod = openLastingPod(first.pod, { next: () => following.promise });
    await using client = await SftpClient.open((await pod.files([root])).duplex);
    const gone = await open(client, `${root}/a`, OPEN.READ | OPEN.WRITE);
    const kept = await open(client, `${root}/b`, OPEN.READ | OPEN.WRITE | OPEN.TRUNCATE);
    await write(client, kept, "written");
    equals(await read(client, gone), "a");
    await first[Symbol.asyncDispose]();
    await Deno.remove(`${root}/a`);
    const waits = read(client, kept);
    following.resolve(second.pod);
    equals(await waits, "written", "opened again by its path, and not truncated again");
    await Deno.writeTextFile(`${root}/c`, "c");
    const another = await open(client, `${root}/c`, OPEN.READ | OPEN.WRITE);
    for (
      const [name, asked] of Object.entries({
        write: write(client, gone, "for the lost pod"),
        read: read(client, gone),
        fsync: client.ask(SFTP.EXTENDED, (to) => to.text("fsync@openssh.com").bytes(gone)),
        close: client.ask(SFTP.CLOSE, (to) => to.bytes(gone)),
      })
    ) await rejects(asked, isLost, name);
    await write(client, kept, "WRITTEN");
    equals([await read(client, kept), await read(client, another)], ["WRITTEN", "c"]);
    equals((await client.list(root)).map(({ name }) => name).sort(), ["b", "c"]);
    await client.ask(SFTP.CLOSE, (to) => to.bytes(another));
    await rejects(read(client, another), (error) => error instanceof SftpRefused && !isLost(error), "closed, not lost");
  });
});

Deno.test("a file that was opened and read at once is opened again with the next pod", async () => {
  await withFiles(async (root) => {
    const first = await startRun();
    await using second = await startRun();
    const following = Promise.withResolvers<LinkedPod>();
    await using pod = openLastingPod(first.pod, { next: () => following.promise });
    await using client = await SftpClient.open((await pod.files([root])).duplex);
    const openAndRead = async (name: string) => {
      const { body } = await client.ask(SFTP.EXTENDED, (to) => {
        to.text(OPEN_AND_READ).text(`${root}/${name}`).uint32(OPEN.READ).attributes({}).uint32(1e6).uint32(100);
      });
      return new FieldReader(body.subarray(4)).bytes();
    };
    const handle = await openAndRead("a");
    await first[Symbol.asyncDispose]();
    const waits = openAndRead("b");
    following.resolve(second.pod);
    equals(await read(client, handle), "a");
    equals(await read(client, await waits), "b", "what only opens is asked again");
  });
});

Deno.test("a READ of a file that went with its pod ends the connection of a client that wants it so", async (t) => {
  for (const when of ["under way", "later"]) {
    await t.step(when, async () => {
      await withFiles(async (root) => {
        await withServer(root, async (server) => {
          const [here, there] = duplexPair();
          const next = async (signal: AbortSignal) => await greetFileServer(await server(), signal);
          const client = new SftpClient(openLastingFiles(here, next, { endsWithLostRead: true }));
          const handle = open(client, `${root}/gone`, OPEN.READ);
          await there.write(new Uint8Array([0, 0, 0, 13, SFTP.HANDLE, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1]));
          const reading = when === "under way" ? read(client, await handle) : handle;
          there.close();
          if (when === "later") equals((await client.lstat(`${root}/a`)).size, 1);
          await rejects(when === "later" ? read(client, await handle) : reading, /went with its pod was read on/);
          await client[Symbol.asyncDispose]();
        });
      });
    });
  }
});

/** One end of a connection to the files of this machine, the other end of which is served by a run of the agent. */
async function withServer(root: string, body: (server: () => Promise<Duplex>) => Promise<void>): Promise<void> {
  await using run = await startRun();
  await body(async () => (await run.pod.files([root])).duplex);
}

/** A connection that breaks when so many bytes have come, or gone. */
function breaking(duplex: Duplex, { read = Infinity, written = Infinity }): Duplex {
  const broken = () => {
    duplex.close();
    return new Deno.errors.ConnectionReset("The pod is gone");
  };
  return {
    async read(into) {
      if (read === 0) throw broken();
      const count = await duplex.read(into.subarray(0, read));
      read -= count ?? 0;
      return count;
    },
    async write(bytes) {
      if (written === 0) throw broken();
      const count = await duplex.write(bytes.subarray(0, written));
      written -= count;
      return count;
    },
    closeWrite: () => duplex.closeWrite(),
    close: () => duplex.close(),
  };
}

Deno.test("whatever part of what was asked or answered is lost, each request has one answer, and a true one", async (t) => {
  await withFiles(async (root) => {
    await withServer(root, async (server) => {
      const ask = async (client: SftpClient) => {
        const text = async () => {
          const handle = await open(client, `${root}/a`, OPEN.READ);
          const read1 = read(client, handle);
          const read2 = client.list(root);
          await Promise.allSettled([read1, read2]);
          return [await read1.catch(lost), await read2.then((all) => all.length, lost)];
        };
        const { size } = await client.lstat(`${root}/b`);
        const link = await client.readLink(`${root}/b`).catch((error) => error.code);
        return [size, link, ...await text()];
      };
      const lost = (error: unknown) => {
        if (!isLost(error)) throw error;
        return "lost";
      };
      const whole = await ask(await SftpClient.open(await server()));
      equals(whole, [1, STATUS.BAD_MESSAGE, "a", 2]);
      for (const way of ["read", "written"]) {
        await t.step(way, async () => {
          let wasLost = 0;
          for (let at = 0; at < 420; at += 1) {
            const first = breaking(await server(), { [way]: at });
            const files = openLastingFiles(first, async (signal) => await greetFileServer(await server(), signal));
            await using client = await SftpClient.open(files);
            const got = await abortable(ask(client), AbortSignal.timeout(20_000));
            wasLost += got.filter((each) => each === "lost").length;
            equals(got.map((each, index) => each === "lost" ? whole[index] : each), whole, `${way} ${at}`);
          }
          ok(wasLost > 0, "some were lost");
        });
      }
    });
  });
});

Deno.test("what changes something is not asked twice: nobody knows whether it was done", async () => {
  await withFiles(async (root) => {
    await withServer(root, async (server) => {
      const [here, there] = duplexPair();
      const files = openLastingFiles(here, async (signal) => await greetFileServer(await server(), signal));
      const opening = SftpClient.open(files);
      await there.write(new Uint8Array([0, 0, 0, 5, SFTP.VERSION, 0, 0, 0, 3]));
      await using client = await opening;
      const asked = {
        mkdir: client.ask(SFTP.MKDIR, (to) => to.text(`${root}/new`).attributes({})),
        remove: client.ask(SFTP.REMOVE, (to) => to.text(`${root}/a`)),
        exclusive: open(client, `${root}/c`, OPEN.WRITE | OPEN.CREATE | OPEN.EXCLUSIVE),
        posixRename: client.ask(
          SFTP.EXTENDED,
          (to) => to.text("posix-rename@openssh.com").text(`${root}/b`).text(`${root}/d`),
        ),
      };
      const looked = client.lstat(`${root}/a`);
      await sleep(0); // all of them are on their way
      there.close();
      for (const [name, one] of Object.entries(asked)) await rejects(one, isLost, name);
      equals((await looked).size, 1);
      equals((await client.list(root)).map(({ name }) => name).sort(), ["a", "b"]);
    });
  });
});

Deno.test("the files end when the client ends, when its wait is given up, and when no next pod comes", async (t) => {
  const waiting = (signal: AbortSignal) => abortable(new Promise<never>(() => {}), signal);
  const into = new Uint8Array(100);
  await t.step("the client ends in order", async () => {
    const [here, there] = duplexPair();
    const files = openLastingFiles(here, waiting);
    await files.closeWrite();
    equals(await there.read(into), null);
    await there.closeWrite();
    equals(await files.read(into), null);
  });
  await t.step("the client ends while it waits", async () => {
    const [here, there] = duplexPair();
    const files = openLastingFiles(here, waiting);
    const reading = files.read(into);
    there.close();
    await sleep(0);
    await files.closeWrite();
    equals(await reading, null);
  });
  await t.step("no next pod comes", async () => {
    const [here, there] = duplexPair();
    const files = openLastingFiles(here, () => Promise.reject(new Error("gone for good")));
    there.close();
    await rejects(files.read(into), /gone for good/);
    await rejects(files.write(new Uint8Array([0, 0, 0, 5, SFTP.INIT, 0, 0, 0, 3])), /gone for good/);
  });
  await t.step("the signal of who opened them ends the wait, and nothing before it", async () => {
    await withFiles(async (root) => {
      const first = await startRun();
      await using pod = openLastingPod(first.pod, { next: (_, signal) => waiting(signal) });
      const giveUp = new AbortController();
      const client = await SftpClient.open((await pod.files([root], { signal: giveUp.signal })).duplex);
      giveUp.abort(new Error("Ctrl-C"));
      equals((await client.lstat(`${root}/a`)).size, 1);
      await first[Symbol.asyncDispose]();
      await rejects(client.lstat(`${root}/a`), /Ctrl-C|closed/);
      await client[Symbol.asyncDispose]();
    });
  });
});
