import { labelsOf } from "./name.ts";

/** The last place that a pointer can point to: 14 bits (RFC 1035, section 4.1.4). */
const FURTHEST = 0x3fff;

/** A message that grows. Names that it has already are pointed to. */
export class Writer {
  #buffer = new Uint8Array(512);
  #length = 0;
  readonly #names = new Map<string, number>();

  /** How many bytes there are. */
  get length(): number {
    return this.#length;
  }

  /** What was written, as a copy. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  bytes(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  short(value: number): void {
    this.bytes(new Uint8Array([value >> 8 & 0xff, value & 0xff]));
  }

  long(value: number): void {
    this.short(value >>> 16);
    this.short(value & 0xffff);
  }

  /** Writes a name; as a pointer where it can, unless `compress` is false. */
  name(name: string, { compress = true }: { readonly compress?: boolean } = {}): void {
    const labels = labelsOf(name);
    for (const [index, label] of labels.entries()) {
      // Names are equal whatever their case is, but what was asked is echoed as it was: so only equal spellings share.
      const rest = labels.slice(index).map((each) => each.toHex()).join(".");
      const known = this.#names.get(rest);
      if (compress && known !== undefined) return this.short(0xc000 | known);
      if (known === undefined && this.#length <= FURTHEST) this.#names.set(rest, this.#length);
      this.bytes(new Uint8Array([label.length, ...label]));
    }
    this.bytes(new Uint8Array([0]));
  }

  /** Writes something with its size before it, in two bytes. */
  sized(write: () => void): void {
    const at = this.#length;
    this.short(0);
    write();
    new DataView(this.#buffer.buffer).setUint16(at, this.#length - at - 2);
  }

  /** Forgets what was written from `length` on; names that began there are no longer pointed to. */
  cut(length: number): void {
    this.#length = length;
    for (const [name, at] of this.#names) if (at >= length) this.#names.delete(name);
  }

  #grow(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + more));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
