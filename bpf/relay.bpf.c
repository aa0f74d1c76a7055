// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Changes copies behind the clone, on a veth pair of ours, and sends them on to
 * their destination: cuts them, and wraps those for another machine. It never
 * meets an original.
 *
 * It runs twice: where copies leave the sending end, and where they arrive at
 * the other. What can be cut is cut at once, within the call that cloned it, so
 * that the tap's program is told of errors. A GSO packet cut there would be
 * one short frame for forty, and the kernel cuts nothing in front of a checksum
 * that is still to be filled in. Those go on: the sending end can do nothing by
 * itself, so the kernel makes segments of them and fills the checksum in, and
 * each segment is cut where it arrives.
 *
 * A copy that cannot be cut as it was asked for is dropped and counted: what
 * was to be left out must not get out. Those that are to be wrapped go on in the
 * same way, since what leaves the host has to be finished.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "backlog.h"
#include "destinations.h"
#include "fragment.h"
#include "headers.h"
#include "message.h"
#include "relay.h"
#include "passing.h"
#include "segments.h"
#include "tunnel.h"

/* Ethernet with a tag, IPv4 and TCP with all their options: with more, each segment would be little else. */
#define MOST_HEADERS (ETH_HLEN + VLAN_TAG_LEN + 60 + 60)

/* Whether this is the end where copies arrive. Nobody can be told of errors there, so they are counted. */
const volatile __u32 hop_is_arrival = 0;

static __always_inline void count(__u32 slot, enum tap_destination_counter which, __u32 bytes)
{
	struct tap_count frame = {.packets = 1, .bytes = bytes};

	add_at(slot, which, &frame);
}

/* A copy that has left: so many bytes, and so many that were cut off. */
static __always_inline void count_sent(__u32 slot, __u32 bytes, __u32 cut_off)
{
	struct tap_count spared = {.bytes = cut_off};

	count(slot, TAP_DESTINATION_GIVEN, bytes);
	if (cut_off)
		add_at(slot, TAP_DESTINATION_SPARED, &spared);
}

/*
 * Sends a frame that is too large for the path as fragments of one outer packet.
 * Each is made of a copy of its own, since nothing brings back what was cut off.
 */
__noinline int tap_send_fragments(struct __sk_buff *skb, const struct wrap *wrap, __u32 number,
				  __u32 payload, __u32 mtu)
{
	__u32 zero = 0, fragments, fragment, most = mtu & ~7U;
	struct tap_relay *relay = bpf_map_lookup_elem(&tap_hops, &zero);
	int error = -1;

	if (!wrap)
		return -1;
	/* As even as can be: the last must not be shorter than a network header. */
	fragments = most ? (payload + most - 1) / most : 0;
	if (!relay || !relay->ifindex || fragments < 2 || fragments > TAP_FRAGMENTS)
		return -1;
	if (fragment_size(payload, fragments) > most)
		fragments++;
	for (fragment = 0; fragment < TAP_FRAGMENTS && fragment < fragments; fragment++) {
		skb->cb[TAP_CB_PLACE] = wrap->place | TAP_CB_FRAGMENT;
		/* One kind of tunnel needs this, others that. */
		skb->cb[TAP_CB_SUM] = wrap->sum | wrap->vlan | wrap->is_truncated << 16;
		skb->cb[TAP_CB_DEVICE] = number;
		skb->cb[TAP_CB_PART] = fragment << 16 | fragments;
		skb->cb[TAP_CB_ID] = wrap->fragment_id;
		error = bpf_clone_redirect(skb, relay->ifindex, 0);
		if (error)
			break;
	}
	return error;
}

/* Sends a copy to another machine, and counts it; of what it was, so many bytes are cut off already. */
__noinline int tap_send_wrapped(struct __sk_buff *skb, __u32 place, __u32 device, __u32 cut_off)
{
	__u32 slot = place & TAP_CB_SLOT, outer, original;
	struct tap_tunnel *tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	struct wrap wrap = {};
	bool is_too_large, is_truncated = false;
	long error;
	int sum = 0;
	int vlan;

	if (!tunnel)
		return -1;
	vlan = tap_put_tags(skb);
	if (vlan < 0)
		return -1;
	wrap.place = place;
	wrap.vlan = vlan;
	wrap.is_truncated = cut_off > 0;
	wrap.fragment_id = bpf_get_prandom_u32();
	original = skb->len;
	is_too_large = original > tunnel->room;
	if (is_too_large && tunnel->oversize == TAP_OVERSIZE_TRUNCATE) {
		if (bpf_skb_change_tail(skb, tunnel->room, 0))
			return -1;
		wrap.is_truncated = 1;
		is_truncated = true;
		is_too_large = false;
	} else if (is_too_large && tunnel->oversize == TAP_OVERSIZE_DROP) {
		count(slot, TAP_DESTINATION_OVERSIZED, original);
		return -1;
	}
	wrap.length = skb->len;
	if (tunnel->is_ipv6 && tunnel->kind == TAP_TUNNEL_UDP) {
		sum = tap_sum(skb);
		if (sum < 0)
			return -1;
		wrap.sum = sum;
		wrap.vlan = 0;
		wrap.is_truncated = 0;
	}
	if (is_too_large) {
		outer = tunnel->is_ipv6 ? OUTER_IPV6 : OUTER_IPV4;
		if (tap_send_fragments(
			    skb, &wrap, tunnel->number, tunnel->length - outer + wrap.length,
			    tunnel->mtu - (outer - ETH_HLEN) -
				    (tunnel->is_ipv6 ? sizeof(struct fragment_header) : 0)))
			return -1;
		count(slot, TAP_DESTINATION_FRAGMENTED, wrap.length);
		count_sent(slot, wrap.length, cut_off);
		return 0;
	}
	if (tap_wrap(skb, &wrap))
		return -1;
	skb->cb[TAP_CB_PLACE] = 0;
	error = bpf_clone_redirect(skb, device, 0);
	if (error)
		return error;
	if (is_truncated)
		count(slot, TAP_DESTINATION_TRUNCATED, original);
	count_sent(slot, wrap.length, cut_off + original - wrap.length);
	return 0;
}

/*
 * Sends an IP frame to another machine as the kernel's own tunnels do: what the
 * guest left to its device is done to the frame in it where it leaves, by the
 * device or by the kernel for it. So a GSO packet costs what one frame costs.
 *
 * Not for UDP over IPv6, whose checksum covers all of that. Nor for GSO packets
 * in ERSPAN, of which each segment has a number of its own. Positive: it was
 * not possible, and nothing was changed.
 */
__noinline int tap_send_encapsulated(struct __sk_buff *skb, __u32 place, __u32 device)
{
	__u32 slot = place & TAP_CB_SLOT, length = skb->len, segment_size = skb->gso_size;
	struct tap_tunnel *tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	struct tap_count sent = {.packets = 1, .bytes = length};
	struct wrap wrap = {};
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
		/* As much as is put in front the kernel takes off the segments, unless it is told not to. */
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
	wrap.place = place;
	wrap.fragment_id = bpf_get_prandom_u32();
	wrap.length = length;
	error = tap_encapsulate(skb, &wrap, flags);
	if (error)
		return error;
	skb->cb[TAP_CB_PLACE] = 0;
	error = bpf_clone_redirect(skb, device, 0);
	if (!error)
		add_at(slot, TAP_DESTINATION_GIVEN, &sent);
	return error ? -1 : 0;
}

/*
 * Whether every byte has to be what it will be on the wire. That is so where
 * there is a checksum over all. And in fragments, which the kernel would fill a
 * checksum in for where the guest said, who could choose a place in front of
 * which the outer headers are.
 */
static __always_inline bool needs_whole(const struct tap_tunnel *tunnel, __u32 length)
{
	return (tunnel->is_ipv6 && tunnel->kind == TAP_TUNNEL_UDP) ||
	       (length > tunnel->room && tunnel->oversize == TAP_OVERSIZE_FRAGMENT);
}

/* Has the kernel do its work on a copy, which comes out at the other end; so many segments of it. */
static __always_inline int send_on(struct __sk_buff *skb, __u32 segments)
{
	if (passes_ingress_by(skb))
		return TC_ACT_SHOT;
	return may_wait(skb, segments) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

static __always_inline int send_fragment(struct __sk_buff *skb, __u32 place, __u32 device)
{
	__u32 part = skb->cb[TAP_CB_PART];
	__u32 sum = skb->cb[TAP_CB_SUM];
	struct wrap wrap = {
		.place = place,
		.sum = sum & 0xffff,
		.vlan = sum & 0xffff,
		.is_truncated = sum >> 16,
		.fragment = part >> 16,
		.fragments = part & 0xffff,
		.fragment_id = skb->cb[TAP_CB_ID],
		.length = skb->len,
	};

	skb->cb[TAP_CB_PLACE] = 0;
	if (tap_wrap_fragment(skb, &wrap) || bpf_clone_redirect(skb, device, 0))
		return TC_ACT_SHOT;
	return TC_ACT_STOLEN;
}

SEC("tap")
int virt_tap_hop(struct __sk_buff *skb)
{
	__u32 place = skb->cb[TAP_CB_PLACE], cut = skb->cb[TAP_CB_CUT];
	__u32 device = skb->cb[TAP_CB_DEVICE], ticket = skb->cb[TAP_CB_TICKET];
	__u32 cpu = skb->cb[TAP_CB_CPU];
	__u32 length = skb->len, segment_size = skb->gso_size;
	__u32 tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
	__u32 slot = place & TAP_CB_SLOT, most = TAP_UNCUT;
	__u64 flags = place & TAP_CB_RECEIVES ? BPF_F_INGRESS : 0;
	bool is_wrapped = place & TAP_CB_WRAPS, is_finished = place & TAP_CB_FINISHES;
	struct headers headers;
	struct tap_tunnel *tunnel = bpf_map_lookup_elem(&tap_tunnels, &slot);
	bool has_number = cut;
	bool is_cut = false;
	long error = 0;

	/* Not sent here by a tap, or for the second time. */
	if ((place & ~(TAP_CB_SLOT | TAP_CB_FLAGS)) != TAP_CB_MAGIC)
		return TC_ACT_SHOT;
	if (hop_is_arrival)
		settle(cpu, ticket);
	if (is_wrapped) {
		/* The place has another owner since. */
		if (!tunnel || tunnel->number != device) {
			if (hop_is_arrival)
				count(slot, TAP_DESTINATION_ERRORS, length + tag);
			return TC_ACT_SHOT;
		}
		device = tunnel->ifindex;
	}
	/* One that comes out was not made at the other end, which has lost its program. */
	if (place & TAP_CB_FRAGMENT)
		return hop_is_arrival ? TC_ACT_SHOT : send_fragment(skb, place, device);
	if (is_wrapped && !hop_is_arrival && cut == TAP_UNCUT) {
		error = tap_send_encapsulated(skb, place, device);
		if (error <= 0)
			return error ? TC_ACT_SHOT : TC_ACT_STOLEN;
		error = 0;
	}
	if (hop_is_arrival) {
		/* It has waited for what it needed. */
	} else if (segment_size) {
		if ((is_wrapped || is_finished) && cut == TAP_UNCUT && tunnel)
			most = tunnel->room;
		/* The tap has said how many segments it will be. */
		if (ticket > TAP_SEGMENTS + 1)
			ticket = join_segments(skb, segment_size);
		else if (most != TAP_UNCUT)
			ticket = fit_segments(skb, most, segment_size, tag);
		if (ticket > TAP_SEGMENTS + 1)
			return TC_ACT_SHOT;
		return send_on(skb, ticket);
	} else if ((is_wrapped && (needs_whole(tunnel, cut < length + tag ? cut : length + tag) ||
				   tap_is_unfinished(skb))) ||
		   (is_finished && !is_wrapped && cut == TAP_UNCUT && tap_is_unfinished(skb))) {
		return send_on(skb, 1);
	}
	/* Somebody has given the sending end its offloads back. */
	if (segment_size)
		error = -1;

	if (has_number) {
		cut -= tag;
	} else {
		tap_parse(skb, &headers);
		cut = headers.end;
	}
	if (!error && length > cut) {
		error = bpf_skb_change_tail(skb, cut, 0);
		is_cut = true;
	}
	if (error && has_number && !hop_is_arrival)
		return send_on(skb, 1);
	skb->cb[TAP_CB_PLACE] = 0;
	/* Not a redirect: nobody would tell what became of it. */
	if (!error && is_wrapped)
		error = tap_send_wrapped(skb, place, device, is_cut ? length - cut : 0);
	else if (!error)
		error = bpf_clone_redirect(skb, device, flags);
	/* An error at once is told to the tap's program, which counts it. */
	if (error && hop_is_arrival)
		count(slot, TAP_DESTINATION_ERRORS, length + tag);
	else if (!error && !is_wrapped)
		count_sent(slot, (is_cut ? cut : length) + tag, is_cut ? length - cut : 0);
	return error ? TC_ACT_SHOT : TC_ACT_STOLEN;
}

char _license[] SEC("license") = "Dual BSD/GPL";
