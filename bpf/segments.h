/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What segments the kernel makes of a copy that is a GSO packet: small enough
 * for the path, and not too many for a processor's backlog.
 */
#ifndef VIRT_TAP_SEGMENTS_H
#define VIRT_TAP_SEGMENTS_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "headers.h"
#include "CTapABI.h"

/* The kernel removes no more than 4,095 bytes at a time. */
#define ROOM_AT_ONCE 4000

/* The number of segments of a packet that cannot be segmented as it has to be. */
#define TOO_MANY_SEGMENTS (TAP_SEGMENTS + 2)

/*
 * The size of segments for a GSO packet of TCP that would be more than TAP_SEGMENTS of
 * them: with this size there are at most TAP_SEGMENTS - 1.
 */
static __always_inline __u32 enlarged_segment(__u32 payload)
{
	return payload / (TAP_SEGMENTS - 1) + 1;
}

/*
 * Changes the size of a GSO packet's segments. 1: the size is what it was; negative:
 * the packet contains bytes that nobody sent.
 *
 * The kernel subtracts what is put in front of the payload from the size, and adds it
 * when that is removed, unless BPF_F_ADJ_ROOM_FIXED_GSO is set.
 */
static __always_inline long resize_segments(struct __sk_buff *skb, __s32 by)
{
	__s32 room = by < 0 ? -by : by;

	if (bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, by < 0 ? 0 : BPF_F_ADJ_ROOM_FIXED_GSO))
		return 1;
	return bpf_skb_adjust_room(skb, -room, BPF_ADJ_ROOM_MAC,
				   by < 0 ? BPF_F_ADJ_ROOM_FIXED_GSO : 0);
}

/* How many segments that much payload has. */
static __always_inline __u32 segments_of(__u32 payload, __u32 segment_size)
{
	return (payload + segment_size - 1) / segment_size;
}

/*
 * Makes a GSO packet's segments smaller so that each fits into most bytes. Returns how
 * many segments there will be, and one more, since the kernel may make one more of a
 * datagram. Segments that cannot be made to fit are dealt with when each of them
 * arrives.
 */
static __always_inline __u32 shrink_segments(struct __sk_buff *skb, __u32 most, __u32 segment_size,
					     __u32 tag)
{
	__u32 length = skb->len, excess;
	struct headers headers;
	long error;

	tap_parse(skb, &headers);
	if (headers.end >= length || !headers.has_transport || !segment_size)
		return TAP_SEGMENTS;
	excess = headers.end + tag + segment_size;
	excess = excess > most ? excess - most : 0;
	/* A guest must not get hundreds of packets out of one frame by tiny segments. */
	if (excess && 2 * excess <= segment_size && excess < ROOM_AT_ONCE &&
	    headers.protocol == IPPROTO_TCP &&
	    segments_of(length - headers.end, segment_size - excess) <= TAP_SEGMENTS) {
		error = resize_segments(skb, -(__s32)excess);
		if (error < 0)
			return TOO_MANY_SEGMENTS;
		if (!error)
			segment_size -= excess;
	}
	return segments_of(length - headers.end, segment_size) + 1;
}

/*
 * Moves a VLAN tag from the bytes (as in what a guest sends by a macvtap) to skb
 * metadata: the kernel resizes segments of IP packets only. Fails if there are two.
 */
static __always_inline int move_tag_to_metadata(struct __sk_buff *skb)
{
	__be16 tag[3]; /* protocol, control information, and what comes after */

	if (skb->protocol != bpf_htons(ETH_P_8021Q) && skb->protocol != bpf_htons(ETH_P_8021AD))
		return 0;
	if (skb->vlan_present || bpf_skb_load_bytes(skb, 2 * ETH_ALEN, tag, sizeof(tag)) ||
	    (tag[2] != bpf_htons(ETH_P_IP) && tag[2] != bpf_htons(ETH_P_IPV6)) ||
	    bpf_skb_vlan_pop(skb))
		return -1;
	return bpf_skb_vlan_push(skb, tag[0], bpf_ntohs(tag[1]));
}

/*
 * Makes fewer segments of a GSO packet that would have too many: each program in a
 * guest may ask for tiny ones (TCP_MAXSEG), and they are a stream's bytes whatever
 * their size. Returns how many as shrink_segments does. Segments that are too large
 * for the path are dealt with when they arrive.
 */
static __always_inline __u32 enlarge_segments(struct __sk_buff *skb, __u32 segment_size)
{
	struct headers headers;
	__u32 length, size;

	if (move_tag_to_metadata(skb))
		return TOO_MANY_SEGMENTS;
	length = skb->len;
	tap_parse(skb, &headers);
	if (headers.end >= length || !headers.has_transport || headers.protocol != IPPROTO_TCP)
		return TOO_MANY_SEGMENTS;
	size = enlarged_segment(length - headers.end);
	if (size <= segment_size || size - segment_size > ROOM_AT_ONCE)
		return TOO_MANY_SEGMENTS;
	/* The kernel segments what was received as several buffers along those, whatever the size is now. */
	if (bpf_skb_pull_data(skb, length) || resize_segments(skb, size - segment_size))
		return TOO_MANY_SEGMENTS;
	return segments_of(length - headers.end, size) + 1;
}

#endif
