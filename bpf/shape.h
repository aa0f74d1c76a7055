/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How many packets and bytes a frame is: on a wire, and for the device that is given a copy. */
#ifndef VIRT_TAP_SHAPE_H
#define VIRT_TAP_SHAPE_H

#include <linux/bpf.h>
#include <stdbool.h>

#include "headers.h"
#include "segments.h"
#include "CTapABI.h"

/* What the context says, read once: the compiler may otherwise compute a pointer into
 * the context, which the verifier refuses.
 */
struct shape {
	__u32 length;
	/* Length of the VLAN tag when it is in skb metadata, else 0. */
	__u32 tag;
	/* Of a GSO packet, else 0. */
	__u32 segment_size;
	/* Length of the headers of each of its segments, the tag included; 0: not known. */
	__u32 repeated;
};

static __always_inline bool has_known_end(const struct headers *headers)
{
	return headers->has_transport && headers->end > headers->transport;
}

/*
 * Packets and bytes of the frame as a wire would have carried them.
 *
 * A VLAN tag in skb metadata counts. A GSO packet counts as its segments, each with
 * headers; gso_segs is 0 for those that come from a guest, which the kernel does not
 * trust. UDP fragmentation offload (fragments, only the first of which has the UDP
 * header) counts as UDP segmentation. Of a tunnel whose segmentation was left to the
 * device only the outer headers are known.
 */
static __always_inline void measure_on_wire(struct __sk_buff *skb, struct shape *shape,
					    const struct headers *headers,
					    struct tap_count *on_wire)
{
	__u32 length = shape->length;

	on_wire->packets = 1;
	on_wire->bytes = length + shape->tag;
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
			on_wire->packets = segments;
			on_wire->bytes += (segments - 1) * shape->repeated;
		}
	}
}

/* How many packets a frame counts as for rates and limits. */
static __always_inline __u64 limited_packets(const struct tap_count *on_wire)
{
	return on_wire->packets < TAP_SEGMENTS ? on_wire->packets : TAP_SEGMENTS;
}

/*
 * What a device is given for the frame if nothing is truncated: its segments if it is
 * segmented in front of the device, else the frame. A global function, so that the
 * verifier does not walk what follows once for each way through it.
 */
__noinline int tap_measure_given(const struct shape *shape, const struct tap_count *on_wire,
				 __u32 is_segmented, struct tap_count *given)
{
	if (!shape || !on_wire || !given)
		return -1;
	given->packets = limited_packets(on_wire);
	given->bytes = shape->length + shape->tag;
	if (is_segmented)
		given->bytes += (given->packets - 1) * shape->repeated;
	return 0;
}

#endif
