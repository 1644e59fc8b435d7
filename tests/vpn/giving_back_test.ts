/** Whatever ends vpn-tcp, the machine is afterwards byte for byte as it was. */
import { deepStrictEqual as equals, match, rejects } from "node:assert/strict";
import type { Capture } from "@/capture/mod.ts";
import { UserError } from "@/util/mod.ts";
import { HELPER_PATH, isAsBefore, machineTest, makePod, MUCH_TO_GIVE_BACK, processesOf, start } from "./harness.ts";

type Processes = Awaited<ReturnType<typeof processesOf>>;

const ENDS: Readonly<Record<string, (processes: Processes) => void>> = {
  "its guardian is killed": ({ guardian }) => Deno.kill(guardian, "SIGKILL"),
  "its guardian is told to end": ({ guardian }) => Deno.kill(guardian, "SIGTERM"),
  "its relay is killed": ({ relay }) => Deno.kill(relay, "SIGKILL"),
};

for (const [what, end] of Object.entries(ENDS)) {
  machineTest(`${what}: the session hears of it, and the machine is as it was`, async (machine) => {
    const before = await machine.state();
    await using capture = await start(machine, makePod());
    match(await machine.state(), /table inet telepresence/);
    end(await processesOf(machine));
    await rejects(capture.closed, /has ended/);
    await isAsBefore(machine, before);
    await dispose(capture);
  }, MUCH_TO_GIVE_BACK);
}

machineTest("keys of the terminal do not end the helper", async (machine) => {
  await using capture = await start(machine, makePod());
  const { guardian } = await processesOf(machine);
  for (const signal of ["SIGINT", "SIGQUIT", "SIGHUP"] as const) Deno.kill(guardian, signal);
  equals(await machine.shell("getent hosts helloworld.default | cut -d' ' -f1"), "10.96.7.7");
  let over = false;
  void capture.closed.then(() => over = true, () => over = true);
  equals(over, false);
});

machineTest("both of its processes are killed: recover gives back what they left", async (machine) => {
  const before = await machine.state();
  const capture = await start(machine, makePod(), [], {});
  const { guardian, relay } = await processesOf(machine);
  Deno.kill(guardian, "SIGSTOP"); // so that it does not see the other's end before its own
  Deno.kill(relay, "SIGKILL");
  Deno.kill(guardian, "SIGKILL");
  await rejects(capture.closed, /has ended/);
  await dispose(capture);
  match(await machine.state(), /lookup 29808[\s\S]*nsswitch/);
  await machine.shell(`${HELPER_PATH} --give-back`);
  await isAsBefore(machine, before);
}, MUCH_TO_GIVE_BACK);

machineTest("chains of iptables are given back too, when all are killed", async (machine) => {
  if ((await machine.run("sh", "-c", "command -v iptables-legacy")).code !== 0) return;
  const before = await machine.state();
  const capture = await start(machine, makePod(), [], {}, { iptables: true });
  const { guardian, relay } = await processesOf(machine);
  Deno.kill(guardian, "SIGSTOP");
  Deno.kill(relay, "SIGKILL");
  Deno.kill(guardian, "SIGKILL");
  await rejects(capture.closed, /has ended/);
  await dispose(capture);
  match(await machine.state(), /-N telepresence/);
  await machine.shell(`${HELPER_PATH} --give-back`);
  await isAsBefore(machine, before);
});

machineTest("what both left is given back by the next session, too", async (machine) => {
  const before = await machine.state();
  const killed = await start(machine, makePod());
  const { guardian, relay } = await processesOf(machine);
  Deno.kill(guardian, "SIGSTOP");
  Deno.kill(relay, "SIGKILL");
  Deno.kill(guardian, "SIGKILL");
  await rejects(killed.closed, /has ended/);
  await dispose(killed);
  {
    await using _next = await start(machine, makePod());
    equals(await machine.shell("getent hosts helloworld.default | cut -d' ' -f1"), "10.96.7.7");
  }
  await isAsBefore(machine, before);
}, MUCH_TO_GIVE_BACK);

machineTest("there is one at a time: a second one is refused, and recover leaves the first alone", async (machine) => {
  const before = await machine.state();
  {
    await using _first = await start(machine, makePod());
    const { guardian } = await processesOf(machine);
    const whole = await machine.state();
    await rejects(start(machine, makePod()), (error) => {
      match(String(error), new RegExp(`another session has this machine \\(process ${guardian}\\)`));
      match(error instanceof UserError ? error.hints.join() : "", /--method namespace/);
      return true;
    });
    const recovering = await machine.run(HELPER_PATH, "--give-back");
    equals([recovering.code, recovering.stderr], [126, `netns: busy: EBUSY: pid ${guardian}\n`]);
    equals(await machine.state(), whole);
  }
  await isAsBefore(machine, before);
});

machineTest("a firewall that is loaded anew does not take our rules away, nor do we its", async (machine) => {
  const before = await machine.state();
  {
    await using _capture = await start(machine, makePod());
    await machine.shell("nft flush ruleset; nft add table inet firewall");
    equals(await machine.shell("getent hosts helloworld.default | cut -d' ' -f1"), "10.96.7.7");
  }
  await machine.shell("nft delete table inet firewall");
  await isAsBefore(machine, before);
});

machineTest("what somebody else has taken away meanwhile is not missed at the end", async (machine) => {
  const before = await machine.state();
  {
    await using _capture = await start(machine, makePod());
    await machine.shell(`for pref in 1742 1742 1743; do ip rule del pref $pref; done; ip route flush table 29808
umount /etc/nsswitch.conf; ip -6 rule del pref 1741; ip -6 route flush table 29808`);
    equals(await machine.shell("getent ahostsv4 printer.corp.example | cut -d' ' -f1 | head -1"), "192.168.77.9");
  }
  await isAsBefore(machine, before);
}, MUCH_TO_GIVE_BACK);

machineTest("a guardian that is stopped gives back when it goes on", async (machine) => {
  const before = await machine.state();
  const capture = await start(machine, makePod());
  const { guardian, relay } = await processesOf(machine);
  Deno.kill(guardian, "SIGSTOP");
  Deno.kill(relay, "SIGKILL");
  await rejects(capture.closed, /has ended/);
  await rejects(start(machine, makePod()), /another session has this machine/);
  Deno.kill(guardian, "SIGCONT");
  await isAsBefore(machine, before);
  await dispose(capture);
}, MUCH_TO_GIVE_BACK);

machineTest("a start that fails half-way gives back what there was by then", async (machine) => {
  const before = await machine.state();
  await rejects(start(machine, makePod(), [], { alsoProxy: ["mistyped.example"] }), (error) => {
    match(String(error), /Cannot proxy "mistyped.example" \(--also-proxy\): the cluster does not resolve it/);
    return error instanceof UserError;
  });
  await isAsBefore(machine, before);
}, MUCH_TO_GIVE_BACK);

machineTest("a machine whose questions for names do not come by is refused, and is as it was", async (machine) => {
  await machine.shell("ip rule add pref 5 to 192.168.77.1 lookup main");
  const before = await machine.state();
  await rejects(start(machine, makePod()), /what this machine asks its name server 192.168.77.1 does not come by/);
  await isAsBefore(machine, before);
});

/** Ends a capture whose helper is gone: that cannot be given back by it is an error. */
async function dispose(capture: Capture): Promise<void> {
  try {
    await capture[Symbol.asyncDispose]();
  } catch (error) {
    match(String(error), /Cannot give back this machine's network/);
  }
}
