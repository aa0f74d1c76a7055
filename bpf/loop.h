/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Recognises packets of our own tunnels that have lost their mark.
 *
 * On this host a copy keeps its mark inside the packet that carries it. When such a
 * packet comes back from another machine, or from a guest that forwards it, the mark is
 * gone, and copying it again would never end: a tapped guest routes the tunnel, or the
 * receiver on another host is tapped too, and its copies come back here, encapsulated
 * once more. So a tap does not copy packets of its own destination's tunnel, also
 * inside other tunnels: as many as there are hosts in a ring. The sender does not
 * matter: a guest that routes may give them an address of its own. What another host
 * sends through the same tunnel reaches the same receiver without us.
 */
#ifndef VIRT_TAP_LOOP_H
#define VIRT_TAP_LOOP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "headers.h"
#include "maps.h"

#define TUNNELS_IN_TUNNELS 4
/* In the first byte of GRE: RFC 2784, RFC 2890. */
#define GRE_CHECKSUM	   0x80
#define GRE_KEY		   0x20
#define GRE_SEQUENCE	   0x10
/* Of ERSPAN's second word: draft-foschiano-erspan. */
#define ERSPAN_SESSION	   0x3ff

/* A frame within the frame. */
struct layer {
	/* The offset of its Ethernet header. */
	__u32 offset;
	/* Whether it belongs to the destination's tunnel. */
	__u32 is_own;
};

/* What is known from the headers before the transport header. */
struct outer {
	__u32 transport;
	__u32 protocol;
	/* Whether it has the address and protocol that the tunnel sends to; and the one it sends
	 * from.
	 */
	bool is_to_own;
	bool is_from_own;
	/* Whether it is a fragment, and not the first. */
	bool is_rest;
};

static __always_inline bool parse_outer_ipv4(struct __sk_buff *skb, __u32 offset,
					     const struct tap_tunnel *tunnel, struct outer *outer)
{
	const struct iphdr *own = (const void *)tunnel->header.bytes + ETH_HLEN;
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.ihl < 5)
		return false;
	outer->protocol = ip.protocol;
	outer->transport = offset + ip.ihl * 4;
	outer->is_rest = ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET);
	outer->is_to_own =
		!tunnel->is_ipv6 && ip.protocol == own->protocol && ip.daddr == own->daddr;
	outer->is_from_own = ip.saddr == own->saddr;
	return true;
}

static __always_inline bool parse_outer_ipv6(struct __sk_buff *skb, __u32 offset,
					     const struct tap_tunnel *tunnel, struct outer *outer)
{
	const struct ipv6hdr *own = (const void *)tunnel->header.bytes + ETH_HLEN;
	const __u64 *own_addresses = (const void *)&own->saddr;
	struct ipv6hdr ip6;
	__u64 addresses[4];

	if (bpf_skb_load_bytes(skb, offset, &ip6, sizeof(ip6)) ||
	    bpf_skb_load_bytes(skb, offset + offsetof(struct ipv6hdr, saddr), addresses,
			       sizeof(addresses)))
		return false;
	outer->protocol = ip6.nexthdr;
	outer->transport = offset + sizeof(ip6);
	outer->is_rest = false;
	if (ip6.nexthdr == IPPROTO_FRAGMENT) {
		__u8 fragment[4];

		if (bpf_skb_load_bytes(skb, outer->transport, fragment, sizeof(fragment)))
			return false;
		outer->protocol = fragment[0];
		outer->transport += 8;
		outer->is_rest = (fragment[2] << 8 | fragment[3]) & IP6_FRAGMENT_OFFSET;
	}
	outer->is_from_own = addresses[0] == own_addresses[0] && addresses[1] == own_addresses[1];
	outer->is_to_own = tunnel->is_ipv6 && outer->protocol == own->nexthdr &&
			   addresses[2] == own_addresses[2] && addresses[3] == own_addresses[3];
	return true;
}

/*
 * Whether what UDP or GRE carries is the tunnel's: by the port or the kind, and the
 * identifier (VNI, key or session). An identifier that was cut off counts as the same.
 * A tunnel without one is recognised by its sender, too.
 */
static __always_inline bool is_own(struct __sk_buff *skb, const struct tap_tunnel *tunnel,
				   const struct outer *outer, const __u8 begin[4])
{
	const __u8 *own = tunnel->header.bytes + ETH_HLEN;
	/* GRE has a key, ERSPAN a session. */
	__u32 at = outer->transport + (tunnel->kind == TAP_TUNNEL_UDP ? 12 : 4), mask = ~0U;
	__be32 identifier;

	own += tunnel->is_ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	if (begin[2] != own[2] || begin[3] != own[3])
		return false;
	if (tunnel->kind != TAP_TUNNEL_UDP && begin[0] != own[0])
		return false;
	if (tunnel->kind == TAP_TUNNEL_GRE && !(own[0] & GRE_KEY))
		return outer->is_from_own;
	if (tunnel->kind == TAP_TUNNEL_ERSPAN_II || tunnel->kind == TAP_TUNNEL_ERSPAN_III) {
		at = outer->transport + 8;
		mask = bpf_htonl(ERSPAN_SESSION);
	}
	return bpf_skb_load_bytes(skb, at, &identifier, sizeof(identifier)) ||
	       !((identifier ^ tunnel->identifiers[0]) & mask) ||
	       !((identifier ^ tunnel->identifiers[1]) & mask);
}

/* The length of a tunnel's header after IP, for the kinds that tunnel.h writes; 0: it is no tunnel. */
static __always_inline __u32 tunnel_length(struct __sk_buff *skb, const struct outer *outer,
					   __u8 flags, __be16 kind)
{
	/* Flags, length of options, and for Geneve the kind of frame. */
	__u8 header[4];

	if (outer->protocol == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, outer->transport + 8, header, sizeof(header)))
			return 0;
		/* Its port does not matter: it can be configured. */
		if (header[2] == ETH_P_TEB >> 8 && header[3] == (ETH_P_TEB & 0xff))
			return 16 + (header[0] & 0x3f) * 4;
		return header[0] == 0x08 ? 16 : 0;
	}
	switch (bpf_ntohs(kind)) {
	case ETH_P_TEB:
		return 4 + (flags & GRE_CHECKSUM ? 4 : 0) + (flags & GRE_KEY ? 4 : 0) +
		       (flags & GRE_SEQUENCE ? 4 : 0);
	case ETH_P_ERSPAN:
		/* Type I has no header of its own. */
		return flags & GRE_SEQUENCE ? 16 : 4;
	case ETH_P_ERSPAN2:
		return 20;
	default:
		return 0;
	}
}

/* If the layer is a packet of a tunnel that is not the destination's, the layer becomes the frame in
 * it, and the answer is 1.
 */
__noinline int tap_pass_tunnel(struct __sk_buff *skb, struct layer *layer, __u32 slot)
{
	struct tap_tunnel *tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	struct outer outer = {};
	__be16 type = 0, kind;
	__u8 begin[4] __attribute__((aligned(4)));
	__u32 offset, length;

	if (!layer || !tunnel)
		return 0;
	offset = layer->offset + offsetof(struct ethhdr, h_proto);
	for (int i = 0; i <= MAX_VLAN_TAGS; i++) {
		if (bpf_skb_load_bytes(skb, offset, &type, sizeof(type)))
			return 0;
		offset += sizeof(type);
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		offset += VLAN_TAG_LEN - sizeof(type);
	}
	offset = forget(offset);
	if (type == bpf_htons(ETH_P_IP)) {
		if (!parse_outer_ipv4(skb, offset, tunnel, &outer))
			return 0;
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		if (!parse_outer_ipv6(skb, offset, tunnel, &outer))
			return 0;
	} else {
		return 0;
	}
	if (outer.protocol != IPPROTO_UDP && outer.protocol != IPPROTO_GRE)
		return 0;
	/* A later fragment has no identifier. */
	if (outer.is_rest) {
		layer->is_own = outer.is_to_own && outer.is_from_own;
		return 0;
	}
	if (bpf_skb_load_bytes(skb, outer.transport, begin, sizeof(begin)))
		return 0;
	kind = *(__be16 *)(begin + 2);
	if (outer.is_to_own && is_own(skb, tunnel, &outer, begin)) {
		layer->is_own = 1;
		return 0;
	}
	length = tunnel_length(skb, &outer, begin[0], kind);
	layer->offset = outer.transport + length;
	return length > 0;
}

/* Whether a frame is, or has in it, a packet of this destination's tunnel. */
static __always_inline bool carries_own_tunnel(struct __sk_buff *skb, __u32 slot)
{
	struct layer layer = {};

	for (int i = 0; i < TUNNELS_IN_TUNNELS; i++) {
		if (!tap_pass_tunnel(skb, &layer, slot))
			break;
	}
	return layer.is_own;
}

#endif
