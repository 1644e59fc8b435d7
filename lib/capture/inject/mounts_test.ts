import { deepStrictEqual as equals, ok, strictEqual as equal } from "node:assert/strict";
import type { FilePath } from "../method.ts";
import { chooseMounts, MOUNTS_BYTES, mountWords } from "./mounts.ts";

const HOST = "/tmp/tel-x/fs";
const below = (...paths: readonly string[]): FilePath[] => paths.map((pod) => ({ pod, host: `${HOST}${pod}` }));
/** A machine on which `/var/run` leads to `/run`. */
const resolve = (path: string) => Promise.resolve(path.replace(/^\/var\/run(?=\/|$)/, "/run"));
const options = { needed: ["/home/me/work", "/home/me"], resolve };

Deno.test("chooseMounts() shows volumes at their paths, and at the end of the host's links", async () => {
  const token = "/var/run/secrets/kubernetes.io/serviceaccount";
  equals(await chooseMounts(below("/data", token), options), {
    shown: [
      { pod: "/data", host: `${HOST}/data` },
      { pod: token, host: `${HOST}${token}` },
      { pod: "/run/secrets/kubernetes.io/serviceaccount", host: `${HOST}${token}` },
    ],
    hidden: [],
  });
});

Deno.test("chooseMounts() leaves to the host what its programs need", async (t) => {
  const cases: readonly (readonly [string, RegExp | undefined])[] = [
    ["/tmp", /^programs of this machine need theirs$/],
    ["/etc", /need theirs/],
    ["/var/run", /need theirs/],
    ["/home/me/work", /^"\/home\/me\/work" of this machine is there$/],
    ["/home/me", /is there/],
    ["/tmp/tel-x", /is there/],
    ["/etc/config", undefined],
    ["/home/me/work/config", undefined],
    ["/home/you", undefined],
    ["/tmp/cache", undefined],
    ["/usr/share/app", undefined],
  ];
  for (const [path, want] of cases) {
    await t.step(path, async () => {
      const { shown, hidden } = await chooseMounts(below(path, "/data"), options);
      equal(shown.some(({ pod }) => pod === path), want === undefined);
      equal(hidden.length, want === undefined ? 0 : 1);
      if (want !== undefined) ok(want.test(hidden[0]?.reason ?? ""), hidden[0]?.reason);
    });
  }
});

Deno.test("chooseMounts() does not take a volume's path for another one's link", async () => {
  const files = [{ pod: "/run/x", host: "/h/1" }, { pod: "/var/run/x", host: "/h/2" }];
  equals((await chooseMounts(files, options)).shown, files);
});

Deno.test("chooseMounts() shows no more than an answer holds, and says what is not shown", async () => {
  const files = below(...Array.from({ length: 250 }, (_, i) => `/data/${"x".repeat(100)}${i}`));
  const { shown, hidden } = await chooseMounts(files, options);
  ok(shown.length > 60 && shown.length + hidden.length === 250);
  ok(shown.map(mountWords).join("").length <= MOUNTS_BYTES);
  equals(new Set(hidden.map(({ reason }) => reason)), new Set(["too many"]));
});

Deno.test("chooseMounts() follows the links of this machine where it is not told others", async () => {
  const place = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${place}/true`);
    await Deno.symlink("true", `${place}/link`);
    const { shown } = await chooseMounts([{ pod: `${place}/link/a/b`, host: "/h" }], { needed: [] });
    equals(shown, [{ pod: `${place}/link/a/b`, host: "/h" }, { pod: `${place}/true/a/b`, host: "/h" }]);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});
