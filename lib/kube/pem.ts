import { UserError } from "@/util/mod.ts";
import type { ClientCertificate } from "./cluster_config.ts";

interface Block {
  readonly label: string;
  readonly body: string;
  /** All of it, as it stands there. */
  readonly block: string;
}

/** The blocks of a PEM text (RFC 7468); one that does not end is none. */
function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let begun: { label: string; lines: string[] } | undefined;
  for (const written of text.split("\n")) {
    const line = written.trim();
    const [, edge, label = ""] = /^-----(BEGIN|END) ([A-Z0-9 ]+)-----$/.exec(line) ?? [];
    if (edge === "BEGIN") begun = { label, lines: [line] };
    else begun?.lines.push(line);
    if (edge !== "END" || begun === undefined) continue;
    const { lines } = begun;
    if (begun.label === label) blocks.push({ label, body: lines.slice(1, -1).join("\n"), block: lines.join("\n") });
    begun = undefined;
  }
  return blocks;
}

/**
 * The certificates in a PEM text, everything else (comments, a private key beside them) left out. Checked here because
 * the runtime ignores what it cannot read, and a server would then be untrusted for no visible reason.
 *
 * @param what names the text in an error: `"certificate-authority" of cluster "prod"`
 * @throws {UserError} when there is none, or what stands for one is no base64 or no DER
 */
export function requireCertificates(text: string, what: string): string {
  const blocks = blocksOf(text).filter(({ label }) => /^(X509 |TRUSTED )?CERTIFICATE$/.test(label));
  if (blocks.length === 0) throw new UserError(`Cannot use ${what}: it has no PEM certificate in it`);
  for (const { body } of blocks) {
    let der: Uint8Array;
    try {
      der = Uint8Array.fromBase64(body);
    } catch (cause) {
      throw new UserError(`Cannot use ${what}: a certificate in it is not base64`, { cause });
    }
    if (!isSequence(der)) throw new UserError(`Cannot use ${what}: a certificate in it is none`);
  }
  return blocks.map(({ block }) => `${block}\n`).join("");
}

/** Whether bytes are one SEQUENCE of DER (X.690, section 8.1), as long as it says. */
function isSequence(der: Uint8Array): boolean {
  const [tag, first = 0] = der;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  let length = lengthBytes === 0 ? first : 0;
  for (const byte of der.subarray(2, 2 + lengthBytes)) length = length * 256 + byte;
  return tag === 0x30 && lengthBytes <= 4 && der.length === 2 + lengthBytes + length;
}

/**
 * The private key in a PEM text: PKCS#8, PKCS#1 or SEC1 (the curve's parameters that may stand before it left out).
 *
 * @throws {UserError} when there is none, or it is encrypted
 */
export function requirePrivateKey(text: string, what: string): string {
  const key = blocksOf(text).find(({ label }) => label.endsWith("PRIVATE KEY"));
  if (key === undefined) throw new UserError(`Cannot use ${what}: it has no PEM private key in it`);
  if (key.label.startsWith("ENCRYPTED") || /^\s*Proc-Type:\s*4,\s*ENCRYPTED/m.test(key.body)) {
    throw new UserError(`Cannot use ${what}: it is encrypted, which kubectl does not support either`, {
      hints: ["To make a key without a password: openssl pkey -in encrypted.key -out plain.key"],
    });
  }
  return `${key.block}\n`;
}

/** Whether a certificate (the first of a chain) was made for a key. @throws the runtime's error for what it cannot read */
export async function isPair({ cert, key }: ClientCertificate): Promise<boolean> {
  const { createPrivateKey, X509Certificate } = await import("node:crypto"); // loaded by those who need it, as few do
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}
