/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where a frame's headers end, and whose it is.
 *
 * bpf_skb_load_bytes and not packet pointers: the headers need not be in the
 * linear part, and what cannot be read is not guessed.
 */
#ifndef VIRT_TAP_HEADERS_H
#define VIRT_TAP_HEADERS_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VLAN_TAG_LEN	      4
#define MAX_VLAN_TAGS	      4
#define MAX_EXTENSION_HEADERS 8

#define IP_MORE_FRAGMENTS   0x2000
#define IP_FRAGMENT_OFFSET  0x1fff
#define IP6_FRAGMENT_OFFSET 0xfff8
/* Ethernet and IPv4 addresses: RFC 826. */
#define ARP_LENGTH	    28
/* Without options. */
#define TCP_LENGTH	    20

struct headers {
	/* Offsets from the first byte of the frame; a VLAN tag in skb metadata does not count. */
	__u32 network;
	/* After the network header and its extension headers; equal to network if that is not
	 * IP.
	 */
	__u32 transport;
	/* After the last header that is understood. */
	__u32 end;
	/* The EtherType after the VLAN tags, in network byte order. */
	__be16 type;
	/* The number of the transport protocol. */
	__u32 protocol;
	/* The number that every fragment of the packet has, and not only the first. */
	__u32 flow_protocol;
	__u32 is_fragment;
	__u32 has_transport;
};

/*
 * Returns the same number, and makes the verifier forget everything but that it has 16
 * bits: the verifier keeps no values for parts of a stack slot. Otherwise it would walk
 * everything that follows once for each value that a loop can lead to, which made
 * loading take 13 ms, most of what a tap costs the host. The verifier does remember
 * zeros, so the exclusive or makes sure that there is none.
 */
static __always_inline __u32 forget(__u32 number)
{
	volatile __u16 cell[4];

	cell[1] = number ^ 0x8000;
	return cell[1] ^ 0x8000;
}

/* The length of a transport header; 0 if there is none, or it is not understood. */
__noinline __u32 tap_transport_length(struct __sk_buff *skb, __u32 offset, __u32 protocol)
{
	__u8 data_offset;
	__u32 length;

	switch (protocol) {
	case IPPROTO_TCP:
		/* The upper four bits of byte 12 are its data offset. */
		if (bpf_skb_load_bytes(skb, offset + 12, &data_offset, sizeof(data_offset)) ||
		    data_offset < 0x50)
			return 0;
		length = (data_offset >> 4) * 4;
		/* The options are not all there. */
		return offset + length > skb->len ? TCP_LENGTH : length;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_IGMP:
	/* The index and the sequence number: RFC 4303, 2. */
	case IPPROTO_ESP:
		return 8;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return 12;
	case IPPROTO_GRE:
		return 4;
	default:
		return 0;
	}
}

static __always_inline void parse_ipv4(struct __sk_buff *skb, struct headers *headers)
{
	struct iphdr ip;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, headers->network, &ip, sizeof(ip)) || ip.ihl < 5)
		return;
	fragment = bpf_ntohs(ip.frag_off);
	headers->transport = headers->network + ip.ihl * 4;
	headers->protocol = ip.protocol;
	headers->flow_protocol = ip.protocol;
	headers->is_fragment = !!(fragment & (IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET));
	headers->has_transport = !(fragment & IP_FRAGMENT_OFFSET);
}

/*
 * Passes over one extension header of IPv6; 0 if there is none.
 *
 * A global function, as are all that are __noinline: the verifier walks it once by
 * itself and knows nothing afterwards of what it found, so that the rest is walked
 * once, and not once for each way through it.
 */
__noinline int tap_pass_extension(struct __sk_buff *skb, struct headers *headers)
{
	/* Next header, length, and of a fragment header its offset. */
	__u8 extension[4];
	__u32 length;

	if (!headers || !headers->has_transport)
		return 0;
	switch (headers->protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
		break;
	default:
		return 0;
	}
	if (bpf_skb_load_bytes(skb, headers->transport, extension, sizeof(extension)))
		return 0;
	/* In units of eight octets less the first (RFC 8200, 4.2), but of four
	 * less two in an authentication header (RFC 4302, 2.2).
	 */
	length = (extension[1] + 1) * 8;
	if (headers->protocol == IPPROTO_AH)
		length = (extension[1] + 2) * 4;
	/* A header that is not all there is not passed over: its end is beyond the frame's. */
	if (headers->protocol != IPPROTO_FRAGMENT && headers->transport + length > skb->len)
		return 0;
	/* After a fragment header only the first fragment has more headers. */
	if (!headers->is_fragment)
		headers->flow_protocol = extension[0];
	if (headers->protocol == IPPROTO_FRAGMENT) {
		length = 8;
		headers->is_fragment = 1;
		headers->has_transport =
			!((extension[2] << 8 | extension[3]) & IP6_FRAGMENT_OFFSET);
	}
	headers->protocol = extension[0];
	headers->transport += length;
	return 1;
}

static __always_inline void parse_ipv6(struct __sk_buff *skb, struct headers *headers)
{
	struct ipv6hdr ip6;

	if (bpf_skb_load_bytes(skb, headers->network, &ip6, sizeof(ip6)))
		return;
	headers->transport = headers->network + sizeof(ip6);
	headers->protocol = ip6.nexthdr;
	headers->flow_protocol = ip6.nexthdr;
	headers->has_transport = 1;
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		if (!tap_pass_extension(skb, headers))
			break;
	}
}

/* Finds the headers of a frame. A global function: see tap_pass_extension. */
__noinline int tap_parse(struct __sk_buff *skb, struct headers *headers)
{
	__u32 offset = offsetof(struct ethhdr, h_proto), length = 0;
	__be16 type = 0;

	if (!headers)
		return 0;
	__builtin_memset(headers, 0, sizeof(*headers));
	for (int i = 0; i <= MAX_VLAN_TAGS; i++) {
		if (bpf_skb_load_bytes(skb, offset, &type, sizeof(type)))
			break;
		offset += sizeof(type);
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		offset += VLAN_TAG_LEN - sizeof(type);
	}
	offset = forget(offset);
	headers->network = offset;
	headers->transport = offset;
	headers->type = type;
	if (type == bpf_htons(ETH_P_IP))
		parse_ipv4(skb, headers);
	else if (type == bpf_htons(ETH_P_IPV6))
		parse_ipv6(skb, headers);
	if (headers->has_transport)
		length = tap_transport_length(skb, headers->transport, headers->protocol);
	else if (type == bpf_htons(ETH_P_ARP) || type == bpf_htons(ETH_P_RARP))
		length = ARP_LENGTH;
	headers->end = headers->transport + length;
	return 0;
}

#endif
