/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Encapsulates copies for another machine: VXLAN (RFC 7348), Geneve (RFC 8926), GRE
 * with Ethernet in it (RFC 2784, RFC 2890), ERSPAN types II and III
 * (draft-foschiano-erspan-03).
 *
 * User space builds the outer headers, the next hop's address included; this adds
 * what differs from copy to copy.
 */
#ifndef VIRT_TAP_TUNNEL_H
#define VIRT_TAP_TUNNEL_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "checksum.h"
#include "headers.h"
#include "maps.h"
#include "segments.h"

/* How often TAP_SUM_SIZE bytes are summed, at most: 65,535 bytes. */
#define SUM_CHUNKS 128

#define OUTER_IPV4	(ETH_HLEN + sizeof(struct iphdr))
#define OUTER_IPV6	(ETH_HLEN + sizeof(struct ipv6hdr))
/* Source ports: RFC 7348, 5. */
#define FIRST_PORT	49152
/* How many of ERSPAN's first copies have a number of the same quarter. */
#define SEQUENCE_STRIDE 64

/* Stands between two comparisons of one number, which clang would otherwise merge: verifiers
 * before 6.13 learn nothing from a merged one.
 */
#define SEPARATELY(number) asm volatile("" : "+r"(number))

/* A VLAN tag as it is in the bytes. */
struct vlan_tag {
	__be16 protocol;
	__be16 control;
};

#define MAX_METADATA_TAGS 4

/*
 * The folded sum of up to TAP_SUM_SIZE bytes from an offset on; negative: they cannot
 * be read. A global function, so that the verifier walks it once.
 */
__noinline int tap_sum_part(struct __sk_buff *skb, __u32 offset)
{
	__u32 zero = 0, size = skb->len - offset;
	struct tap_sum_buffer *buffer = bpf_map_lookup_elem(&tap_sums, &zero);

	if (!buffer)
		return -1;
	if (size >= TAP_SUM_SIZE)
		size = TAP_SUM_SIZE;
	else
		__builtin_memset(buffer, 0, sizeof(*buffer));
	/* The number stays the same, and the verifier sees its bounds. */
	asm volatile("" : "+r"(size));
	size = ((size - 1) & (TAP_SUM_SIZE - 1)) + 1;
	if (bpf_skb_load_bytes(skb, offset, buffer, size))
		return -1;
	return fold((__u32)bpf_csum_diff(NULL, 0, (__be32 *)buffer, TAP_SUM_SIZE, 0));
}

/* The sum of all bytes (RFC 1071); negative: they cannot be read. */
__noinline int tap_sum(struct __sk_buff *skb)
{
	__u32 length = skb->len, offset = 0, sum = 0;

	for (int i = 0; i < SUM_CHUNKS && offset < length; i++) {
		int part = tap_sum_part(skb, offset);

		if (part < 0)
			return -1;
		/* 128 numbers of 16 bits fit. */
		sum += part;
		offset += TAP_SUM_SIZE;
	}
	return offset < length ? -1 : fold(sum);
}

/* What differs from copy to copy. */
struct encapsulation {
	__u32 slot;
	__u32 is_outbound;
	/* The outermost tag's control information; 0: none. */
	__u32 vlan;
	__u32 is_truncated;
	/* Index and number of fragments; of a whole packet 0 of 0. */
	__u32 fragment;
	__u32 fragments;
	__u32 fragment_id;
	/* Length of the inner frame, and its sum for UDP over IPv6. */
	__u32 length;
	__u32 sum;
};

/*
 * Moves the VLAN tags from skb metadata to the bytes: the kernel would put them into
 * the outer header. Returns the outermost tag, 0 if there is none; negative: it failed.
 */
__noinline int tap_write_tags(struct __sk_buff *skb)
{
	struct vlan_tag tags[MAX_METADATA_TAGS] = {};
	__u8 macs[2 * ETH_ALEN];
	__u32 count = 0;

	for (int i = 0; i < MAX_METADATA_TAGS; i++) {
		if (!skb->vlan_present)
			break;
		tags[i].protocol = skb->vlan_proto;
		tags[i].control = bpf_htons(skb->vlan_tci);
		count = i + 1;
		/* The next tag in the bytes takes its place in the metadata. */
		if (bpf_skb_vlan_pop(skb))
			return -1;
	}
	if (!count)
		return 0;
	if (skb->vlan_present || bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return -1;
	if (bpf_skb_change_head(skb, count * sizeof(tags[0]), 0) ||
	    bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0) ||
	    bpf_skb_store_bytes(skb, sizeof(macs), tags, count * sizeof(tags[0]), 0))
		return -1;
	return bpf_ntohs(tags[0].control);
}

static __always_inline void patch_ipv4(__u8 *header, const struct encapsulation *inner,
				       __u32 payload, __u32 offset)
{
	struct iphdr *ip = (void *)header + ETH_HLEN;

	ip->tot_len = bpf_htons(sizeof(*ip) + payload);
	ip->id = bpf_htons(inner->fragment_id);
	ip->frag_off = bpf_htons(offset / 8 |
				 (inner->fragment + 1 < inner->fragments ? IP_MORE_FRAGMENTS : 0));
	ip->check = 0;
	ip->check = ~fold(sum_of(ip, sizeof(*ip) / 2));
}

static __always_inline void patch_ipv6(__u8 *header, __u32 payload, __u32 hash)
{
	struct ipv6hdr *ip6 = (void *)header + ETH_HLEN;

	ip6->payload_len = bpf_htons(payload);
	/* RFC 6437: routers tell flows apart by this where they cannot see ports. */
	ip6->flow_lbl[0] = (ip6->flow_lbl[0] & 0xf0) | (hash >> 16 & 0x0f);
	ip6->flow_lbl[1] = hash >> 8;
	ip6->flow_lbl[2] = hash;
}

/*
 * The sequence number of an ERSPAN packet that count packets came before. A receiver
 * drops packets whose number is lower than the last one's (RFC 2890, 2.2; Linux does
 * so): after a reboot of this machine it would drop everything until the numbers
 * caught up. So the first packets have numbers in strides of a quarter of the number
 * space, which leads every receiver round to zero, whatever it had last. Each stride
 * has several packets, since each direction may have a receiver of its own.
 */
static __always_inline __u32 sequence_number(__u32 count)
{
	if (count < 3 * SEQUENCE_STRIDE)
		return (count / SEQUENCE_STRIDE + 1) << 30 | count % SEQUENCE_STRIDE;
	return count - 3 * SEQUENCE_STRIDE;
}

/* Fills in what follows the outer IP header. */
static __always_inline void patch_tunnel(__u8 *at, const struct tap_tunnel *tunnel,
					 const struct encapsulation *inner, __u32 payload,
					 __u32 hash)
{
	/* One bit, so that there are no branches for the verifier to walk. */
	__u32 is_outbound = inner->is_outbound & 1;
	__be32 identifier = tunnel->identifiers[is_outbound];
	__u32 slot = inner->slot, *sequence, number = 0;
	struct udphdr *udp = (void *)at;

	switch (tunnel->kind) {
	case TAP_TUNNEL_UDP:
		udp->source = bpf_htons(FIRST_PORT | (hash & 0x3fff));
		udp->len = bpf_htons(payload);
		/* The identifier is at the same offset in VXLAN and Geneve. */
		*(__be32 *)(at + 12) = identifier;
		break;
	case TAP_TUNNEL_GRE:
		/* Without a key the frame begins here. */
		*(__be32 *)(at + 4) = identifier;
		break;
	default:
		sequence = bpf_map_lookup_elem(&tap_sequences, &slot);
		/* The first fragment has the number of the whole packet. */
		if (sequence && !inner->fragment)
			number = sequence_number(__sync_fetch_and_add(sequence, 1));
		*(__be32 *)(at + 4) = bpf_htonl(number);
		*(__be16 *)(at + 8) |= bpf_htons(inner->vlan & 0x0fff);
		/* Class of service, that the tag is in the frame (II), truncated, session. */
		*(__be16 *)(at + 10) = bpf_htons(
			(inner->vlan & 0xe000) |
			(tunnel->kind == TAP_TUNNEL_ERSPAN_II && inner->vlan ? 0x1800 : 0) |
			(inner->is_truncated ? 0x0400 : 0) | (bpf_ntohl(identifier) & 0x03ff));
		if (tunnel->kind == TAP_TUNNEL_ERSPAN_II) {
			/* The index says the direction: 0 from the guest into the switch. */
			*(__be32 *)(at + 12) = bpf_htonl(is_outbound ^ 1);
		} else {
			/* In 100 microseconds. */
			*(__be32 *)(at + 12) =
				bpf_htonl((bpf_ktime_get_ns() + tunnel->clock_offset) / 100000);
			/* An Ethernet frame; one bit says the direction. */
			*(__be16 *)(at + 18) = bpf_htons(0x8008 ^ is_outbound << 3);
		}
		break;
	}
}

/* RFC 8200, 8.1: over IPv6 a UDP checksum must be there. */
static __always_inline __u16 udp_checksum(const __u8 *header, const struct encapsulation *inner,
					  __u32 payload)
{
	__u64 sum = inner->sum + sum_of(header + OUTER_IPV6, 8);
	__u16 check;

	sum += sum_of(header + ETH_HLEN + offsetof(struct ipv6hdr, saddr), 16);
	sum += bpf_htons(payload) + bpf_htons(IPPROTO_UDP);
	check = ~fold(sum);
	return check ? check : 0xffff;
}

/* Builds the outer headers of an unfragmented copy; returns their length. */
static __always_inline __u32 build_outer(struct __sk_buff *skb, const struct encapsulation *inner,
					 const struct tap_tunnel *tunnel, struct tap_header *outer)
{
	__u32 hash = bpf_get_hash_recalc(skb), length = tunnel->length, payload;
	__u8 *header = outer->bytes;

	*outer = tunnel->header;
	if (tunnel->is_ipv6) {
		payload = length - OUTER_IPV6 + inner->length;
		patch_ipv6(header, payload, hash);
		patch_tunnel(header + OUTER_IPV6, tunnel, inner, payload, hash);
		if (tunnel->kind == TAP_TUNNEL_UDP)
			*(__u16 *)(header + OUTER_IPV6 + offsetof(struct udphdr, check)) =
				udp_checksum(header, inner, payload);
	} else {
		payload = length - OUTER_IPV4 + inner->length;
		patch_ipv4(header, inner, payload, 0);
		patch_tunnel(header + OUTER_IPV4, tunnel, inner, payload, hash);
	}
	return length;
}

/* Puts the outer headers in front of a copy; to the kernel they are plain bytes. */
__noinline int tap_push_outer(struct __sk_buff *skb, const struct encapsulation *inner)
{
	struct tap_header outer;
	__u8 *header = outer.bytes;
	struct tap_tunnel *tunnel;
	__u32 slot, length;

	if (!inner)
		return -1;
	slot = inner->slot;
	tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	if (!tunnel)
		return -1;
	length = build_outer(skb, inner, tunnel, &outer);
	if (bpf_skb_change_head(skb, length, 0) || length < OUTER_IPV4)
		return -1;
	SEPARATELY(length);
	if (length > TAP_HEADER_SIZE)
		return -1;
	return bpf_skb_store_bytes(skb, 0, header, length, 0);
}

/*
 * Puts the outer headers in front of an IP frame in such a way that the kernel knows
 * both for what they are. Positive: the kernel refuses that (for packets of a tunnel,
 * for example), and nothing was changed.
 */
__noinline int tap_push_known_outer(struct __sk_buff *skb, const struct encapsulation *inner,
				    __u64 flags)
{
	struct tap_header outer;
	__u8 *header = outer.bytes, macs[ETH_HLEN];
	struct tap_tunnel *tunnel;
	__u32 slot, length;

	if (!inner)
		return -1;
	slot = inner->slot;
	tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	if (!tunnel || bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return -1;
	flags |= BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH;
	flags |= tunnel->is_ipv6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	flags |= tunnel->kind == TAP_TUNNEL_UDP ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP
						: BPF_F_ADJ_ROOM_ENCAP_L4_GRE;
	length = build_outer(skb, inner, tunnel, &outer);
	/* The room is in front of the IP header: the MAC addresses in front of it become the outer ones. */
	if (bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC, flags))
		return 1;
	if (bpf_skb_store_bytes(skb, length, macs, sizeof(macs), 0) || length < OUTER_IPV4)
		return -1;
	SEPARATELY(length);
	if (length > TAP_HEADER_SIZE)
		return -1;
	return bpf_skb_store_bytes(skb, 0, header, length, 0);
}

#endif
