import { deepStrictEqual as equals } from "node:assert/strict";
import { shimPlaces } from "./choose_capture.ts";

Deno.test("shimPlaces() has the cache first, then TMPDIR, and no relative path", () => {
  equals(shimPlaces({}, "/home/me"), ["/home/me/.cache", "/tmp", "/var/tmp"]);
  equals(shimPlaces({ XDG_CACHE_HOME: "/cache", TMPDIR: "/scratch" }, "/home/me"), [
    "/cache",
    "/scratch",
    "/tmp",
    "/var/tmp",
  ]);
  equals(shimPlaces({ XDG_CACHE_HOME: "cache", TMPDIR: "here" }, ""), ["/tmp", "/var/tmp"]);
  equals(shimPlaces({ XDG_CACHE_HOME: "/tmp", TMPDIR: "/tmp" }, "/root"), ["/tmp", "/var/tmp"]);
});
