import { UserError } from "@/util/mod.ts";
import type { ClientCertificate } from "./cluster_config.ts";

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g;

/** The blocks of a PEM text (RFC 7468): their labels, and the blocks themselves as they stand there. */
function blocksOf(text: string): { label: string; body: string; block: string }[] {
  return [...text.matchAll(BLOCK)].map(([block, label = "", body = ""]) => ({ label, body, block }));
}

/**
 * The certificates in a PEM text, everything else (comments, a private key beside them) left out. Checked here because
 * the runtime ignores what it cannot read, and a server would then be untrusted for no visible reason.
 *
 * @param what names the text in an error: `"certificate-authority" of cluster "prod"`
 * @throws {UserError} when there is none, or one that is no base64
 */
export function requireCertificates(text: string, what: string): string {
  const blocks = blocksOf(text).filter(({ label }) => /^(X509 |TRUSTED )?CERTIFICATE$/.test(label));
  if (blocks.length === 0) throw new UserError(`Cannot use ${what}: it has no PEM certificate in it`);
  for (const { body } of blocks) {
    try {
      Uint8Array.fromBase64(body);
    } catch (cause) {
      throw new UserError(`Cannot use ${what}: a certificate in it is not base64`, { cause });
    }
  }
  return blocks.map(({ block }) => `${block}\n`).join("");
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
