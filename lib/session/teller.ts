/** Who can tell the user something while a session runs; how it looks is the terminal's affair. */
export interface Teller {
  /** What the user has to know. */
  say(line: string): void;
  /** What is done, for people and in logs; not with `--quiet`. */
  note(line: string): void;
  /** What is good to know: only for people, not for scripts. */
  chat(line: string): void;
  /** What is being waited for from now on, in place of what was before; undefined when nothing is. */
  step(doing: string | undefined): void;
  /** Why that takes its time, in the words of whoever knows; `whom` it is waited for: "the proxy". */
  because(why: string | undefined, whom: string): void;
  /** Keeps that line away while somebody else asks on the terminal. */
  pause(): Disposable;
}
