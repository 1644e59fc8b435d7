/**
 * A process with a mount of the directory and with the title that it is given: it prints the mount's root, and stays
 * until it is killed.
 */
import { silentLog } from "@/log/mod.ts";
import { openVolumes } from "@/volumes/mod.ts";
import { withPod } from "../harness.ts";

const [directory = "", title = ""] = Deno.args;
await withPod(async (pod) => {
  await using volumes = await openVolumes(pod, [directory], { at: { kind: "temporary" }, mode: "live" }, {
    title,
    say: () => {},
    log: silentLog,
    signal: new AbortController().signal,
  });
  await Deno.stdout.write(new TextEncoder().encode(`${volumes.root}\n`));
  await new Promise(() => setInterval(() => {}, 60_000));
});
