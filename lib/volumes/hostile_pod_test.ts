/**
 * Copies of the volumes of a pod whose agent lies: what it says decides nothing outside of the directory of the copies.
 *
 * @module
 */
import { deepStrictEqual as equals, match, rejects, strictEqual as equal } from "node:assert/strict";
import { silentLog } from "@/log/mod.ts";
import { FieldReader, PacketReader, PacketWriter, type Pod, SFTP, SFTP_VERSION, STATUS } from "@/pod/mod.ts";
import { type Duplex, duplexPair, writeAll } from "@/util/mod.ts";
import { copyVolumes } from "./copy.ts";
import { openVolumes } from "./mod.ts";

const DIRECTORY = 0o040755, FILE = 0o100644, LINK = 0o120777;

type Entries = readonly (readonly [name: string, mode: number])[];

/** What the server says, by path: entries for a directory, a text for a file, `{ link }` for a symlink, or for both. */
type Said = Record<string, Entries | string | { readonly link: string; readonly entries?: Entries }>;

/** Serves SFTP, and says of each path exactly what it was told to. */
async function serve(stream: Duplex, said: Said): Promise<void> {
  const reader = new PacketReader();
  const buffer = new Uint8Array(65536);
  const handles: string[] = [];
  const read = new Set<string>();
  for (let count; (count = await stream.read(buffer)) !== null;) {
    for (const { type, body } of reader.push(buffer.subarray(0, count))) {
      const fields = new FieldReader(body);
      const to = new PacketWriter();
      if (type === SFTP.INIT) {
        await writeAll(stream, to.begin(SFTP.VERSION).uint32(SFTP_VERSION).end().take());
        continue;
      }
      const id = fields.uint32();
      const word = new TextDecoder().decode(fields.bytes());
      const path = type === SFTP.READ || type === SFTP.READDIR ? handles[Number(word)] ?? "" : word;
      const found = said[path];
      const entries = typeof found === "object" && "link" in found ? found.entries : found;
      const status = (code: number) => to.begin(SFTP.STATUS).uint32(id).uint32(code).text("").text("").end();
      if (type === SFTP.CLOSE) status(STATUS.OK);
      else if (found === undefined) status(STATUS.NO_SUCH_FILE);
      else if (type === SFTP.LSTAT) {
        to.begin(SFTP.ATTRS).uint32(id).attributes({ mode: typeof found === "string" ? FILE : DIRECTORY }).end();
      } else if (type === SFTP.READLINK && typeof found === "object" && "link" in found) {
        to.begin(SFTP.NAME).uint32(id).uint32(1).text(found.link).text("").attributes({}).end();
      } else if (type === SFTP.OPEN || type === SFTP.OPENDIR) {
        to.begin(SFTP.HANDLE).uint32(id).text(String(handles.push(path) - 1)).end();
      } else if (read.has(word)) status(STATUS.EOF);
      else if (type === SFTP.READDIR && typeof entries === "object") {
        read.add(word);
        to.begin(SFTP.NAME).uint32(id).uint32(entries.length);
        for (const [name, mode] of entries) to.text(name).text("").attributes({ mode });
        to.end();
      } else if (type === SFTP.READ && typeof found === "string") {
        read.add(word);
        to.begin(SFTP.DATA).uint32(id).text(found).end();
      } else status(STATUS.FAILURE);
      await writeAll(stream, to.take());
    }
  }
}

/** Copies `mounts` from such a pod. @returns what is below the test's directory afterwards, and what was copied */
async function copied(mounts: readonly string[], said: Said) {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  const path = `${directory}/copies`;
  try {
    await Deno.mkdir(path);
    await Deno.writeTextFile(`${directory}/mine`, "mine");
    const [ours, theirs] = duplexPair();
    const serving = serve(theirs, said);
    const pod = { files: () => Promise.resolve({ mounts, duplex: ours }) } as unknown as Pod;
    const { signal } = new AbortController();
    let result: readonly string[];
    let inCopies: string[];
    {
      await using copies = await copyVolumes(pod, mounts, { path, made: [], log: silentLog, signal });
      result = copies.mounts;
      inCopies = await below(path);
    }
    await serving;
    equal(await Deno.readTextFile(`${directory}/mine`), "mine");
    return { mounts: result, inCopies, all: await below(directory) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function below(directory: string, prefix = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    found.push(`${prefix}${name}`);
    if (isDirectory) found.push(...await below(`${directory}/${name}`, `${prefix}${name}/`));
  }
  return found.sort();
}

Deno.test("copyVolumes() writes nothing outside of its directory, whatever the pod says", async (t) => {
  const volume = {
    "/v": [["..data", LINK], ["..1", DIRECTORY]],
    "/v/..data": { link: "..1" },
  } satisfies Said;
  const table: readonly { name: string; mounts?: readonly string[]; said: Said }[] = [
    {
      name: "a name with directories",
      said: { ...volume, "/v/..1": [["../../../mine", FILE]], "/v/..1/../../../mine": "x" },
    },
    { name: "a name that is the directory above", said: { ...volume, "/v/..1": [["..", DIRECTORY], ["", FILE]] } },
    {
      name: "a version that is elsewhere",
      said: { ...volume, "/v/..data": { link: "../.." }, "/v/../..": [["mine", FILE]], "/v/../../mine": "x" },
    },
    {
      name: "a symlink, and then a file of the same name",
      said: { ...volume, "/v/..1": [["a", LINK], ["a", FILE]], "/v/..1/a": { link: "../../../mine" } },
    },
    {
      name: "a symlink, and then a directory of the same name",
      said: {
        ...volume,
        "/v/..1": [["b", LINK], ["b", DIRECTORY]],
        "/v/..1/b": { link: "../../..", entries: [["theirs", FILE]] },
        "/v/..1/b/theirs": "x",
      },
    },
    {
      name: "a volume below a symlink of another one",
      mounts: ["/v", "/v/b/mine"],
      said: {
        ...volume,
        "/v": [["..data", LINK], ["b", LINK]],
        "/v/b": { link: "../.." },
        "/v/..1": [],
        "/v/b/mine": "x",
      },
    },
  ];
  for (const { name, mounts = ["/v"], said } of table) {
    await t.step(name, async () => {
      const { all } = await copied(mounts, said);
      equals(all, ["copies", "mine"]);
    });
  }
});

Deno.test("copyVolumes() makes no symlink that leads out of its volume", async () => {
  const { mounts, inCopies } = await copied(["/v"], {
    "/v": [["..data", LINK], ["in", LINK], ["out", LINK], ["rooted", LINK]],
    "/v/..data": { link: "..1" },
    "/v/in": { link: "..data/in" },
    "/v/out": { link: "../../mine" },
    "/v/rooted": { link: "/etc/passwd" },
    "/v/..1": [["in", FILE]],
    "/v/..1/in": "text",
  });
  equals(mounts, ["/v"]);
  equals(inCopies, ["v", "v/..1", "v/..1/in", "v/..data", "v/in"]);
});

Deno.test("openVolumes() leaves out mount points that would lead out of the directory", async () => {
  const path = await Deno.realPath(await Deno.makeTempDir());
  const said: string[] = [];
  const asked: (readonly string[])[] = [];
  const files = (mounts: readonly string[]) => {
    asked.push(mounts);
    return Promise.reject(new Error("asked"));
  };
  const options = { title: "t", say: (line: string) => void said.push(line), log: silentLog };
  const wanted = { at: { kind: "path", path }, mode: "copy" } as const;
  const { signal } = new AbortController();
  const mounts = ["/../home", "/a/./b", "relative", "/a/../../b", "//x", "/..data/x", "/a/"];
  await rejects(openVolumes({ files } as unknown as Pod, mounts, wanted, { ...options, signal }), /asked/);
  equals(asked, [["/..data/x", "/a/"]]);
  match(said.join("\n"), /^The volume at "\/\.\.\/home" is left out: it is no plain path\n/);
  await Deno.remove(path);
});

Deno.test("openVolumes() makes no directory for the pod's secrets where everybody may replace it", async () => {
  const before = Deno.env.get("TMPDIR");
  const place = await Deno.makeTempDir();
  try {
    await Deno.chmod(place, 0o777);
    Deno.env.set("TMPDIR", place);
    const { signal } = new AbortController();
    const said: string[] = [];
    const options = { title: "t", say: (line: string) => void said.push(line), log: silentLog, signal };
    const wanted = { at: { kind: "temporary" }, mode: "copy" } as const;
    {
      await using volumes = await openVolumes({} as Pod, ["/v"], wanted, options);
      equals(volumes.root, undefined);
    }
    match(said.join(), /^WARNING: Mounting remote volumes failed, .*: others could replace what is in /);
    equals(await below(place), []);
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
    await Deno.remove(place, { recursive: true });
  }
});
