/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The Internet checksum: RFC 1071. */
#ifndef VIRT_TAP_CHECKSUM_H
#define VIRT_TAP_CHECKSUM_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "headers.h"

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of count 16-bit words, not folded. */
static __always_inline __u64 sum_of(const void *words, int count)
{
	const __u16 *word = words;
	__u64 sum = 0;

	for (int i = 0; i < count; i++)
		sum += word[i];
	return sum;
}

/*
 * Whether the transport checksum looks as if it were left to the device
 * (CHECKSUM_PARTIAL): it is the sum of the pseudo-header and no more. One in 65,536
 * complete checksums looks like that, too, and its copy takes the longer way for
 * nothing. A guest can leave another checksum to the device that does not look like
 * that: the kernel fills it in where the packet leaves.
 */
__noinline int tap_needs_checksum(struct __sk_buff *skb)
{
	struct headers headers;
	__u16 check = 0;
	__u32 length, at;
	__u64 sum;

	tap_parse(skb, &headers);
	if (!headers.has_transport || headers.is_fragment)
		return 0;
	if (headers.protocol == IPPROTO_TCP)
		at = 16;
	else if (headers.protocol == IPPROTO_UDP)
		at = 6;
	else
		return 0;
	if (bpf_skb_load_bytes(skb, headers.transport + at, &check, sizeof(check)) || !check)
		return 0;
	if (headers.type == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, headers.network, &ip, sizeof(ip)))
			return 0;
		length = bpf_ntohs(ip.tot_len) - (headers.transport - headers.network);
		sum = sum_of(&ip.saddr, 4);
	} else {
		struct ipv6hdr ip6;

		if (bpf_skb_load_bytes(skb, headers.network, &ip6, sizeof(ip6)))
			return 0;
		length = bpf_ntohs(ip6.payload_len) + sizeof(ip6) -
			 (headers.transport - headers.network);
		sum = sum_of(&ip6.saddr, 16);
	}
	sum += bpf_htons(length) + bpf_htons(headers.protocol);
	return fold(sum) == check;
}

#endif
