/**
 * What the shim costs, against the same program without it: `deno run -A tests/shim/cost.ts`, a part of `make bench`. The
 * pod is in this process, so the numbers are the shim's and the session's own; a real pod adds its round trip.
 */
import { openWorld, runToEnd, serveTcp } from "./harness.ts";

const ROUNDS = "1000";
/** How many connects that nobody answers are under way at a time, at most. */
const PENDING = "2000";

await using service = serveTcp(async (conn) => {
  using peer = conn;
  await peer.read(new Uint8Array(1));
});
await using world = await openWorld({
  services: { [`10.96.7.7 ${service.port}`]: service.port, "10.96.7.7 9": "silence" },
  names: { echo: ["10.96.7.7"] },
});
const program = await world.compile("cost.c");
const without = await runToEnd([program, "localhost", `${service.port}`, ROUNDS], {});
const under = await world.run([program, "echo", `${service.port}`, ROUNDS]);
const rows = [["microseconds", "p50", "p99", "most", "under the shim: p50", "p99", "most"]];
const bare = without.stdout.trim().split("\n").map((line) => line.split(" "));
under.stdout.trim().split("\n").forEach((line, i) => {
  const [title = "", ...times] = line.split(" ");
  rows.push([title.replaceAll("_", " "), ...(bare[i] ?? []).slice(1), ...times]);
});
const pending = await world.run([await world.compile("pending.c"), "10.96.7.7", "9", PENDING]);
const [p50 = "", p99 = "", most = "", underWay = ""] = pending.stdout.trim().split(" ");
rows.push([`the call, ${underWay} of ${PENDING} under way`, "", "", "", p50, p99, most]);
const ours = world.capture.environment({});
rows.push(["start and end of true", ...await spawns("/bin/true", {}), ...await spawns("/bin/true", ours)]);
rows.push(["start and end of cat", ...await spawns("/bin/cat", {}), ...await spawns("/bin/cat", ours)]);
const text = rows.map((row) => row.map((cell, i) => i ? cell.padStart(i === 4 ? 20 : 7) : cell.padEnd(38)).join(""));
await Deno.stdout.write(new TextEncoder().encode(`${text.join("\n")}\n`));

async function spawns(program: string, env: Record<string, string>): Promise<string[]> {
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const start = performance.now();
    await new Deno.Command(program, { args: ["/dev/null"], env, clearEnv: true }).output();
    times.push((performance.now() - start) * 1000);
  }
  times.sort((a, b) => a - b);
  return [100, 198, 199].map((at) => (times[at] ?? 0).toFixed(0));
}
