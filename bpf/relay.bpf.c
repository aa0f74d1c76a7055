// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The relay: changes copies after the clone, on a veth pair of ours, and sends them on
 * to their destination: truncates them, and encapsulates those for another machine.
 * It never meets an original.
 *
 * Its program for departure runs at TC egress of virttap-cut, to which taps send
 * copies, and the one for arrival at TC ingress of virttap-cut-in, the other end.
 *
 * What can be done at departure is done there, within the call that cloned, so that
 * the tap's program learns of errors. But a GSO packet truncated there would be one
 * short frame instead of forty, and the kernel truncates nothing in front of a checksum
 * that is left to the device. Such copies pass on: the departure has no offloads, so
 * the kernel segments them and fills in checksums, and each segment is truncated at
 * arrival.
 *
 * A copy that cannot be truncated as asked is dropped and counted: what was to be left
 * out must not get out. Copies that are encapsulated pass on in the same way, since
 * what leaves the host must be complete.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "backlog.h"
#include "counting.h"
#include "fragment.h"
#include "headers.h"
#include "maps.h"
#include "message.h"
#include "passing.h"
#include "segments.h"
#include "tunnel.h"

/* Ethernet with a tag, IPv4 and TCP with all options: with more, segments would be mostly headers. */
#define MOST_HEADERS (ETH_HLEN + VLAN_TAG_LEN + 60 + 60)

/* --- Counting --- */

static __always_inline void count_one(__u32 slot, enum tap_destination_counter which, __u32 bytes)
{
	struct tap_count count = {.packets = 1, .bytes = bytes};

	add_destination_count(slot, which, &count);
}

/* Counts a copy that has left with this many bytes, and the bytes that were cut off before. */
static __always_inline void count_sent(__u32 slot, __u32 bytes, __u32 cut_off)
{
	struct tap_count spared = {.bytes = cut_off};

	count_one(slot, TAP_DESTINATION_GIVEN, bytes);
	if (cut_off)
		add_destination_count(slot, TAP_DESTINATION_SPARED, &spared);
}

/* --- Sending to another machine --- */

/*
 * Sends a frame that is too large for the path as fragments of one outer packet. Each
 * is made of another clone, since nothing brings back what has been cut off.
 */
__noinline int tap_send_fragments(struct __sk_buff *skb, const struct encapsulation *inner,
				  __u32 tunnel, __u32 payload, __u32 mtu)
{
	__u32 zero = 0, count, most = mtu & ~7U;
	struct tap_relay *relay = bpf_map_lookup_elem(&tap_hops, &zero);
	struct fragment_message fragment;
	int error = -1;

	if (!inner)
		return -1;
	/* As even as can be: the last must not be shorter than a network header. */
	count = most ? (payload + most - 1) / most : 0;
	if (!relay || !relay->ifindex || count < 2 || count > MAX_FRAGMENTS)
		return -1;
	if (fragment_size(payload, count) > most)
		count++;
	fragment.slot = inner->slot;
	fragment.is_outbound = inner->is_outbound & 1;
	/* UDP over IPv6 needs the sum, ERSPAN the tag: one of them is 0. */
	fragment.sum_or_vlan = inner->sum | inner->vlan;
	fragment.is_truncated = inner->is_truncated & 1;
	fragment.tunnel = tunnel;
	fragment.count = count;
	fragment.id = inner->fragment_id;
	for (__u32 i = 0; i < MAX_FRAGMENTS && i < count; i++) {
		fragment.index = i;
		pack_fragment(skb, &fragment);
		error = bpf_clone_redirect(skb, relay->ifindex, 0);
		if (error)
			break;
	}
	return error;
}

/*
 * Encapsulates a complete copy, sends it and counts it. The outer headers are plain
 * bytes to the kernel. cut_off says how many bytes have been cut off already.
 */
__noinline int tap_send_complete(struct __sk_buff *skb, __u32 slot, __u32 is_outbound, __u32 device,
				 __u32 cut_off)
{
	struct tap_tunnel *tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	struct encapsulation inner = {};
	bool is_too_large, is_truncated = false;
	__u32 outer, original;
	int sum, vlan;
	long error;

	if (!tunnel)
		return -1;
	vlan = tap_write_tags(skb);
	if (vlan < 0)
		return -1;
	inner.slot = slot;
	inner.is_outbound = is_outbound;
	inner.vlan = vlan;
	inner.is_truncated = cut_off > 0;
	inner.fragment_id = bpf_get_prandom_u32();
	original = skb->len;
	is_too_large = original > tunnel->room;
	if (is_too_large && tunnel->oversize == TAP_OVERSIZE_TRUNCATE) {
		if (bpf_skb_change_tail(skb, tunnel->room, 0))
			return -1;
		inner.is_truncated = 1;
		is_truncated = true;
		is_too_large = false;
	} else if (is_too_large && tunnel->oversize == TAP_OVERSIZE_DROP) {
		count_one(slot, TAP_DESTINATION_OVERSIZED, original);
		return -1;
	}
	inner.length = skb->len;
	if (tunnel->is_ipv6 && tunnel->kind == TAP_TUNNEL_UDP) {
		sum = tap_sum(skb);
		if (sum < 0)
			return -1;
		inner.sum = sum;
		inner.vlan = 0;
		inner.is_truncated = 0;
	}
	if (is_too_large) {
		outer = tunnel->is_ipv6 ? OUTER_IPV6 : OUTER_IPV4;
		if (tap_send_fragments(
			    skb, &inner, tunnel->number, tunnel->length - outer + inner.length,
			    tunnel->mtu - (outer - ETH_HLEN) -
				    (tunnel->is_ipv6 ? sizeof(struct fragment_header) : 0)))
			return -1;
		count_one(slot, TAP_DESTINATION_FRAGMENTED, inner.length);
		count_sent(slot, inner.length, cut_off);
		return 0;
	}
	if (tap_push_outer(skb, &inner))
		return -1;
	clear_message(skb);
	error = bpf_clone_redirect(skb, device, 0);
	if (error)
		return error;
	if (is_truncated)
		count_one(slot, TAP_DESTINATION_TRUNCATED, original);
	count_sent(slot, inner.length, cut_off + original - inner.length);
	return 0;
}

/*
 * Encapsulates a whole IP frame as the kernel's own tunnels do, sends it and counts it:
 * what the guest left to its device is done to the inner frame where it leaves, by the
 * device or by the kernel for it. So a GSO packet costs what one frame costs.
 *
 * Not for UDP over IPv6, whose checksum covers everything. Nor for GSO packets in
 * ERSPAN, where each segment has a sequence number. Positive: it was not possible,
 * and nothing was changed.
 */
__noinline int tap_send_offloaded(struct __sk_buff *skb, __u32 slot, __u32 is_outbound,
				  __u32 device)
{
	__u32 length = skb->len, segment_size = skb->gso_size;
	struct tap_tunnel *tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	struct tap_count sent = {.packets = 1, .bytes = length};
	struct encapsulation inner = {};
	struct headers headers;
	__u64 flags = 0;
	__u32 excess;
	long error;

	if (!tunnel || skb->vlan_present ||
	    (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6)))
		return 1;
	if (tunnel->kind == TAP_TUNNEL_UDP && tunnel->is_ipv6)
		return 1;
	if (segment_size) {
		if (tunnel->kind > TAP_TUNNEL_GRE || length + tunnel->length > 0xffff)
			return 1;
		tap_parse(skb, &headers);
		if (headers.protocol != IPPROTO_TCP || !headers.has_transport ||
		    headers.end >= length || headers.end > MOST_HEADERS)
			return 1;
		excess = headers.end + segment_size;
		excess = excess > tunnel->room ? excess - tunnel->room : 0;
		/* The kernel takes the length of what is put in front off the segments unless it is
		 * asked not to.
		 */
		if (excess > tunnel->length || (excess && segment_size < 2 * tunnel->length))
			return 1;
		if (!excess)
			flags = BPF_F_ADJ_ROOM_FIXED_GSO;
		else
			segment_size -= tunnel->length;
		if (length - headers.end > TAP_SEGMENTS * segment_size)
			return 1;
		sent.packets = segments_of(length - headers.end, segment_size);
		sent.bytes += (sent.packets - 1) * headers.end;
	} else if (length > tunnel->room) {
		return 1;
	}
	inner.slot = slot;
	inner.is_outbound = is_outbound;
	inner.fragment_id = bpf_get_prandom_u32();
	inner.length = length;
	error = tap_push_known_outer(skb, &inner, flags);
	if (error)
		return error;
	clear_message(skb);
	error = bpf_clone_redirect(skb, device, 0);
	if (!error)
		add_destination_count(slot, TAP_DESTINATION_GIVEN, &sent);
	return error ? -1 : 0;
}

/* --- Both ends --- */

/* Finds the device by which a copy leaves; false: the slot has had another owner since. */
static __always_inline bool find_device(const struct copy_message *copy,
					const struct tap_tunnel *tunnel, __u32 *device)
{
	*device = copy->device;
	if (!copy->encapsulates)
		return true;
	if (!tunnel || tunnel->number != copy->device)
		return false;
	*device = tunnel->ifindex;
	return true;
}

/*
 * Truncates a copy as asked; returns how many bytes are left. Negative: it is what it
 * was. A global function, so that the verifier walks it once.
 */
__noinline int tap_truncate(struct __sk_buff *skb, enum snap snap, __u32 snap_length)
{
	__u32 length = skb->len;
	struct headers headers;

	if (snap == SNAP_WHOLE)
		return length;
	if (snap == SNAP_HEADERS) {
		tap_parse(skb, &headers);
		snap_length = headers.end;
	}
	if (length <= snap_length)
		return length;
	return bpf_skb_change_tail(skb, snap_length, 0) ? -1 : (int)snap_length;
}

/* Sends a copy, `left` of its `length` bytes, to its destination and counts it. */
static __always_inline long deliver(struct __sk_buff *skb, const struct copy_message *copy,
				    __u32 device, __u32 tag, __u32 length, __u32 left)
{
	long error;

	clear_message(skb);
	if (copy->encapsulates)
		return tap_send_complete(skb, copy->slot, copy->is_outbound, device, length - left);
	/* Not a redirect: nothing would say what became of it. */
	error = bpf_clone_redirect(skb, device, copy->receives ? BPF_F_INGRESS : 0);
	if (!error)
		count_sent(copy->slot, left + tag, length - left);
	return error;
}

/* --- Departure --- */

/*
 * Whether every byte must be what it will be on the wire: if a checksum covers all of
 * them; and in fragments, where the kernel would fill in a checksum at an offset that
 * the guest has chosen, without knowing of the outer headers in front.
 */
static __always_inline bool must_be_complete(const struct tap_tunnel *tunnel, __u32 length)
{
	return (tunnel->is_ipv6 && tunnel->kind == TAP_TUNNEL_UDP) ||
	       (length > tunnel->room && tunnel->oversize == TAP_OVERSIZE_FRAGMENT);
}

/* How many segments the kernel is to make of a GSO packet, whose segments may be resized. */
static __always_inline __u32 plan_segments(struct __sk_buff *skb, const struct copy_message *copy,
					   const struct tap_tunnel *tunnel, __u32 tag,
					   __u32 segment_size)
{
	if (copy->segments > TAP_SEGMENTS + 1)
		return enlarge_segments(skb, segment_size);
	if ((copy->encapsulates || copy->resolves_offloads) && copy->snap == SNAP_WHOLE && tunnel)
		return shrink_segments(skb, tunnel->room, segment_size, tag);
	return copy->segments;
}

/*
 * How many segments the kernel is to make of a copy, with their checksums filled in,
 * before more can be done; 0: it can be sent at once.
 */
static __always_inline __u32 plan_departure(struct __sk_buff *skb, const struct copy_message *copy,
					    const struct tap_tunnel *tunnel, __u32 tag)
{
	__u32 length = skb->len + tag, segment_size = skb->gso_size;

	if (segment_size)
		return plan_segments(skb, copy, tunnel, tag, segment_size);
	if (copy->encapsulates) {
		if (copy->snap == SNAP_HEADERS)
			length = 0;
		else if (copy->snap == SNAP_BYTES && copy->snap_length < length)
			length = copy->snap_length;
		if (tunnel && must_be_complete(tunnel, length))
			return 1;
	} else if (!copy->resolves_offloads || copy->snap != SNAP_WHOLE) {
		return 0;
	}
	return tap_needs_checksum(skb) ? 1 : 0;
}

/* Lets a copy pass to the other end, where it arrives as that many segments. */
static __always_inline int pass_on(struct __sk_buff *skb, __u32 segments)
{
	if (segments > TAP_SEGMENTS + 1 || passes_ingress_by(skb))
		return TC_ACT_SHOT;
	return may_wait(skb, segments) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

static __always_inline int send_fragment(struct __sk_buff *skb, __u32 device)
{
	struct fragment_message fragment;
	struct encapsulation inner = {};

	unpack_fragment(skb, &fragment);
	inner.slot = fragment.slot;
	inner.is_outbound = fragment.is_outbound;
	inner.sum = fragment.sum_or_vlan;
	inner.vlan = fragment.sum_or_vlan;
	inner.is_truncated = fragment.is_truncated;
	inner.fragment = fragment.index;
	inner.fragments = fragment.count;
	inner.fragment_id = fragment.id;
	inner.length = skb->len;
	clear_message(skb);
	if (tap_push_fragment_outer(skb, &inner) || bpf_clone_redirect(skb, device, 0))
		return TC_ACT_SHOT;
	return TC_ACT_STOLEN;
}

/* Errors are answers to the tap's program, which counts them. */
SEC("tap")
int virt_tap_depart(struct __sk_buff *skb)
{
	__u32 length = skb->len, tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
	__u32 device, segments;
	struct copy_message copy;
	struct tap_tunnel *tunnel;
	long error;
	int left;

	if (!unpack_copy(skb, &copy))
		return TC_ACT_SHOT;
	tunnel = bpf_map_lookup_elem(&tap_tunnels, &copy.slot);
	if (!find_device(&copy, tunnel, &device))
		return TC_ACT_SHOT;
	if (is_fragment_message(skb))
		return send_fragment(skb, device);
	if (copy.encapsulates && copy.snap == SNAP_WHOLE) {
		error = tap_send_offloaded(skb, copy.slot, copy.is_outbound, device);
		if (error <= 0)
			return error ? TC_ACT_SHOT : TC_ACT_STOLEN;
	}
	segments = plan_departure(skb, &copy, tunnel, tag);
	if (segments)
		return pass_on(skb, segments);
	left = tap_truncate(skb, copy.snap, copy.snap_length - tag);
	/* The checksum may be left to the device behind what is to be cut off. */
	if (left < 0 && copy.snap == SNAP_BYTES)
		return pass_on(skb, 1);
	error = left < 0 ? -1 : deliver(skb, &copy, device, tag, length, left);
	return error ? TC_ACT_SHOT : TC_ACT_STOLEN;
}

/* --- Arrival --- */

/* Errors are counted here: the tap's program does not wait for copies to arrive. */
SEC("tap")
int virt_tap_arrive(struct __sk_buff *skb)
{
	__u32 length = skb->len, tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
	__u32 segment_size = skb->gso_size, device;
	struct copy_message copy;
	struct tap_tunnel *tunnel;
	long error = -1;
	int left = -1;

	/* A fragment here was not made at departure, which has lost its program. */
	if (!unpack_copy(skb, &copy) || is_fragment_message(skb))
		return TC_ACT_SHOT;
	settle(ticket_cpu_of(skb), ticket_of(skb));
	tunnel = bpf_map_lookup_elem(&tap_tunnels, &copy.slot);
	/* A GSO packet arrives whole when somebody has turned the departure's offloads on again. */
	if (find_device(&copy, tunnel, &device) && !segment_size)
		left = tap_truncate(skb, copy.snap, copy.snap_length - tag);
	if (left >= 0)
		error = deliver(skb, &copy, device, tag, length, left);
	if (error)
		count_one(copy.slot, TAP_DESTINATION_ERRORS, length + tag);
	return error ? TC_ACT_SHOT : TC_ACT_STOLEN;
}

char _license[] SEC("license") = "Dual BSD/GPL";
