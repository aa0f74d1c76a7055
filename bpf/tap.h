/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the copying program and user space share: the layout of the maps.
 *
 * The maps are pinned and outlive the daemon, so this layout is what the "1"
 * in the pins' path stands for. Swift's half is MapLayout.swift; the loader
 * compares the two before it loads anything.
 */
#ifndef VIRT_TAP_TAP_H
#define VIRT_TAP_TAP_H

#include <linux/types.h>

/* What became of a frame. An attachment's map has these for inbound first,
 * then for outbound.
 */
enum tap_counter {
	TAP_COPIED,
	TAP_FILTERED,
	TAP_SAMPLED_OUT,
	TAP_RATE_LIMITED,
	TAP_ERRORS,
	TAP_MARKED,
	TAP_COUNTERS,
};

enum tap_destination_counter {
	TAP_DESTINATION_SENT,
	TAP_DESTINATION_ERRORS,
	TAP_DESTINATION_COUNTERS,
};

/* As a wire would have carried them; never decreases. */
struct tap_count {
	__u64 packets;
	__u64 bytes;
};

#define TAP_DESTINATIONS       1024
#define TAP_LABEL_SIZE	       120
/* Each destination has all of enum tap_destination_counter, one after the other. */
#define TAP_DESTINATION_COUNTS (TAP_DESTINATIONS * TAP_DESTINATION_COUNTERS)

/* A place in the destinations map; free while the label is empty. */
struct tap_destination {
	__u32 ifindex;		    /* 0: nowhere at the moment */
	__u32 kind;		    /* for user space only */
	char label[TAP_LABEL_SIZE]; /* for user space only; NUL-padded */
};

#endif
