/**
 * What Telepresence 1 did, as a yardstick: sftp through ssh through `kubectl port-forward`, to an sshd in a pod.
 *
 * Neither the machine nor an image has an sshd: Debian's packages are unpacked into a directory, and what a server needs
 * is brought to the pod, where it runs as the pod's user.
 *
 * @module
 */
import { type KubeClient, pods } from "@/kube/mod.ts";
import { requireProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { lines } from "./setting.ts";

const PACKAGES = ["openssh-server", "openssh-sftp-server", "libwrap0"] as const;
const PORT = 2222;

const CONFIG = `ListenAddress 127.0.0.1
Port ${PORT}
UsePAM no
StrictModes no
PidFile none
HostKey /tmp/ssh/host
AuthorizedKeysFile /tmp/ssh/user.pub
Subsystem sftp /tmp/ssh/sftp-server
SetEnv LD_LIBRARY_PATH=/tmp/ssh
`;
/** The pod waits for the file `ready`, which comes last. */
const SERVE = "until [ -e /tmp/ssh/ready ]; do sleep 0.2; done; cd /tmp/ssh; chmod 600 host; " +
  "LD_LIBRARY_PATH=/tmp/ssh exec /tmp/ssh/sshd -D -f /tmp/ssh/config";

/** A way to files of a pod by sftp. Disposing it ends it. */
export interface Ssh extends AsyncDisposable {
  /** How many seconds a batch of sftp takes: `put a /data/a`. */
  seconds(batch: string): Promise<number>;
}

/** Where it is set up. */
export interface SshOptions {
  readonly kubeconfig: string;
  readonly namespace: string;
  /** For what is made on this machine. */
  readonly directory: string;
}

/** Sets it up. @throws when a package or a program of it cannot be had here */
export async function openSsh(kube: KubeClient, { kubeconfig, namespace, directory }: SshOptions): Promise<Ssh> {
  const name = `ssh-${crypto.randomUUID().slice(0, 8)}`;
  const at = `${directory}/${name}`;
  await gather(at);
  await kube.create(pods, {
    metadata: { namespace, name },
    spec: {
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 },
      containers: [{
        name: "ssh",
        image: "tools:1",
        imagePullPolicy: "Never",
        command: ["sh", "-c", SERVE],
        volumeMounts: [{ name: "data", mountPath: "/data" }],
      }],
      volumes: [{ name: "data", emptyDir: {} }],
    },
  });
  while ((await kube.get(pods, { namespace, name })).status.phase !== "Running") await sleep(200);
  const archive = await Deno.readFile(`${at}/ssh.tar`);
  await kube.exec({ namespace, name }, { command: ["tar", "-C", "/tmp", "-xf", "-"], stdin: archive });
  await kube.exec({ namespace, name }, { command: ["touch", "/tmp/ssh/ready"] });
  await sleep(1000);
  const forward = new Deno.Command("kubectl", {
    args: ["--kubeconfig", kubeconfig, "--namespace", namespace, "port-forward", `pod/${name}`, `:${PORT}`],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const [, port = ""] = /:(\d+) ->/.exec((await lines(forward.stdout).next()).value ?? "") ?? [];
  return {
    async seconds(batch) {
      await Deno.writeTextFile(`${at}/batch`, `${batch}\n`);
      const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"].flatMap((each) => ["-o", each]);
      const start = performance.now();
      await requireProgram([
        "sftp",
        "-q",
        "-b",
        `${at}/batch`,
        "-P",
        port,
        "-i",
        `${at}/ssh/user`,
        ...options,
        "user@127.0.0.1",
      ]);
      return (performance.now() - start) / 1000;
    },
    async [Symbol.asyncDispose]() {
      forward.kill("SIGTERM");
      await forward.status;
    },
  };
}

/** Puts together what the pod needs: `at/ssh.tar`, with the server, its libraries and keys. */
async function gather(at: string): Promise<void> {
  const script = `
set -eu
mkdir -p "$1/ssh"
cd "$1"
apt-get download -qq "$2" "$3" "$4" >/dev/null
for package in *.deb; do dpkg -x "$package" unpacked; done
cp unpacked/usr/sbin/sshd unpacked/usr/lib/openssh/sftp-server ssh
find unpacked -name 'libwrap.so.0' -exec cp -L {} ssh ';'
for program in ssh/sshd ssh/libwrap.so.0; do
  LD_LIBRARY_PATH=$1/ssh ldd "$program" | sed -n 's/.* => \\(\\/lib[^ ]*\\) .*/\\1/p' | grep -v '/libc\\.so' | xargs -I{} cp -L {} ssh
done
ssh-keygen -q -t ed25519 -N '' -f ssh/host
ssh-keygen -q -t ed25519 -N '' -f ssh/user
printf %s "$5" >ssh/config
tar -cf ssh.tar --exclude ssh/user ssh
`;
  await requireProgram(["sh", "-c", script, "sh", at, ...PACKAGES, CONFIG]);
}
