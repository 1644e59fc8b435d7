/** The whole shim under the sanitizers, by the programs of the other tests. */
import { deepStrictEqual as equals } from "node:assert/strict";
import { buildShim, makeVolume, openWorld, serveEcho, VOLUME } from "./harness.ts";

const CASES = [
  {
    sanitizer: "address",
    build: "address,undefined",
    source: "names.c",
    args: [],
    last: "getnameinfo, loopback: localhost 80",
  },
  {
    sanitizer: "address",
    build: "address,undefined",
    source: "descriptors.c",
    args: ["10.96.7.7", "7", "1", "9", "127.0.0.1"],
    last: "getpeername of nothing: EBADF",
  },
  {
    sanitizer: "address",
    build: "address,undefined",
    source: "stress.c",
    args: ["echo", "7", "16", "50"],
    last: "0 wrong",
  },
  { sanitizer: "address", build: "address,undefined", source: "files.c", args: [VOLUME], last: "end" },
  {
    sanitizer: "address",
    build: "address,undefined",
    source: "datagrams.c",
    args: ["10.96.7.7", "10.96.7.7", "2001:db8::7", "7", "10.96.7.7", "7"],
    last: "sendto nowhere: EINVAL",
  },
  {
    sanitizer: "address",
    build: "address,undefined",
    source: "records.c",
    args: [],
    last: "getaddrinfo_a: 0, 0 1, 1 signals",
  },
  { sanitizer: "thread", build: "thread", source: "stress.c", args: ["echo", "7", "16", "50"], last: "0 wrong" },
] as const;

Deno.test("The shim is clean under the sanitizers", async (t) => {
  await using echo = serveEcho();
  for (const { sanitizer, build, source, args, last } of CASES) {
    const runtime = await runtimeOf(sanitizer);
    await t.step({
      name: `${source}, ${build}`,
      ignore: runtime === undefined,
      async fn() {
        await using world = await openWorld({
          services: { "10.96.7.7 7": echo.port, "10.96.7.7 9": "silence" },
          names: { echo: ["10.96.7.7"], both: ["2001:db8::7", "10.96.7.7"], hello: ["10.96.7.7"] },
          peers: { "10.96.7.7 7": (payload) => [payload], "2001:db8::7 7": (payload) => [payload] },
        }, { shim: await buildShim(`SANITIZE=${build}`) });
        await using volume = await makeVolume();
        await world.capture.show({ files: [{ pod: VOLUME, host: volume.volume }], addresses: [] });
        const program = await world.compile(source, FLAGS[sanitizer]);
        const { code, stdout, stderr } = await world.run([program, ...args], {
          env: {
            LD_PRELOAD: runtime ?? "",
            ASAN_OPTIONS: "detect_leaks=0", // the programs end without tidying up
            TSAN_OPTIONS: "die_after_fork=0",
          },
        });
        // What files.c starts with no environment gets the shim back, but not the runtime of the sanitizer.
        const told = stderr.split("\n").filter((line) => !line.includes("ASan runtime does not come first")).join("\n");
        equals([code, stdout.trim().split("\n").at(-1), told], [0, last, ""]);
      },
    });
  }
});

const FLAGS = { address: ["-Wno-unused-result", "-lresolv"], thread: ["-fsanitize=thread"] } as const;

/** The sanitizer's library, which has to be loaded before everything else; undefined where the compiler has none. */
async function runtimeOf(sanitizer: "address" | "thread"): Promise<string | undefined> {
  const name = `lib${sanitizer === "address" ? "asan" : "tsan"}.so`;
  const { stdout } = await new Deno.Command("gcc", { args: [`-print-file-name=${name}`] }).output();
  const path = new TextDecoder().decode(stdout).trim();
  return path === name ? undefined : await Deno.realPath(path);
}
