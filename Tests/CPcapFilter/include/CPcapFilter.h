/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libpcap's compiler for tests that load programs: its headers and linux/bpf.h each have a struct bpf_insn of their own,
 * and Swift refuses to see both.
 */
#ifndef CPCAPFILTER_H
#define CPCAPFILTER_H

#include <stddef.h>
#include <stdint.h>

/* Compiles an expression for Ethernet frames in a file. Returns how many instructions it has, of which at most `room` are
 * written; -1 when libpcap refuses it. */
long cpcapfilter_compile(const char *expression, uint64_t *words, size_t room);

#endif
