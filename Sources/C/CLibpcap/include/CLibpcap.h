/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libpcap: the compiler of pcap-filter(7) expressions and, for tests, its interpreter of classic BPF. Also functions
 * for a process that compiles expressions of strangers: starting it, and giving up every privilege.
 */
#ifndef CLIBPCAP_H
#define CLIBPCAP_H

#include <nss.h>
/* linux/bpf.h has another structure of this name, and Swift refuses both in one target. */
#define bpf_insn clibpcap_insn
#include <pcap/pcap.h>
#undef bpf_insn
#include <stdint.h>
#include <sys/types.h>

/* A child, and the caller's ends of the pipes to its standard input and output. */
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
    /* Seconds of processor time, those already used included. It is killed at the latest one second later. */
    uint64_t processor;
    /* Bytes of address space in addition to those in use. */
    uint64_t memory;
};

/*
 * Closes every descriptor but 0, 1 and 2, and unmaps the rings of all packet sockets: closed or not, a socket lives as
 * long as its ring is mapped. libpcap's handle may then only compile. Returns 0 or -errno.
 */
int clibpcap_close_sockets(void);

/*
 * Gives up for good everything that the calling process can do except read files and write to descriptors 0, 1 and 2:
 * root and all groups, capabilities, sockets, other programs, processes and threads. The process must have one thread.
 * It is killed when the thread that started it ends.
 *
 * A process of root needs CAP_SETUID and CAP_SETGID for it. Returns 0; or -errno, with the step that failed in *step,
 * and then the process must not go on.
 */
int clibpcap_confine(const struct clibpcap_limits *limits, const char **step);

#endif
