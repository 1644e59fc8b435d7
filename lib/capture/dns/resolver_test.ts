import { strictEqual as equal } from "node:assert/strict";
import { isNowhere, resolvConf } from "./resolver.ts";

Deno.test("resolvConf() keeps every libc from a search list of the domain of the host, and of the root, which musl 1.2.3 cannot", () => {
  const search = (hostname: string) => /^search.*$/m.exec(resolvConf(hostname))?.[0];
  equal(search("laptop"), undefined); // there is no domain to make a list of
  equal(search("laptop.corp.example"), "search invalid");
});

Deno.test("isNowhere() knows the domain without names, and none that only looks like it", () => {
  const names = [
    "invalid",
    "web.invalid",
    "web.invalid.",
    "WEB.Invalid",
    "notinvalid",
    "invalid.example",
    "x.invalids",
  ];
  equal(names.filter(isNowhere).join(), "invalid,web.invalid,web.invalid.,WEB.Invalid");
});
