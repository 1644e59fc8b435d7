import { deepStrictEqual as equals, match } from "node:assert/strict";
import { makeLog } from "@/log/mod.ts";
import { sleep } from "@/util/mod.ts";
import { keepRules } from "./keep_rules.ts";

/** Rules that another program takes away, `everyMs` of a clock that goes on by that with each look. */
async function play(looks: number, everyMs: number, failure?: string) {
  const said: string[] = [];
  const log: string[] = [];
  let looked = 0;
  let restored = 0;
  const rules = {
    gone: () => Promise.resolve(++looked <= looks ? ["the routes"] : []),
    restore: () => failure === undefined ? Promise.resolve(void restored++) : Promise.reject(new Error(failure)),
  };
  const options = { say: (line: string) => void said.push(line), lookMs: 1, now: () => looked * everyMs };
  {
    using _keeping = keepRules(rules, { ...options, log: makeLog((line) => void log.push(line)) });
    for (const before = performance.now(); looked <= looks && !/again and again/.test(said.at(-1) ?? "");) {
      if (performance.now() - before > 10_000) throw new Error("Nobody looks any more");
      await sleep(1);
    }
    await sleep(20); // who goes on looking would be seen
  }
  return { said, log: log.length, looked, restored };
}

Deno.test("keepRules() tells the user once, the log each time, and gives way to who goes on", async () => {
  const { said, ...counts } = await play(1000, 3_000);
  equals(counts, { log: 5, looked: 6, restored: 5 });
  equals(said.length, 2);
  match(said[0] ?? "", /^Another program took away .* \(the routes\): it is made again$/);
  match(said[1] ?? "", /again and again .* \(the routes\)\. .*start the session again; --method namespace/);
});

Deno.test("keepRules() goes on where it is rare: a firewall that is loaded anew now and then", async () => {
  const { said, log, restored } = await play(20, 5 * 60_000);
  equals({ said: said.length, log, restored }, { said: 1, log: 20, restored: 20 });
});

Deno.test("keepRules() says why it cannot make them again", async () => {
  const { said } = await play(1, 3_000, "EPERM");
  equals(said.length, 1);
  match(said[0] ?? "", /cannot be made again yet: EPERM$/);
});
