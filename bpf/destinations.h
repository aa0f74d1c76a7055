/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The destinations that all programs share, and how they are counted. */
#ifndef VIRT_TAP_DESTINATIONS_H
#define VIRT_TAP_DESTINATIONS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct tap_destination);
} tap_dests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TAP_DESTINATION_COUNTS);
	__type(key, __u32);
	__type(value, struct tap_count);
} tap_dest_counts SEC(".maps");

/* How copies are wrapped, for those destinations that are on other machines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct tap_tunnel);
} tap_tunnels SEC(".maps");

static __always_inline void add(void *map, __u32 key, const struct tap_count *frame)
{
	struct tap_count *count = bpf_map_lookup_elem(map, &key);

	/* Per CPU, and TC programs run with bottom halves off. */
	if (count) {
		count->packets += frame->packets;
		count->bytes += frame->bytes;
	}
}

/* Of one destination; an error also says when it was. */
static __always_inline void add_at(__u32 slot, enum tap_destination_counter which,
				   const struct tap_count *frame)
{
	__u32 key = slot * TAP_DESTINATION_COUNTERS + TAP_DESTINATION_LAST_ERROR;
	struct tap_count *last;

	add(&tap_dest_counts, slot * TAP_DESTINATION_COUNTERS + which, frame);
	if (which != TAP_DESTINATION_ERRORS)
		return;
	last = bpf_map_lookup_elem(&tap_dest_counts, &key);
	if (last)
		last->packets = bpf_ktime_get_boot_ns();
}

#endif
