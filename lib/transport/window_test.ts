import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { duplexPair } from "@/util/mod.ts";
import { openLink } from "./link.ts";
import { openMux } from "./mux.ts";
import { FIRST_WINDOW_BYTES, WindowBudget } from "./window.ts";

const MIB = 1024 * 1024;
/** What all windows may have grown by. */
const GROWTH = 64 * MIB;

/** Grows one window as far as the budget lets it, and gives it back. @returns how large it was */
function growth(budget: WindowBudget): number {
  let window = FIRST_WINDOW_BYTES;
  for (let next; (next = budget.grow(window)) > window; window = next);
  budget.release(window, FIRST_WINDOW_BYTES);
  return window;
}

Deno.test("WindowBudget.first() gives what earlier streams needed, as far as the path is long", () => {
  const budget = new WindowBudget();
  equals(budget.first(0, 80), FIRST_WINDOW_BYTES, "nothing is known yet");
  growth(budget);
  equals(budget.first(0, 0.5), FIRST_WINDOW_BYTES, "a short path fills in no time");
  equals(budget.first(0, 80), 4_000_000);
  ok(budget.first(0, 1000) < 5 * MIB, "one stream has no more than a small part of what there is");
  equals(budget.first(300, 80), FIRST_WINDOW_BYTES / 4, "beside many it is a small one");
});

Deno.test("WindowBudget bounds what all first windows have beyond the usual, and takes all of it back", () => {
  const budget = new WindowBudget();
  growth(budget);
  const windows = Array.from({ length: 200 }, () => budget.first(0, 80));
  const beyond = windows.reduce((sum, window) => sum + window - FIRST_WINDOW_BYTES, 0);
  ok(beyond > GROWTH / 2 && beyond <= GROWTH, `${beyond} bytes`);
  for (const window of windows) budget.release(window, window);
  equals(budget.first(0, 80), 4_000_000);
});

Deno.test("a stream that is refused or given up leaves nothing of its window behind", async () => {
  const [a, b] = duplexPair();
  const [link, peer] = [openLink({ graceMs: 0 }), openLink({ graceMs: 0 })];
  // A path that is long, and streams that needed much: as the mux sees it.
  Object.defineProperty(link, "pathMs", { value: 80 });
  const budget = new WindowBudget();
  growth(budget);
  const asked: number[] = [];
  await using _agent = openMux(peer, {
    role: "agent",
    onOpen: (incoming) => incoming.request.length > 0 && incoming.refuse({ code: "EPERM", message: "" }),
  });
  await using host = openMux(link, { role: "host", onOpen: () => {}, budget });
  link.attach(0, a);
  peer.attach(0, b);
  for (let count = 0; count < 300; count++) {
    const refused = host.open(new Uint8Array(1));
    const given = new AbortController();
    const givenUp = host.open(new Uint8Array(), { signal: given.signal });
    given.abort(new Error("enough"));
    await Promise.allSettled([refused, givenUp]);
    asked.push(budget.first(0, 80));
    budget.release(asked.at(-1) ?? 0, asked.at(-1) ?? 0);
  }
  equals(asked.at(-1), 4_000_000);
});
