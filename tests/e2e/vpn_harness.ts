/**
 * What the tests of `--method vpn-tcp` on a real cluster share: machines that are played, on which the built program runs.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { type Machine, type Played, playMachine, whyNot } from "../vpn/played_machine.ts";
import {
  type Cluster,
  clusterTest,
  type Ended,
  FOREIGN,
  nothingOfSessions,
  PROGRAM,
  type Running,
  start,
} from "./harness.ts";

const reason = FOREIGN ? "the cluster is not the embedded one" : await whyNot();

/** A test on a played machine that reaches the cluster's API server and nothing else of it. */
export function vpnTest(
  name: string,
  body: (on: { cluster: Cluster; machine: Machine }) => Promise<void>,
  played: Played = {},
): void {
  if (reason !== undefined) return Deno.test({ name: `${name} (skipped: ${reason})`, ignore: true, fn() {} });
  clusterTest(name, async (cluster) => {
    const { hostname, port } = new URL(cluster.kube.config.server);
    await using machine = await playMachine({ ...played, way: { address: hostname, port: Number(port) } });
    await body({ cluster, machine });
    await nothingOfSessions(cluster); // the machine is the way by which a killed session's guardian gives back
  });
}

/** A command that says "ready", and ends in order with its standard input. */
export const WAIT = "echo ready >&2; read _; true";

/** Starts the program on the machine. */
export function startOn(machine: Machine, cluster: Cluster, ...words: string[]): Running {
  // Another mount namespace begins in its root.
  return start(cluster, words, { program: [...machine.enter, "env", "-C", cluster.directory, PROGRAM] });
}

/** Runs `body` beside a session of vpn-tcp with these words, and ends it in order. */
export async function beside(
  { cluster, machine }: { cluster: Cluster; machine: Machine },
  words: readonly string[],
  body: () => Promise<void>,
): Promise<Ended> {
  const before = await machine.state();
  await using running = startOn(machine, cluster, "--method", "vpn-tcp", ...words, "--run", "sh", "-c", WAIT);
  await running.said(/^ready$/m);
  await body();
  const ended = await running.ended(); // its command ends with its standard input
  equals(ended.code, 0, ended.stderr);
  equals(await machine.state(), before, "the machine is as it was");
  return ended;
}
