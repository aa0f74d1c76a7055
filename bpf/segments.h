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

/* The kernel takes no more than 4,095 bytes out at a time. */
#define ROOM_AT_ONCE 4000

/* The answer for what cannot be segmented as it has to be. */
#define TOO_MANY_SEGMENTS (TAP_SEGMENTS + 2)

/*
 * How large the relay makes the segments of a GSO packet of TCP that would be
 * more than TAP_SEGMENTS: so that they are one less at most. Larger than they were.
 */
static __always_inline __u32 joined_segment(__u32 payload)
{
	return payload / (TAP_SEGMENTS - 1) + 1;
}

/*
 * Changes the size of a GSO packet's segments. 1: they are what they were;
 * negative: it has bytes in it that nobody sent.
 *
 * The kernel takes what is put in front of the payload off their size, and
 * gives it back when that goes again, unless it is asked not to.
 */
static __always_inline long resize_segments(struct __sk_buff *skb, __s32 by)
{
	__s32 room = by < 0 ? -by : by;

	if (bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, by < 0 ? 0 : BPF_F_ADJ_ROOM_FIXED_GSO))
		return 1;
	return bpf_skb_adjust_room(skb, -room, BPF_ADJ_ROOM_MAC,
				   by < 0 ? BPF_F_ADJ_ROOM_FIXED_GSO : 0);
}

/* Of so many bytes. */
static __always_inline __u32 segments_of(__u32 payload, __u32 segment_size)
{
	return (payload + segment_size - 1) / segment_size;
}

/*
 * Makes a GSO packet's segments smaller so that each fits into so many bytes,
 * by as much as they are too large. How many segments it will be, and one more,
 * since the kernel may make one more of a datagram; what cannot be helped is
 * seen to when each of them arrives.
 */
static __always_inline __u32 fit_segments(struct __sk_buff *skb, __u32 most, __u32 segment_size,
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
	/* A guest must not make hundreds of packets of one frame by segments that hold hardly anything. */
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
 * Puts a tag that is among the bytes, as in what a guest sends by a macvtap, beside
 * them: the kernel changes the segments of nothing else but IP. Not for two.
 */
static __always_inline int put_tag_beside(struct __sk_buff *skb)
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
 * Makes fewer segments of a GSO packet that would be too many: each program
 * in a guest may ask for tiny ones (TCP_MAXSEG), and they are a stream's bytes
 * whatever their size. How many, as above. Those that are too large for the path
 * are seen to when they arrive.
 */
static __always_inline __u32 join_segments(struct __sk_buff *skb, __u32 segment_size)
{
	struct headers headers;
	__u32 length, joined;

	if (put_tag_beside(skb))
		return TOO_MANY_SEGMENTS;
	length = skb->len;
	tap_parse(skb, &headers);
	if (headers.end >= length || !headers.has_transport || headers.protocol != IPPROTO_TCP)
		return TOO_MANY_SEGMENTS;
	joined = joined_segment(length - headers.end);
	if (joined <= segment_size || joined - segment_size > ROOM_AT_ONCE)
		return TOO_MANY_SEGMENTS;
	/* What was received as several buffers is segmented along them, whatever the size is now. */
	if (bpf_skb_pull_data(skb, length) || resize_segments(skb, joined - segment_size))
		return TOO_MANY_SEGMENTS;
	return segments_of(length - headers.end, joined) + 1;
}

#endif
