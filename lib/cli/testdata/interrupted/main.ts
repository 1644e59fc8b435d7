/**
 * A program for signals_test.ts: a session that lasts until a signal comes, and whose clean-up lasts until its standard
 * input ends.
 *
 * @module
 */
import { main, systemHost } from "../../mod.ts";

const host = systemHost({
  version: "0.0.0",
  reportTo: "nowhere",
  exit: Deno.exit,
  command: () => Promise.resolve(0),
  async run(_flags, { signal, teller, onLeftovers }) {
    onLeftovers(() => ["deployment/x in namespace y"]);
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason));
    const stayAlive = setInterval(() => {}, 1000);
    try {
      teller.say("Running");
      return await promise;
    } finally {
      for await (const _ of Deno.stdin.readable);
      clearInterval(stayAlive);
      teller.say("Cleaned up");
    }
  },
});
Deno.exitCode = await main(["--logfile", "/dev/null"], host);
