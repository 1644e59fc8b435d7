/** The longest UDP payload (RFC 768: 65535 with the header of 8 bytes). */
export const MAX_DATAGRAM_BYTES = 65527;

/** A datagram on a stream: its length in two bytes, then its bytes. */
export function encodeDatagram(payload: Uint8Array): Uint8Array {
  if (payload.length > MAX_DATAGRAM_BYTES) throw new RangeError(`A datagram of ${payload.length} bytes is too long`);
  const bytes = new Uint8Array(2 + payload.length);
  bytes[0] = payload.length >> 8;
  bytes[1] = payload.length;
  bytes.set(payload, 2);
  return bytes;
}

/** Cuts a stream into datagrams, however its bytes arrive. */
export class DatagramReader {
  #held = new Uint8Array();

  /** The datagrams that `bytes` completes, each with bytes of its own. */
  *push(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
    let rest = new Uint8Array(this.#held.length + bytes.length);
    rest.set(this.#held);
    rest.set(bytes, this.#held.length);
    while (rest.length >= 2) {
      const end = 2 + ((rest[0] ?? 0) << 8 | (rest[1] ?? 0));
      if (rest.length < end) break;
      yield rest.slice(2, end);
      rest = rest.subarray(end);
    }
    this.#held = rest.slice();
  }
}
