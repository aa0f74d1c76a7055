/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Encapsulates a copy that is too large for the path as fragments of one outer packet
 * (RFC 791, RFC 8200): each is made of a copy of its own.
 */
#ifndef VIRT_TAP_FRAGMENT_H
#define VIRT_TAP_FRAGMENT_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "headers.h"
#include "maps.h"
#include "tunnel.h"

/* A copy that would be more fragments than this is too large. */
#define MAX_FRAGMENTS 8

/* Bytes of the outer IP packet's payload in each of that many fragments but the last: RFC 791, 3.2. */
static __always_inline __u32 fragment_size(__u32 payload, __u32 fragments)
{
	return fragments ? (payload / fragments + 7) & ~7U : payload;
}

/* RFC 8200, 4.5. */
struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

/* Removes that many bytes at the network header. A global function, so that the verifier walks it once. */
__noinline int tap_remove_bytes(struct __sk_buff *skb, __u32 count)
{
	for (int i = 0; i < 4 && count; i++) {
		__u32 part = count < ROOM_AT_ONCE ? count : ROOM_AT_ONCE;

		if (bpf_skb_adjust_room(skb, -(__s32)part, BPF_ADJ_ROOM_MAC, 0))
			return -1;
		count -= part;
	}
	return count ? -1 : 0;
}

/*
 * Turns a copy that is too large into one fragment of the outer packet: truncates it
 * after the fragment's last byte, removes what comes before the fragment, and puts the
 * outer headers in front, of those after IP only the part that is in this fragment.
 *
 * What comes before is removed at the network header: that is where the kernel lets a
 * program remove bytes, of IP frames only. So the MAC addresses are still in front of
 * what is left, and are overwritten.
 */
__noinline int tap_push_fragment_outer(struct __sk_buff *skb, const struct encapsulation *inner)
{
	__u32 slot, length, whole, size, begin, end, ip_end, more, grow;
	struct tap_header outer;
	__u8 *header = outer.bytes;
	struct fragment_header extension = {};
	struct tap_tunnel *tunnel;
	struct headers headers;

	if (!inner)
		return -1;
	slot = inner->slot;
	tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	if (!tunnel)
		return -1;
	tap_parse(skb, &headers);
	length = build_outer(skb, inner, tunnel, &outer);
	ip_end = tunnel->is_ipv6 ? OUTER_IPV6 : OUTER_IPV4;
	if (length < ip_end || length > TAP_HEADER_SIZE)
		return -1;
	whole = length - ip_end + inner->length;
	size = fragment_size(whole, inner->fragments);
	begin = size * inner->fragment;
	more = inner->fragment + 1 < inner->fragments;
	end = more ? begin + size : whole;
	if (end > whole || begin >= end)
		return -1;
	if (tunnel->is_ipv6) {
		struct ipv6hdr *ip6 = (void *)header + ETH_HLEN;

		extension.next = ip6->nexthdr;
		extension.offset = bpf_htons(begin | more);
		extension.id = bpf_htonl(inner->fragment_id);
		ip6->nexthdr = IPPROTO_FRAGMENT;
		ip6->payload_len = bpf_htons(end - begin + sizeof(extension));
	} else {
		patch_ipv4(header, inner, end - begin, begin);
	}
	/* From here on these are offsets in the inner frame. */
	end -= length - ip_end;
	if (end < skb->len && bpf_skb_change_tail(skb, end, 0))
		return -1;
	if (begin) {
		begin -= length - ip_end;
		if (begin < headers.network)
			return -1;
		if (tap_remove_bytes(skb, begin - headers.network))
			return -1;
		grow = ip_end - headers.network;
		length = ip_end;
	} else {
		grow = length;
	}
	if (tunnel->is_ipv6)
		grow += sizeof(extension);
	if (bpf_skb_change_head(skb, grow, 0))
		return -1;
	if (tunnel->is_ipv6) {
		if (bpf_skb_store_bytes(skb, 0, header, OUTER_IPV6, 0) ||
		    bpf_skb_store_bytes(skb, OUTER_IPV6, &extension, sizeof(extension), 0))
			return -1;
		/* What follows IP, if it is in this fragment: a number of words. */
		for (__u32 at = OUTER_IPV6; at + 4 <= TAP_HEADER_SIZE; at += 4) {
			if (at < length &&
			    bpf_skb_store_bytes(skb, at + sizeof(extension), header + at, 4, 0))
				return -1;
		}
		return 0;
	}
	if (length < OUTER_IPV4)
		return -1;
	SEPARATELY(length);
	if (length > TAP_HEADER_SIZE)
		return -1;
	return bpf_skb_store_bytes(skb, 0, header, length, 0);
}

#endif
