/**
 * A session in a process of its own, which a test can stop: carries a played machine until its standard input ends.
 *
 * session.ts FILE ROOT ENTER...
 *
 * What the session tells the user is appended to FILE. ROOT is the machine's root directory, ENTER the words before a
 * command that have it run there. Says "ready" when the machine is carried.
 */
import { makePod, start } from "./harness.ts";

const [said = "", root = "", ...enter] = Deno.args;
const machine = { enter, path: (inside: string) => `${root}${inside}` };
{
  await using _capture = await start(machine, makePod(), [], {
    say: (line) => Deno.writeTextFileSync(said, `${line}\n`, { append: true }),
  });
  await Deno.stdout.write(new TextEncoder().encode("ready\n"));
  for await (const _ of Deno.stdin.readable);
}
Deno.exit(0); // the pod's server listens for ever
