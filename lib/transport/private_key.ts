/**
 * The private half of a session's key as text, for an agent that more than one session uses. Whoever has it is let in.
 *
 * @module
 */

/** A private key as text: PKCS #8 in base64url. */
export async function exportPrivateKey(key: CryptoKey): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.exportKey("pkcs8", key));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/**
 * The private key that a text is.
 *
 * @throws {SyntaxError} when it is not base64url, or {DOMException} when it is no key of ours
 */
export async function importPrivateKey(text: string): Promise<CryptoKey> {
  const bytes = Uint8Array.fromBase64(text.trim(), { alphabet: "base64url" });
  return await crypto.subtle.importKey("pkcs8", bytes, "Ed25519", false, ["sign"]);
}
