/** RFC 1035, section 4.1: the header, and what stands between the name of a question and its end. */
const HEADER_BYTES = 12;
const TYPE_AND_CLASS_BYTES = 4;
const MOST_LABEL_BYTES = 63;
const DOT = ".".charCodeAt(0);

/**
 * What musl means by a question that is none. Where `search .` puts the root domain behind a name ("web.."), musl before
 * 1.2.4 leaves the last dot where the name's end should be, and a byte too many behind the class. No server answers
 * that, so programs of such a machine would wait in vain for every name without a dot.
 *
 * @returns the question; undefined for every other message, be it one or none
 */
export function meantByMusl(message: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const counts = message.subarray(4, HEADER_BYTES);
  if (counts.length < 8 || counts.some((byte, at) => byte !== (at === 1 ? 1 : 0))) return undefined;
  const dotAt = message.length - TYPE_AND_CLASS_BYTES - 2;
  let at = HEADER_BYTES;
  while (at < dotAt) {
    const length = message[at] ?? 0;
    if (length === 0 || length > MOST_LABEL_BYTES) return undefined;
    at += 1 + length;
  }
  if (at === HEADER_BYTES || at !== dotAt || message[at] !== DOT || message.at(-1) !== 0) return undefined;
  const meant = message.slice(0, -1);
  meant[at] = 0;
  return meant;
}
