/**
 * `make fsx`: random operations on files in a mount for MINUTES, each compared with memory, over paths of several
 * lengths, and fio's own verification between them. Prints the seed of each round; SEED runs that round alone.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { mustRun, withMount } from "./harness.ts";

const MINUTES = Number(Deno.env.get("MINUTES") || 10);
const SEED = Deno.env.get("SEED") || undefined;
const OPERATIONS = fileURLToPath(new URL("random_operations.py", import.meta.url));

const end = performance.now() + MINUTES * 60_000;
let rounds = 0;
do {
  const seed = SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SEED);
  const rttMs = [0, 0, 3, 20][seed % 4] ?? 0;
  const largest = [50_000, 300_000, 2_000_000, 20_000_000][(seed >> 2) % 4] ?? 0;
  const count = Math.floor(rttMs > 0 ? 2e7 / (largest + 100_000) : 1e8 / (largest + 100_000)) + 20;
  await print(`seed ${seed}: ${count} operations on a file of up to ${largest} bytes, ${rttMs} ms\n`);
  await withMount(async ({ mount }) => {
    await mustRun("python3", OPERATIONS, `${mount}/f`, `${seed}`, `${count}`, `${largest}`);
    await mustRun(
      ...["fio", `--directory=${mount}`, "--name=job", "--output-format=terse", "--verify=crc32c", "--verify_fatal=1"],
      ...[
        "--verify_state_save=0",
        "--size=8m",
        "--end_fsync=1",
        "--rw=randrw",
        "--bsrange=512-256k",
        "--bs_unaligned=1",
      ],
      ...[`--randseed=${seed}`, `--rw=${["randrw", "rw", "randwrite"][seed % 3]}`],
    );
  }, { rttMs });
  rounds++;
} while (SEED === undefined && performance.now() < end);
await print(`${rounds} rounds, no difference\n`);

async function print(text: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(text));
}
