import { deepStrictEqual as equals } from "node:assert/strict";
import { openWorld } from "./harness.ts";

/** What `names.c` prints in the pod's world, in the words of the standard: RFC 3493 and the manual pages. */
const WANT = `
NULL hints: 10.96.7.7/80/tcp 10.96.7.7/80/udp 10.96.7.7/80/raw
NULL hints, no service: 10.96.7.7/0/tcp 10.96.7.7/0/udp 10.96.7.7/0/raw
NULL hints, unknown: EAI_NONAME
all addresses: 2001:db8::7/80/tcp 10.96.7.8/80/tcp 10.96.7.7/80/tcp
IPv4: 10.96.7.8/80/tcp 10.96.7.7/80/tcp
IPv6: 2001:db8::7/80/tcp
IPv6 of an IPv4 name: EAI_NONAME
v4-mapped: ::ffff:10.96.7.7/80/tcp
v4-mapped and all: 2001:db8::7/80/tcp ::ffff:10.96.7.8/80/tcp ::ffff:10.96.7.7/80/tcp
v4-mapped, IPv6 there: 2001:db8::7/80/tcp
ADDRCONFIG: 2001:db8::7/80/tcp 10.96.7.8/80/tcp 10.96.7.7/80/tcp
canonical name: 2001:db8::7/80/tcp=both 10.96.7.8/80/tcp 10.96.7.7/80/tcp
numeric host of a name: EAI_NONAME
literal: 10.1.2.3/80/tcp
literal, IPv6: 2001:db8::9/80/tcp
literal, odd: 10.0.0.1/80/tcp
literal of another family: EAI_ADDRFAMILY
passive: 0.0.0.0/80/tcp
NULL node: 127.0.0.1/80/tcp
empty node: EAI_NONAME
service by name: 10.96.7.7/80/tcp
service that is unknown: EAI_SERVICE
service, numeric only: EAI_NONAME
datagrams: 10.96.7.7/53/udp
bad flags: EAI_BADFLAGS
bad family: EAI_FAMILY
bad type: EAI_SOCKTYPE
again: EAI_AGAIN
fail: EAI_FAIL
a name with a blank: EAI_NONAME
a name in another script: EAI_NONAME
localhost: 127.0.0.1/80/tcp
trailing dot: 10.96.7.7/80/tcp
a name that is too long: EAI_NONAME
gethostbyname: both 10.96.7.8 10.96.7.7
gethostbyname, unknown: HOST_NOT_FOUND
gethostbyname, again: TRY_AGAIN
gethostbyname, literal: 10.1.2.3 10.1.2.3
gethostbyname, localhost: localhost 127.0.0.1
gethostbyname2, IPv6: both 2001:db8::7
gethostbyname_r: hello 10.96.7.7
gethostbyname_r returns 0 for an unknown name
gethostbyname_r, unknown: HOST_NOT_FOUND
gethostbyname_r returns EAGAIN
gethostbyname2_r: both 2001:db8::7
small buffers: ERANGE, then 0
gethostbyaddr: HOST_NOT_FOUND
gethostbyaddr_r returns 0
gethostbyaddr_r: HOST_NOT_FOUND
gethostbyaddr, loopback: localhost 127.0.0.1
getnameinfo: 10.96.7.7 80
getnameinfo, service: 10.96.7.7 http
getnameinfo, name required: EAI_NONAME
getnameinfo, loopback: localhost 80
`;

Deno.test("Names resolve in the pod in every way that libc has", async () => {
  await using world = await openWorld({
    services: {},
    names: {
      hello: ["10.96.7.7"],
      "hello.default.": ["10.96.7.7"],
      both: ["2001:db8::7", "10.96.7.8", "10.96.7.7"],
    },
  });
  const { stdout, stderr } = await world.run([await world.compile("names.c")]);
  equals([stdout.trim().split("\n"), stderr], [WANT.trim().split("\n"), ""]);
});

Deno.test("A name with more addresses than a program can use is cut, not refused", async () => {
  const many = Array.from({ length: 300 }, (_, i) => `2001:db8:ffff:ffff:ffff:ffff:ffff:${(i + 4096).toString(16)}`);
  await using world = await openWorld({ services: {}, names: { many } });
  const script = "import socket; print(len(socket.getaddrinfo('many', 80, type=socket.SOCK_STREAM)))";
  equals((await world.run(["python3", "-c", script])).stdout, "64\n");
});
