/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The generic cell rate algorithm (ITU-T I.371, annex A): one number, the time at
 * which everything that was let through will have been paid for.
 *
 * All CPUs share it, by compare and swap; a refusal writes nothing, so a tap
 * far over its rate costs no more than a read.
 */
#ifndef VIRT_TAP_RATE_H
#define VIRT_TAP_RATE_H

#include "CTapABI.h"

#include <stdbool.h>

#include <bpf/bpf_helpers.h>

/* A frame is refused if this many tries in a row meet another CPU that changes the number. */
#define RATE_TRIES 16
#define RATE_UNITS (1 << TAP_RATE_UNITS_SHIFT)

/* Whether a frame that costs this much time may pass now; depth is how much may be used at once. */
__noinline int tap_conforms(__u64 *paid_until, __u64 cost, __u64 depth)
{
	if (!paid_until)
		return 0;
	for (int i = 0; i < RATE_TRIES; i++) {
		__u64 known = *(volatile __u64 *)paid_until;
		__u64 now = bpf_ktime_get_ns() << TAP_TIME_SHIFT;
		/* Signed, so that the number may wrap, after nine years. */
		__s64 ahead = known - now;

		if (ahead < 0)
			ahead = 0;
		/* When everything is paid for, a frame larger than the burst passes: otherwise it
		 * never would.
		 */
		if (ahead && ahead + cost > depth)
			return 0;
		if (__sync_val_compare_and_swap(paid_until, known, now + ahead + cost) == known)
			return 1;
	}
	return 0;
}

static __always_inline bool conforms(__u64 *paid_until, const volatile struct tap_limit *limit,
				     __u64 packets, __u64 bytes)
{
	__u64 units = limit->is_packets ? packets : bytes;

	/* Otherwise a guest that claims tiny segments makes the product wrap. */
	if (units > RATE_UNITS)
		units = RATE_UNITS;
	return tap_conforms(paid_until, units * limit->cost >> limit->shift, limit->depth);
}

#endif
