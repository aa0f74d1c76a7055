/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counting what became of frames and copies. */
#ifndef VIRT_TAP_COUNTING_H
#define VIRT_TAP_COUNTING_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "maps.h"

static __always_inline void add_count(void *map, __u32 key, const struct tap_count *count)
{
	struct tap_count *sum = bpf_map_lookup_elem(map, &key);

	/* The map is per CPU, and TC programs run with bottom halves off. */
	if (sum) {
		sum->packets += count->packets;
		sum->bytes += count->bytes;
	}
}

/* Counts for one destination; an error also sets the time of the latest. */
static __always_inline void add_destination_count(__u32 slot, enum tap_destination_counter which,
						  const struct tap_count *count)
{
	__u32 key = slot * TAP_DESTINATION_COUNTERS + TAP_DESTINATION_LAST_ERROR;
	struct tap_count *last;

	add_count(&tap_dest_counts, slot * TAP_DESTINATION_COUNTERS + which, count);
	if (which != TAP_DESTINATION_ERRORS)
		return;
	last = bpf_map_lookup_elem(&tap_dest_counts, &key);
	if (last)
		last->packets = bpf_ktime_get_boot_ns();
}

#endif
