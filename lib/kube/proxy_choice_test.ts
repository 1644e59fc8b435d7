import assert from "node:assert/strict";
import { chooseProxy, isExcepted } from "./proxy_choice.ts";

const EXCEPTIONS: { host: string; port?: string; list: string; want: boolean }[] = [
  { host: "api.example.test", list: "", want: false },
  { host: "api.example.test", list: "*", want: true },
  { host: "api.example.test", list: "example.test", want: true },
  { host: "api.example.test", list: "other, .example.test", want: true },
  { host: "example.test", list: ".example.test", want: false },
  { host: "example.test", list: "*.example.test", want: false },
  { host: "api.example.test", list: "*.example.test", want: true },
  { host: "anexample.test", list: "example.test", want: false },
  { host: "API.Example.Test.", list: "api.example.TEST", want: true },
  { host: "api.example.test", port: "6443", list: "api.example.test:443", want: false },
  { host: "api.example.test", port: "6443", list: "api.example.test:6443", want: true },
  { host: "10.1.2.3", list: "10.0.0.0/8", want: true },
  { host: "10.1.2.3", list: "10.1.2.0/25,192.168.0.0/16", want: true },
  { host: "11.1.2.3", list: "10.0.0.0/8", want: false },
  { host: "10.1.2.3", list: "10.1.2.3", want: true },
  { host: "10.1.2.3", list: "1.2.3", want: false },
  { host: "fd00::1", list: "fd00:0::1", want: true },
  { host: "fd00::1", port: "6443", list: "[fd00::1]:6443", want: true },
  { host: "fd00::1", list: "fd00::/8", want: true },
  { host: "fd00::1", list: "10.0.0.0/8", want: false },
  { host: "api.example.test", list: "10.0.0.0/8,/,:,[,]", want: false },
];

Deno.test("isExcepted() reads NO_PROXY as Go does", async (t) => {
  for (const { host, port = "443", list, want } of EXCEPTIONS) {
    await t.step(`${host}:${port} in "${list}"`, () => assert.equal(isExcepted(host, port, list), want));
  }
});

Deno.test("chooseProxy() never sends loopback to a proxy of the environment", () => {
  const env = { HTTPS_PROXY: "http://proxy:1", HTTP_PROXY: "http://plain:2" };
  assert.equal(chooseProxy("https://127.0.0.1:6443", "", env, ""), undefined);
  assert.equal(chooseProxy("https://[::1]:6443", "", env, ""), undefined);
  assert.equal(chooseProxy("https://localhost:6443", "", env, ""), undefined);
  assert.equal(chooseProxy("https://127.0.0.1:6443", "http://own:1", env, ""), "http://own:1");
  assert.equal(chooseProxy("http://api.example.test", "", env, ""), "http://plain:2");
  assert.equal(chooseProxy("https://api.example.test", "", { ...env, no_proxy: "example.test" }, ""), undefined);
});
