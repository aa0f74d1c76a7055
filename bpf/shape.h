/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How much a frame is: on a wire, and for the device that is given a copy. */
#ifndef VIRT_TAP_SHAPE_H
#define VIRT_TAP_SHAPE_H

#include <linux/bpf.h>
#include <stdbool.h>

#include "headers.h"
#include "segments.h"
#include "CTapABI.h"

/* What the context tells, read once: the compiler may otherwise compute a
 * pointer into it, which the verifier refuses.
 */
struct shape {
	__u32 length;
	/* Of the tag beside the bytes. */
	__u32 tag;
	/* Of a GSO packet; else 0. */
	__u32 segment_size;
	/* What each of its segments has besides payload, the tag counted; 0: not known. */
	__u32 repeated;
};

static __always_inline bool has_known_end(const struct headers *headers)
{
	return headers->has_transport && headers->end > headers->transport;
}

/*
 * The frame as a wire would have carried it.
 *
 * A tag that the kernel keeps beside the bytes counts with them. A
 * GSO packet counts as its segments, each with the headers; gso_segs is 0
 * for those that come from a guest, which the kernel does not trust. What a
 * guest's UDP fragmentation offload makes (fragments, only the first of which
 * has the UDP header) is not told apart from UDP segmentation, and of a tunnel
 * whose segmentation was left to the device only the outer headers are seen.
 */
static __always_inline void measure(struct __sk_buff *skb, struct shape *shape,
				    const struct headers *headers, struct tap_count *frame)
{
	__u32 length = shape->length;

	frame->packets = 1;
	frame->bytes = length + shape->tag;
	shape->repeated = 0;
	if (shape->segment_size) {
		__u32 header = has_known_end(headers) ? headers->end : 0;
		__u64 segments = skb->gso_segs;

		if (header > length)
			header = 0;
		if (!segments)
			segments = segments_of(length - header, shape->segment_size);
		if (segments > 1) {
			shape->repeated = header ? header + shape->tag : 0;
			frame->packets = segments;
			frame->bytes += (segments - 1) * shape->repeated;
		}
	}
}

/* How many packets a frame counts as where they are limited. */
static __always_inline __u64 claimed(const struct tap_count *frame)
{
	return frame->packets < TAP_SEGMENTS ? frame->packets : TAP_SEGMENTS;
}

/*
 * What a device is given for it, whole: the segments, where they are made in front
 * of it, else the frame. A function of its own to the verifier, which otherwise
 * walks what follows once for each way through it.
 */
__noinline int tap_measure_given(const struct shape *shape, const struct tap_count *frame,
				 __u32 is_split, struct tap_count *given)
{
	if (!shape || !frame || !given)
		return -1;
	given->packets = claimed(frame);
	given->bytes = shape->length + shape->tag;
	if (is_split)
		given->bytes += (given->packets - 1) * shape->repeated;
	return 0;
}

#endif
