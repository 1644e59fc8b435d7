import { SftpError } from "@/pod/mod.ts";

/** Requests that wait for their answers, by numbers of ours: those that others have chosen could be the same. */
export class AskedRequests<Asked extends { readonly askedAt: number }> {
  readonly #byNumber = new Map<number, Asked>();
  #next = 0;
  #fastestMs = Infinity;

  /** How long the fastest answer took. */
  get fastestMs(): number {
    return this.#fastestMs;
  }

  /** Gives a request its number. */
  add(asked: Asked): number {
    while (this.#byNumber.has(this.#next)) this.#next = (this.#next + 1) >>> 0;
    const number = this.#next;
    this.#next = (number + 1) >>> 0;
    this.#byNumber.set(number, asked);
    return number;
  }

  /** Takes out the request that an answer is for. @throws {SftpError} when there is none */
  answered(number: number, now: number): Asked {
    const asked = this.#byNumber.get(number);
    if (asked === undefined) throw new SftpError(`An answer with the number ${number}, by which nothing was asked`);
    this.#byNumber.delete(number);
    this.#fastestMs = Math.min(this.#fastestMs, now - asked.askedAt);
    return asked;
  }

  /** Takes out a request that will not be answered. */
  withdraw(number: number): Asked | undefined {
    const asked = this.#byNumber.get(number);
    this.#byNumber.delete(number);
    return asked;
  }
}
