import { UserError } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { randomBytes, tlsFile } from "./_test_server.ts";
import { isPair, requireCertificates, requirePrivateKey } from "./pem.ts";

const CERTIFICATE = tlsFile("alice.pem");
const KEY = tlsFile("alice.key");

Deno.test("requireCertificates() takes all certificates out of what stands around them", () => {
  const authority = tlsFile("authority.pem");
  const text = `Subject: alice\r\n${CERTIFICATE.replaceAll("\n", "\r\n")}\n${KEY}# and who signed it\n${authority}`;
  assert.equal(requireCertificates(text, "x"), CERTIFICATE + authority);
  const trusted = authority.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE");
  assert.equal(requireCertificates(trusted, "x"), trusted);
});

Deno.test("requirePrivateKey() takes the key out of what stands around it", () => {
  for (const name of ["alice.key", "alice.sec1.key"]) {
    assert.equal(requirePrivateKey(CERTIFICATE + tlsFile(name), "x"), tlsFile(name));
  }
  assert.equal(requirePrivateKey(tlsFile("alice.params.key"), "x"), tlsFile("alice.sec1.key"));
});

const REFUSED: { name: string; text: string; says: RegExp }[] = [
  { name: "nothing", text: "", says: /no PEM certificate/ },
  { name: "a key", text: KEY, says: /no PEM certificate/ },
  { name: "no end", text: CERTIFICATE.slice(0, -30), says: /no PEM certificate/ },
  { name: "another end", text: CERTIFICATE.replace("END CERTIFICATE", "END OTHER"), says: /no PEM certificate/ },
  { name: "no base64", text: CERTIFICATE.replace(/\n.{4}/, "\n@@@@"), says: /not base64$/ },
  { name: "no DER", text: CERTIFICATE.replace(/\n.{4}/, "\nAAAA"), says: /a certificate in it is none$/ },
  { name: "a part of it", text: CERTIFICATE.replace(/\n(.{4})/, "\n"), says: /a certificate in it is none$/ },
];

Deno.test("requireCertificates() refuses", async (t) => {
  for (const { name, text, says } of REFUSED) {
    await t.step(name, () => assert.throws(() => requireCertificates(text, "x"), says));
  }
});

Deno.test("isPair() says whether a key belongs to a certificate", async () => {
  assert.equal(await isPair({ cert: CERTIFICATE, key: KEY }), true);
  assert.equal(await isPair({ cert: CERTIFICATE + tlsFile("authority.pem"), key: tlsFile("alice.sec1.key") }), true);
  assert.equal(await isPair({ cert: CERTIFICATE, key: tlsFile("bob.key") }), false);
});

Deno.test("PEM of random bytes is refused with a sentence or taken, and costs no more time than its length", () => {
  const survives = (text: string) => {
    for (const require of [requireCertificates, requirePrivateKey]) {
      try {
        assert.match(require(text, "x"), /^-----BEGIN /);
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }
  };
  const good = CERTIFICATE + KEY;
  for (let seed = 0; seed < 300; seed++) {
    const [at = 0, length = 0, ...bytes] = randomBytes(30, seed);
    const noise = String.fromCharCode(...bytes);
    const place = Math.floor(at / 256 * good.length);
    for (const text of [noise, good.slice(0, place) + noise + good.slice(place + length % 90)]) survives(text);
  }
  // Looked for by a pattern from each beginning on, an end that is not there would take minutes.
  survives("-----BEGIN CERTIFICATE-----\n".repeat(100_000));
});
