/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * One number for a flow, the same in both directions, on every interface and
 * every host, so that all of them choose the same flows.
 *
 * The kernel's own flow hash is keyed anew at each boot and takes the first
 * fragment of a packet for another flow than the rest. This one is
 * MurmurHash3_x86_32 (A. Appleby, public domain), each end of the flow by
 * itself, then the two results with the lower one first and the protocol:
 *
 *     end  = murmur3(address as four words, port; seed)
 *     flow = murmur3(min(ends), max(ends), protocol; seed)
 *
 * Words are numbers in the order of the wire. An IPv4 address is mapped to IPv6 (RFC 4291,
 * 2.5.5.2). A fragment has port 0, as has what has no ports. What is not IP
 * goes by its MAC addresses (the upper two words 0) and its EtherType.
 */
#ifndef VIRT_TAP_FLOW_H
#define VIRT_TAP_FLOW_H

#include "headers.h"

#define FLOW_SEED 0x76746170

static __always_inline __u32 rotate(__u32 word, int bits)
{
	return word << bits | word >> (32 - bits);
}

static __always_inline __u32 murmur_word(__u32 hash, __u32 word)
{
	hash ^= rotate(word * 0xcc9e2d51, 15) * 0x1b873593;
	return rotate(hash, 13) * 5 + 0xe6546b64;
}

static __always_inline __u32 murmur_end(__u32 hash, __u32 length)
{
	hash ^= length;
	hash = (hash ^ hash >> 16) * 0x85ebca6b;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35;
	return hash ^ hash >> 16;
}

static __always_inline __u32 end_hash(const __be32 address[4], __be16 port)
{
	__u32 hash = FLOW_SEED;

	for (int i = 0; i < 4; i++)
		hash = murmur_word(hash, bpf_ntohl(address[i]));
	return murmur_end(murmur_word(hash, bpf_ntohs(port)), 20);
}

__noinline __u32 tap_flow_hash(struct __sk_buff *skb, const struct headers *headers)
{
	__be32 source[4] = {}, destination[4] = {};
	__be16 ports[2] = {};
	__u32 one, other, protocol, hash = FLOW_SEED;

	if (!headers)
		return 0;
	protocol = headers->flow_protocol;
	if (headers->type == bpf_htons(ETH_P_IP)) {
		source[2] = destination[2] = bpf_htonl(0xffff);
		bpf_skb_load_bytes(skb, headers->network + offsetof(struct iphdr, saddr),
				   &source[3], 4);
		bpf_skb_load_bytes(skb, headers->network + offsetof(struct iphdr, daddr),
				   &destination[3], 4);
	} else if (headers->type == bpf_htons(ETH_P_IPV6)) {
		bpf_skb_load_bytes(skb, headers->network + offsetof(struct ipv6hdr, saddr), source,
				   16);
		bpf_skb_load_bytes(skb, headers->network + offsetof(struct ipv6hdr, daddr),
				   destination, 16);
	} else {
		protocol = bpf_ntohs(headers->type);
		bpf_skb_load_bytes(skb, ETH_ALEN, (char *)&source[2] + 2, ETH_ALEN);
		bpf_skb_load_bytes(skb, 0, (char *)&destination[2] + 2, ETH_ALEN);
	}
	if (headers->has_transport && !headers->is_fragment &&
	    (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	     protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP))
		bpf_skb_load_bytes(skb, headers->transport, ports, sizeof(ports));

	one = end_hash(source, ports[0]);
	other = end_hash(destination, ports[1]);
	hash = murmur_word(hash, one < other ? one : other);
	hash = murmur_word(hash, one < other ? other : one);
	return murmur_end(murmur_word(hash, protocol), 12);
}

#endif
