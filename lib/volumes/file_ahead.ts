import type { PacketWriter } from "@/pod/mod.ts";
import { Sequence } from "./sequence.ts";

/** What is first asked ahead: two round trips of the kernel's own. */
const FIRST_WINDOW_BYTES = 256 * 1024;
/** The most that is asked ahead for one file: what 400 MB/s have under way at 20 ms. */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;

/** So much of a window is asked for at a time, though not more than this: each message there and back is work for six programs. */
const BATCH = { part: 1 / 2, bytes: 512 * 1024 } as const;

/** A part of a file that was asked for ahead. */
export interface Piece {
  readonly offset: number;
  readonly length: number;
  readonly askedAt: number;
  /** What came, `count` bytes of it; nothing as long as it is under way. */
  arrived: { readonly bytes: Uint8Array; readonly count: number } | undefined;
  /** How many of its bytes have answered no READ yet. */
  unread: number;
  /** Nobody may read it any more: when it comes, it is thrown away. */
  isDropped: boolean;
}

/** A READ of the client's. */
export interface Read {
  readonly id: number;
  readonly handle: number;
  readonly offset: number;
  readonly length: number;
}

/** All of a small file, which was asked for as it was opened. */
export interface Opening {
  readonly askedAt: number;
  /** Nothing as long as it is under way. */
  readonly content: Uint8Array | undefined;
}

/** What is there of a file ahead of its reader, for one handle. */
export class FileAhead {
  /** The path by which it was opened. */
  readonly path: string;
  handle: number | undefined;
  /** Names were changed since, so which file this is cannot be told by a path any more. */
  isNameless = false;
  /** What STAT last told of it: another answer means that the file was changed. */
  seen: string | undefined;
  /** It ended within what was asked ahead, or that failed: nothing more is asked for this sequence. */
  isAtEnd = false;
  /** What came with the handle, until the end of it was read. */
  opening: Opening | undefined;
  readonly sequence = new Sequence();
  /** READs whose pieces are all asked for, and not all there. */
  waiting: Read[] = [];
  /** In order, without gaps but for what was never asked for. */
  pieces: Piece[] = [];
  #window = FIRST_WINDOW_BYTES;
  /** Pieces from here on were asked for when the window was full: the ones before tell of an earlier one. */
  #windowFrom = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Whether pieces have all of a range, asked for at or after a time. */
  cover({ offset, length }: Pick<Read, "offset" | "length">, since: number): "here" | "under way" | "no" {
    const end = offset + length;
    let at = offset;
    let isHere = true;
    for (const { offset: start, length: asked, askedAt, arrived } of this.pieces) {
      if (at >= end) break;
      const pieceEnd = start + (arrived?.count ?? asked);
      if (at < start || at >= pieceEnd) continue;
      if (askedAt < since) return "no";
      isHere &&= arrived !== undefined;
      at = pieceEnd;
    }
    if (at < end || length === 0) return "no";
    return isHere ? "here" : "under way";
  }

  /** Writes a range that is here. */
  copy({ offset, length }: Read, to: PacketWriter): void {
    let at = offset;
    for (const piece of this.pieces) {
      const { offset: start, arrived } = piece;
      if (at >= offset + length) break;
      if (arrived === undefined || at < start || at >= start + arrived.count) continue;
      const bytes = arrived.bytes.subarray(at - start, Math.min(arrived.count, offset + length - start));
      to.raw(bytes);
      piece.unread -= bytes.length;
      at += bytes.length;
    }
  }

  /** Whether so much of the window is not asked for that it is worth a message. */
  get isWorthAsking(): boolean {
    const missing = this.sequence.end + this.#window - this.#nextOffset;
    return missing >= Math.min(this.#window * BATCH.part, BATCH.bytes);
  }

  /** The next range to ask for; nothing when as much is asked for as is wanted. */
  next(pieceBytes: number): { readonly offset: number; readonly length: number } | undefined {
    const offset = this.#nextOffset;
    return offset < this.sequence.end + this.#window ? { offset, length: pieceBytes } : undefined;
  }

  get #nextOffset(): number {
    const last = this.pieces.at(-1);
    return Math.max(this.sequence.end, last === undefined ? 0 : last.offset + last.length);
  }

  /**
   * Fits the window to what a piece shows: it grows where a READ had to wait though the piece was soon there, and
   * shrinks where the piece was old when it was wanted.
   */
  fitWindow(
    piece: Piece,
    now: number,
    { waited, soonMs, oldMs }: { waited: boolean; soonMs: number; oldMs: number },
  ): void {
    const ageMs = now - piece.askedAt;
    if (piece.offset < this.#windowFrom) return;
    const size = ageMs > oldMs ? this.#window / 2 : waited && ageMs <= soonMs ? this.#window * 2 : this.#window;
    if (size === this.#window) return;
    this.#window = Math.min(MAX_WINDOW_BYTES, Math.max(FIRST_WINDOW_BYTES, size));
    this.#windowFrom = this.sequence.end + this.#window;
  }

  /** Takes out the pieces that were read, or that the sequence has left behind. */
  takeOutRead(): Piece[] {
    const { passed } = this.sequence;
    return this.takeOut(({ offset, length, arrived, unread }) => {
      return arrived === undefined || unread > 0 && offset + length > passed;
    });
  }

  /** Takes out all pieces that are no longer wanted. */
  takeOut(isWanted: (piece: Piece) => boolean): Piece[] {
    const taken = this.pieces.filter((piece) => !isWanted(piece));
    if (taken.length > 0) this.pieces = this.pieces.filter(isWanted);
    return taken;
  }

  /** Begins anew, with the small window. */
  restart(): void {
    this.sequence.restart();
    this.isAtEnd = false;
    this.#window = FIRST_WINDOW_BYTES;
    this.#windowFrom = 0;
  }
}
