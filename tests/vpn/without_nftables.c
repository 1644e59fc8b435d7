/*
 * without_nftables.c - runs a command as on a kernel that was built without nftables
 *
 * What such a kernel says (EPROTONOSUPPORT, socket(2)) is said by a seccomp filter, for this command and its children:
 * netfilter's netlink protocol, over which nftables is spoken to, is not there. The older programs of iptables do not use
 * it, and go on.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The lower half of an argument, on machines that begin with it. */
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)

int main(int count, char **words)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        UNLESS(SYS_socket, 5),
        LOAD(args[0]),
        UNLESS(AF_NETLINK, 3),
        LOAD(args[2]),
        UNLESS(NETLINK_NETFILTER, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

    if (count < 2)
        return 2;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return perror("seccomp"), 126;
    execvp(words[1], words + 1);
    return perror(words[1]), 127;
}
