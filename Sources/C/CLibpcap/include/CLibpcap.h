/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libpcap: the compiler of pcap-filter(7) expressions and, for tests, its interpreter of classic BPF. Beside it what a
 * process needs that compiles what strangers wrote: which databases names come from, and the ways out of every
 * privilege.
 */
#ifndef CLIBPCAP_H
#define CLIBPCAP_H

#include <nss.h>
/* Of the same name in linux/bpf.h is another structure, and Swift would refuse to see both in one target. */
#define bpf_insn clibpcap_insn
#include <pcap/pcap.h>
#undef bpf_insn
#include <stdint.h>
#include <sys/types.h>

/* A child and the caller's ends of the pipes to it: what is written to the one is its standard input. */
struct clibpcap_child {
    pid_t pid;
    int input;
    int output;
};

/*
 * Starts a program, argv[0] by its path, with pipes for standard input and output, /dev/null for standard error, no
 * other descriptor, no environment, no blocked or ignored signals and a process group of its own. Returns 0 or -errno.
 */
int clibpcap_spawn(char *const argv[], struct clibpcap_child *child);

/* Resources that the calling process may use from now on. */
struct clibpcap_limits {
    /* Seconds of processor time, those already used included; a second more and it is killed for sure. */
    uint64_t processor;
    /* Bytes of address space beside those that it has. */
    uint64_t memory;
};

/*
 * Closes every descriptor but 0, 1 and 2, and unmaps the rings of all packet sockets: closed or not, a socket lives as
 * long as its ring is mapped. libpcap's handle may then only compile. Returns 0 or -errno.
 */
int clibpcap_close_sockets(void);

/*
 * Gives up for good what the calling process could do beside reading files and writing to descriptors 0, 1 and 2: root
 * and all groups, capabilities, sockets, other programs, processes and threads. The process must have one thread. It is
 * killed when the thread that started it ends.
 *
 * Needs nothing of a process that is not root, and CAP_SETUID and CAP_SETGID of one that is. Returns 0; or -errno, with
 * the step that failed in *step, and then the process must not go on.
 */
int clibpcap_confine(const struct clibpcap_limits *limits, const char **step);

#endif
