/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The devices of ours, and how many segments wait in front of one of them. */
#ifndef VIRT_TAP_HOPS_H
#define VIRT_TAP_HOPS_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "tap.h"

/* What there is of each hop. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_HOPS);
	__type(key, __u32);
	__type(value, struct tap_hop_state);
} tap_hops SEC(".maps");

/* Whether so many more segments may be sent; if so they are counted. */
static __always_inline bool may_wait(struct tap_hop_state *hop, __u32 packets)
{
	if (hop->waiting && bpf_jiffies64() - hop->jiffies > TAP_SEGMENTS_LOST) {
		hop->waiting = 0;
		hop->jiffies = bpf_jiffies64();
	}
	if ((__s32)hop->waiting > 0 && hop->waiting + packets > TAP_SEGMENTS_WAITING)
		return false;
	__sync_fetch_and_add(&hop->waiting, packets);
	return true;
}

static __always_inline void came_out(struct tap_hop_state *hop)
{
	__sync_fetch_and_sub(&hop->waiting, 1);
	hop->jiffies = bpf_jiffies64();
}

#endif
