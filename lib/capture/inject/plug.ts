/** What has to wait unsent behind a plug, twice: the shim's limit, and the last packet that a receiver takes on top. */
const MARGIN_BYTES = 2 * 64 * 1024;

/** The stock receive buffer of Linux, where the machine does not tell its own. */
const STOCK_BYTES = 131_072;

/** What kernels before 4.20 make of any smaller receive buffer on loopback: four of its largest packets, with overhead. */
const OLD_KERNEL_BYTES = 384 * 1024;

/** The largest plug that is sent in a moment: above it the kernel moves it to the receiver by delayed ACKs, 40 ms each. */
const MOST_BYTES = 1_310_720;

/** The machine's settings, as text: tcp(7). */
export interface TcpSettings {
  /** `/proc/sys/net/ipv4/tcp_rmem`: least, initial and most bytes of a receive buffer. */
  readonly rmem: string;
  /** `/proc/sys/net/ipv4/tcp_wmem`: the same of a send buffer. */
  readonly wmem: string;
  /** The kernel's release. */
  readonly release: string;
}

/**
 * How many bytes make a connection at the gate not writable: more than its receiver can hold before it is read
 * (shim/gate.c, "How a non-blocking connect stays under way").
 *
 * @returns undefined on a machine whose buffers are set so that a plug would be too large, or would not fit
 */
export function plugBytes({ rmem, wmem, release }: TcpSettings): number | undefined {
  const initial = Number(rmem.trim().split(/\s+/)[1]) || STOCK_BYTES;
  const mostSent = Number(wmem.trim().split(/\s+/)[2]) || Infinity;
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const old = major < 4 || (major === 4 && minor < 20);
  const bytes = Math.max(initial, old ? OLD_KERNEL_BYTES : 0) + MARGIN_BYTES;
  return bytes <= MOST_BYTES && 2 * bytes <= mostSent ? bytes : undefined;
}
