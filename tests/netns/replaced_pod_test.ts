/** Volumes that were laid over paths in a namespace, and whose pod is replaced while a program works with them. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { listenForHosts } from "@/agent/mod.ts";
import { probeNamespace, startNamespace } from "@/capture/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { type LinkedPod, openLastingPod, openPod } from "@/pod/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import { abortable, sleep, splitLines } from "@/util/mod.ts";
import { openVolumes, whyNoLiveMount } from "@/volumes/mod.ts";

const helper = await Deno.readFile(
  fileURLToPath(new URL("../../build/netns/telepresence-netns", import.meta.url)),
);
const verdict = await probeNamespace(helper);
const lacking = verdict.allowed ? await whyNoLiveMount() : verdict.reason;

/** A pod whose files are this machine's. Disposing it ends its agent, as a pod that goes away does. */
async function startRun(): Promise<AsyncDisposable & { readonly pod: LinkedPod }> {
  const { privateKey, publicKey } = await makeSessionKey();
  const agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
  await greetAgent(carrier, privateKey, { version: "1" });
  return { pod: openPod(carrier), [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose]() };
}

/** Stands in the volume with two files of it open, and reads and writes by path whenever it is told a word. */
const PROGRAM = `
cd "$1" && exec 3< kept 4< gone
while read -r word; do
  echo "$word" > written
  echo "$(cat file) $(cat "$1/file") $(cat "$2/file")"
done
echo "$(cat <&3) $(cat <&4 2>/dev/null || echo failed)"`;

Deno.test({
  name: "a mount is the next pod's when its pod is lost: where it was laid, and for who stands in it",
  ignore: lacking !== undefined,
  async fn() {
    const beside = await Deno.realPath(await Deno.makeTempDir({ prefix: "telepresence-replaced-" }));
    const path = `/run/telepresence-${crypto.randomUUID().slice(0, 8)}/volume`; // no such directory on this machine
    const first = await startRun();
    await using second = await startRun();
    try {
      const data = `${beside}/data`;
      await Deno.mkdir(data);
      await Deno.writeTextFile(`${data}/file`, "one");
      await Deno.writeTextFile(`${data}/kept`, "kept");
      await Deno.writeTextFile(`${data}/gone`, "gone");
      const told = Promise.withResolvers<string>();
      const following = Promise.withResolvers<LinkedPod>();
      await using pod = openLastingPod(first.pod, { next: () => following.promise });
      await using volumes = await openVolumes(pod, [data], { at: { kind: "temporary" }, mode: "live" }, {
        title: "test",
        say: (line) => told.resolve(line),
        log: silentLog,
        signal: new AbortController().signal,
      });
      const { host = "" } = volumes.paths[0] ?? {};
      await using capture = await startNamespace(pod, { helper });
      equals(await capture.show({ files: [{ pod: path, host }], addresses: [] }), []);
      const [program, ...args] = capture.command(["sh", "-c", PROGRAM, "sh", path, host]);
      const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
      const stdin = child.stdin.getWriter();
      const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(splitLines());
      const answers = lines[Symbol.asyncIterator]();
      const tell = async (word: string) => await stdin.write(new TextEncoder().encode(`${word}\n`));
      try {
        await tell("before");
        equals((await answers.next()).value, "one one one");
        await first[Symbol.asyncDispose]();
        await Deno.writeTextFile(`${data}/file`, "two");
        await Deno.remove(`${data}/gone`);
        await tell("after"); // waits, as the next pod is not there yet
        following.resolve(second.pod);
        equals((await answers.next()).value, "two two two");
        equals(await Deno.readTextFile(`${data}/written`), "after\n");
        await sleep(1500); // what came with the open is the file's content for a second (lib/volumes/read_ahead.md)
        await stdin.close();
        equals((await answers.next()).value, "kept failed", "a file that is not in the next pod has not just ended");
        match(
          await abortable(told.promise, AbortSignal.timeout(10_000)),
          /^WARNING: The pod's volumes are no longer mounted: A file that went with its pod/,
        );
      } finally {
        await stdin.close().catch(() => {});
        await lines.cancel().catch(() => {});
        await child.status;
      }
    } finally {
      await Deno.remove(beside, { recursive: true });
    }
  },
});
