/**
 * What could be in a standard library: connections, errors that are sentences, waiting and its end.
 *
 * Invariant: this room imports nothing of ours and knows nothing of the product.
 *
 * @module
 */
export { acceptAll, type Acceptor } from "./accept.ts";
export { closeQuietly, type Duplex, readFull, UnexpectedEnd, writeAll } from "./duplex.ts";
export { duplexPair, type DuplexPairOptions } from "./duplex_pair.ts";
export { messageOf, reasonOf, unfold, UserError } from "./fault.ts";
export { abortable, comesWithin, deadline, sleep } from "./life.ts";
export { splitLines } from "./lines.ts";
export { collectGarbage, collectMuchGarbage, keepHeapSmall, keepYoungSmall, SMALL_HEAP_VARIABLES } from "./memory.ts";
export { isReplaceable } from "./replaceable.ts";
export { splice, SPLICE_BYTES } from "./splice.ts";
export { stateDirectory } from "./state_directory.ts";
export { spendTurn, turnOver } from "./turns.ts";
export { visible } from "./visible.ts";
