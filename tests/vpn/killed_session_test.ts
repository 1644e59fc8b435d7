/** kill -9 of a session of vpn-tcp and of its helper, at each step of the start: the machine is as it was. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { sleep } from "@/util/mod.ts";
import {
  HELPER_PATH,
  isAsBefore,
  machineTest,
  makePod,
  MUCH_TO_GIVE_BACK,
  processesOf,
  start,
  until,
} from "./harness.ts";
import { type Machine, serve } from "./played_machine.ts";

const SESSION = fileURLToPath(new URL("./dying_session.ts", import.meta.url));

/** Starts the session. @returns when it has come to the moment */
function startTo(moment: string, machine: Machine, directory: string) {
  return serve([
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    SESSION,
    moment,
    directory,
    machine.path(""),
    ...machine.enter,
  ]);
}

/** Kills some of all at once: none of them sees the end of another, and who lives on sees the session's first. */
async function killAtOnce(pids: readonly number[], all: readonly number[]): Promise<void> {
  for (const pid of all) Deno.kill(pid, "SIGSTOP");
  for (const pid of pids) {
    Deno.kill(pid, "SIGKILL");
    await until(async () => /\) Z|^$/.test(await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "")), "it is dead");
  }
  for (const pid of all) if (!pids.includes(pid)) Deno.kill(pid, "SIGCONT");
}

/** What is there by then, as the machine's state tells. */
const MOMENTS: Readonly<Record<string, { after: string; there: RegExp }>> = {
  "with the table and the rules, before the first range": {
    after: "helper",
    there: /lookup 29808/,
  },
  "with the first range": { after: "capture", there: /10\.96\.0\.0\/16 dev lo table 29808/ },
  "with the name servers, before the resolver's file": { after: "names", there: /192\.168\.77\.1 dev lo table 29809/ },
  "with the resolver's file, before it was found out whether names come by": {
    after: "bind",
    there: /telepresence.*nsswitch/,
  },
  "with all of it": { after: "all", there: /telepresence.*nsswitch/ },
};
const VICTIMS = [["session"], ["session", "guardian"], ["session", "relay"], ["session", "guardian", "relay"]] as const;

for (const [when, { after, there }] of Object.entries(MOMENTS)) {
  machineTest(`kill -9 of the session ${when} leaves nothing, whatever is killed with it`, async (machine) => {
    const before = await machine.state();
    const directory = await Deno.makeTempDir();
    try {
      for (const victims of VICTIMS) {
        await using session = await startTo(after, machine, directory);
        match(await machine.state(), there);
        const pids = { session: session.pid, ...await processesOf(machine) };
        await killAtOnce(victims.map((each) => pids[each]), Object.values(pids));
        if (victims.length === VICTIMS.at(-1)?.length) {
          match(await machine.state(), there, "nobody is left who could give it back");
          await machine.shell(`${HELPER_PATH} --give-back`);
        }
        await isAsBefore(machine, before);
      }
      // Its own files are the next session's to remove.
      await (await start(machine, makePod(), [], {}, { directories: [directory] }))[Symbol.asyncDispose]();
      equals(await Array.fromAsync(Deno.readDir(directory)), []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }, MUCH_TO_GIVE_BACK);
}

machineTest("kill -9 of the session while its helper makes the table and the rules leaves nothing", async (machine) => {
  const before = await machine.state();
  const directory = await Deno.makeTempDir();
  try {
    for (const afterMs of [0, 1, 2, 4, 8, 16]) {
      const starting = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", SESSION, "never", directory, machine.path(""), ...machine.enter],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const state = machine.path("/run");
      const isBegun = () =>
        Array.from(Deno.readDirSync(state)).some(({ name }) => name.startsWith("telepresence-vpn-"));
      for (const end = performance.now() + 10_000; !isBegun() && performance.now() < end;) await sleep(0);
      await sleep(afterMs);
      starting.kill("SIGKILL");
      await starting.status;
      await isAsBefore(machine, before);
    }
    await until(async () => (await machine.run(HELPER_PATH, "--give-back")).code === 0, "nobody has the machine");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}, MUCH_TO_GIVE_BACK);
