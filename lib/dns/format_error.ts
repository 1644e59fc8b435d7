/** Bytes that are no DNS message, or a value that has no place in one. */
export class DnsFormatError extends Error {
  override readonly name = "DnsFormatError";
}
