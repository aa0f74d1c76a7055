// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Copies one device's traffic in one direction to a destination.
 *
 * One function, loaded once for each attachment and direction and specialised
 * by the constants below: what a tap does not ask for is dead code to the
 * verifier and not in the machine code.
 *
 * Every path returns TC_ACT_UNSPEC, which is also TCX_NEXT: whatever comes
 * after in the chain decides about the original as if this program were not
 * there. Nothing of the original changes but its mark, for the moment of the
 * clone. No LD_ABS: on a short frame it would end the program with 0, an
 * answer.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tap.h"

#define VLAN_TAG_LEN	      4
#define MAX_VLAN_TAGS	      4
#define MAX_EXTENSION_HEADERS 8

/* Set by name when loading. */
const volatile __u32 tap_mark_value = 0;
const volatile __u32 tap_mark_mask = 0;
/* The index in the destinations map. */
const volatile __u32 tap_destination_slot = 0;
/* 0 for inbound, TAP_COUNTERS for outbound. */
const volatile __u32 tap_counter_base = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * TAP_COUNTERS);
	__type(key, __u32);
	__type(value, struct tap_count);
} tap_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct tap_destination);
} tap_dests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TAP_DESTINATION_COUNTS);
	__type(key, __u32);
	__type(value, struct tap_count);
} tap_dest_counts SEC(".maps");

static __always_inline void add(void *map, __u32 key, const struct tap_count *frame)
{
	struct tap_count *count = bpf_map_lookup_elem(map, &key);

	/* Per CPU, and TC programs run with bottom halves off. */
	if (count) {
		count->packets += frame->packets;
		count->bytes += frame->bytes;
	}
}

static __always_inline void count(enum tap_counter which, const struct tap_count *frame)
{
	add(&tap_counters, tap_counter_base + which, frame);
}

static __always_inline void count_destination(enum tap_destination_counter which,
					      const struct tap_count *frame)
{
	add(&tap_dest_counts, tap_destination_slot * TAP_DESTINATION_COUNTERS + which, frame);
}

/*
 * The same number, of which the verifier then knows only that it has 16 bits:
 * part of a stack slot holds bytes to it and no value. It would otherwise walk
 * all that follows once for each value that a loop can have led to, which made
 * loading take 13 ms, most of what a tap costs the host.
 */
static __always_inline __u32 forget(__u32 number)
{
	volatile __u16 cell[4];

	cell[1] = number;
	return cell[1];
}

static __always_inline int transport_length(struct __sk_buff *skb, __u32 offset, __u8 protocol)
{
	__u8 data_offset;

	if (protocol == IPPROTO_UDP)
		return sizeof(struct udphdr);
	if (protocol != IPPROTO_TCP)
		return -1;
	/* The upper four bits of byte 12 are TCP's data offset. */
	if (bpf_skb_load_bytes(skb, offset + 12, &data_offset, sizeof(data_offset)))
		return -1;
	return (data_offset >> 4) * 4;
}

/*
 * The length of what every segment of a super-packet repeats: link, network
 * and transport headers as they are in the buffer. 0 when they are not
 * understood.
 *
 * bpf_skb_load_bytes and not packet pointers: the headers need not be in the
 * linear part.
 */
static __always_inline __u32 header_length(struct __sk_buff *skb)
{
	__u32 offset = offsetof(struct ethhdr, h_proto);
	__be16 type = 0;
	__u8 protocol;
	int transport;

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
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
			return 0;
		offset += ip.ihl * 4;
		protocol = ip.protocol;
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip6;

		if (bpf_skb_load_bytes(skb, offset, &ip6, sizeof(ip6)))
			return 0;
		offset += sizeof(ip6);
		protocol = ip6.nexthdr;
		for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
			/* Next header, and length in units of eight octets
			 * less the first: RFC 8200, 4.
			 */
			__u8 extension[2];

			if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING &&
			    protocol != IPPROTO_DSTOPTS)
				break;
			if (bpf_skb_load_bytes(skb, offset, extension, sizeof(extension)))
				return 0;
			protocol = extension[0];
			offset = forget(offset + (extension[1] + 1) * 8);
		}
	} else {
		return 0;
	}

	transport = transport_length(skb, offset, protocol);
	if (transport < 0)
		return 0;
	return forget(offset + transport);
}

/*
 * The frame as a wire would have carried it.
 *
 * A tag that the kernel keeps beside the bytes counts with them. A
 * super-packet counts as its segments, each with the headers; gso_segs is 0
 * for those that come from a guest, which the kernel does not trust. What a
 * guest's UDP fragmentation offload makes (fragments, only the first of which
 * has the UDP header) is not told apart from UDP segmentation, and of a tunnel
 * whose segmentation was left to the device only the outer headers are seen.
 */
static __always_inline void measure(struct __sk_buff *skb, struct tap_count *frame)
{
	__u32 tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
	__u32 segment_size = skb->gso_size;
	__u32 length = skb->len;

	frame->packets = 1;
	frame->bytes = length + tag;
	if (segment_size) {
		__u32 header = header_length(skb);
		__u64 segments = skb->gso_segs;

		if (header > length)
			header = 0;
		if (!segments)
			segments = ((__u64)(length - header) + segment_size - 1) / segment_size;
		if (segments > 1) {
			frame->packets = segments;
			frame->bytes += (segments - 1) * (header ? header + tag : 0);
		}
	}
}

SEC("tc")
int virt_tap(struct __sk_buff *skb)
{
	__u32 slot = tap_destination_slot;
	struct tap_destination *destination;
	struct tap_count frame;
	__u32 ifindex = 0;
	__u32 mark = skb->mark;
	long error = -1;

	/* Before the clone: afterwards the original may be another buffer. */
	measure(skb, &frame);

	/* A copy already, of this tap or another: copied again it would never
	 * end.
	 */
	if ((mark & tap_mark_mask) == tap_mark_value) {
		count(TAP_MARKED, &frame);
		return TC_ACT_UNSPEC;
	}

	/* Whether to copy this one (sampling, rate) is decided here. A filter
	 * is spliced in front of the whole function when loading.
	 */

	destination = bpf_map_lookup_elem(&tap_dests, &slot);
	if (destination)
		ifindex = destination->ifindex;
	if (ifindex) {
		skb->mark = (mark & ~tap_mark_mask) | tap_mark_value;
		error = bpf_clone_redirect(skb, ifindex, 0);
		skb->mark = mark;
	}

	/* Positive codes say that the device's queue refused the copy. */
	if (error) {
		count(TAP_ERRORS, &frame);
		count_destination(TAP_DESTINATION_ERRORS, &frame);
	} else {
		count(TAP_COPIED, &frame);
		count_destination(TAP_DESTINATION_SENT, &frame);
	}
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
