import { deepStrictEqual as equals } from "node:assert/strict";
import { decodeMessage, encodeMessage, queryFor, TYPES } from "@/dns/mod.ts";
import { meantByMusl } from "./musl_query.ts";

/** What musl 1.2.3 sends for `web` and `web.other` with `search .`: name, dot, type and class, a zero. */
const MUSL_ASKS = {
  "web": "abcd01200001000000000000" + "03776562" + "2e" + "00010001" + "00",
  "web.other": "abcd01200001000000000000" + "03776562056f74686572" + "2e" + "001c0001" + "00",
};

Deno.test("meantByMusl() gives the question of a name behind which the root domain was put", () => {
  for (const [name, hex] of Object.entries(MUSL_ASKS)) {
    const message = meantByMusl(Uint8Array.fromHex(hex));
    const { id, questions } = decodeMessage(message ?? new Uint8Array());
    equals([id, questions], [0xabcd, [{ name, type: name === "web" ? TYPES.A : TYPES.AAAA, class: 1 }]]);
  }
});

Deno.test("meantByMusl() leaves every other message alone", () => {
  const question = encodeMessage(queryFor(7, "web.other", TYPES.A));
  // A label of 46 bytes has the byte of a dot before it, and the end may look like the rest.
  const long = encodeMessage(queryFor(7, `web.${"x".repeat(46)}`, TYPES.A));
  const others = [question, long, long.slice(0, 22), new Uint8Array(), new Uint8Array(17), question.slice(0, 12)];
  const withAnswer = Uint8Array.fromHex(MUSL_ASKS.web);
  withAnswer[7] = 1;
  for (const message of [...others, withAnswer]) equals(meantByMusl(message), undefined);
  for (let size = 0; size < MUSL_ASKS.web.length / 2; size++) {
    equals(meantByMusl(Uint8Array.fromHex(MUSL_ASKS.web).slice(0, size)), undefined);
  }
});
