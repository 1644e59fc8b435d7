/** vpn-tcp where the machine's rules are those of iptables: since that is wanted, and since its kernel has no nftables. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { runProgram } from "@/process/mod.ts";
import { needing } from "../testkit/needing.ts";
import { buildProgram, machineTest, makePod, type OnMachine, READ, start, staysOwn, vpnTest } from "./harness.ts";

const isHere = async (program: string) => (await runProgram(["sh", "-c", `command -v ${program}`])).code === 0;
const reason = await isHere("iptables-legacy") ? undefined : "iptables-legacy is not installed";

const iptablesTest = needing(reason, vpnTest);
const iptablesMachineTest = needing(reason, machineTest);

/** The rules are there, and programs hear the same by them. */
async function hearsByIptables({ machine }: Pick<OnMachine, "machine">): Promise<void> {
  match(await machine.state(), /-A telepresence-to -d 10\.96\.0\.0\/16/);
  equals(/table inet telepresence/.test(await machine.state()), false);
  const script = `${READ}
for host in "10.96.7.7", "fd00:96::7", "helloworld.default", "www.public.example": print(read(host))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.sendto(b"one", ("10.96.7.7", 9999)); print(s.recv(9).decode())
s = socket.socket(); s.settimeout(5)
try: s.connect(("10.96.7.7", 1)); print(s.recv(1)) # a reset may be there before connect() has returned
except ConnectionResetError: print("reset")`;
  equals((await machine.shell(`python3 -c '${script}'`)).split("\n"), [
    ...Array(3).fill("Hello from the pod"),
    ...["of the world", "ONE", "reset"],
  ]);
}

iptablesTest(
  "iptables does the same where it is wanted, but that a connection is accepted before it is refused",
  hearsByIptables,
  { helper: { iptables: true } },
);

iptablesTest("by iptables, too, the machine's own addresses stay its own", staysOwn, {
  helper: { iptables: true },
  options: { alsoProxy: ["0.0.0.0/0", "::/0"] },
});

const WITHOUT_NFTABLES = await buildProgram("without_nftables");

iptablesTest(
  "on a kernel without nftables the helper finds that out by itself, and uses iptables",
  async (on) => {
    const nft = await on.machine.run(WITHOUT_NFTABLES, "nft", "list", "ruleset");
    match(nft.stderr, /Protocol not supported/, "nft itself fails as on such a kernel");
    await hearsByIptables(on);
  },
  { helper: { asRoot: [WITHOUT_NFTABLES] } },
);

iptablesMachineTest(
  "where iptables does not work either, the start is refused with the kernel's word, and nothing stays",
  async (machine) => {
    await machine.shell(
      "for name in iptables ip6tables; do for end in '' -legacy -nft; do" +
        " mount --bind /bin/false $(readlink -f $(command -v $name$end)); done; done",
    );
    const before = await machine.state();
    const starting = start(machine, makePod(), [], {}, { asRoot: [WITHOUT_NFTABLES] });
    const said = await starting.then(() => "nothing", String);
    match(said, /nftables, iptables: EPROTONOSUPPORT/);
    equals(await machine.state(), before);
  },
);
