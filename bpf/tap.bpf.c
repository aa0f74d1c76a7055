// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Copies one device's traffic in one direction to a destination.
 *
 * One program per attachment and direction, specialised by the constants below: what
 * a tap does not ask for is dead code to the verifier and not in the machine code.
 *
 *     inspect  reads what is known of the frame, and changes nothing
 *     decide   fills a plan: whether there is a copy, by which route, and what of it
 *     execute  sends the copy, and counts
 *
 * Every path returns TC_ACT_UNSPEC, which is also TCX_NEXT: whatever comes after in
 * the chain decides about the original as if this program were not there. Nothing of
 * the original changes but its mark and control block, for the moment of the clone.
 * No LD_ABS: on a short frame it would end the program with 0, a verdict.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "CTapABI.h"
#include "backlog.h"
#include "checksum.h"
#include "counting.h"
#include "flow.h"
#include "headers.h"
#include "loop.h"
#include "maps.h"
#include "message.h"
#include "once.h"
#include "rate.h"
#include "segments.h"
#include "shape.h"

/* Set by name when loading. */
const volatile __u32 tap_mark_value = 0;
const volatile __u32 tap_mark_mask = 0;
/* The slot of the destination. */
const volatile __u32 tap_destination_slot = 0;
/* Whether the call of tap_filter has been replaced by one of a filter. */
const volatile __u32 tap_filters = 0;
/* Copy if a 32-bit random number (or flow hash) is at most this; UINT32_MAX copies all. */
const volatile __u32 tap_sample_packets = 0xffffffff;
const volatile __u32 tap_sample_flows = 0xffffffff;
/* How many bytes of a frame are copied, its VLAN tag included; 0: all. */
const volatile __u32 tap_snaplen = 0;
/* Copy the headers only; tap_snaplen is 0. */
const volatile __u32 tap_headers_only = 0;
const volatile struct tap_limit tap_rate_limit = {};
const volatile __u32 tap_once = 0;
/* Whether copies for a device of this host become what a wire would have carried. */
const volatile __u32 tap_resolves_offloads = 0;
/* Whether this is what the guest sends. */
const volatile __u32 tap_is_outbound = 0;

/*
 * The tap's filter: 0 if the frame does not match. The loader replaces the call by one
 * of the translated filter. To the compiler it is a helper function, which no kernel
 * has, with r1 to r5 lost and the answer in r0.
 */
static long (*const tap_filter)(struct __sk_buff *skb) = (void *)TAP_FILTER_CALL;

enum route {
	ROUTE_NONE, /* it cannot be copied, which is an error */
	ROUTE_DEVICE,
	ROUTE_RELAY,
};

/* What becomes of a frame. */
struct plan {
	enum route route;
	/* The ifindex of the device; if the copy is encapsulated, tap_tunnel.number. */
	__u32 device;
	/* The ifindex of the relay. */
	__u32 relay;
	/* TAP_DESTINATION_... */
	__u32 flags;
	/* How many bytes are left, without the VLAN tag in skb metadata; 0: all. */
	__u32 untagged_snap_length;
	bool is_truncated;
	/* Fewer segments are made of a GSO packet than it would have. */
	bool is_resegmented;
	/* What the destination's device is given if nothing is truncated. */
	struct tap_count given;
};

static __always_inline void count_destination(enum tap_destination_counter which,
					      const struct tap_count *count)
{
	add_destination_count(tap_destination_slot, which, count);
}

/* --- inspect --- */

static __always_inline void inspect(struct __sk_buff *skb, struct shape *shape,
				    struct headers *headers, struct tap_count *on_wire)
{
	shape->length = skb->len;
	shape->tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
	shape->segment_size = skb->gso_size;
	if (shape->segment_size || tap_headers_only || tap_sample_flows != 0xffffffff)
		tap_parse(skb, headers);
	/* Before the clone: afterwards the original may be another buffer. */
	measure_on_wire(skb, shape, headers, on_wire);
}

/* --- decide --- */

static __always_inline bool is_sampled_out(struct __sk_buff *skb, const struct headers *headers)
{
	return (tap_sample_packets != 0xffffffff && bpf_get_prandom_u32() > tap_sample_packets) ||
	       (tap_sample_flows != 0xffffffff && tap_flow_hash(skb, headers) > tap_sample_flows);
}

/* Whether the frame, or a segment of it, is longer than what is to be left. */
static __always_inline bool is_longer(const struct shape *shape, const struct headers *headers,
				      __u32 untagged_snap_length)
{
	if (!untagged_snap_length)
		return false;
	if (shape->segment_size && has_known_end(headers))
		return headers->end + shape->segment_size > untagged_snap_length;
	return shape->length > untagged_snap_length;
}

/* The ifindex of the relay's device; 0: there is none. */
static __always_inline __u32 relay_device(void)
{
	__u32 zero = 0;
	struct tap_relay *relay = bpf_map_lookup_elem(&tap_hops, &zero);

	return relay ? relay->ifindex : 0;
}

/* Plans by which route the copy goes and what of it, for a destination that is on device. */
static __always_inline void plan_route(struct __sk_buff *skb, const struct shape *shape,
				       const struct headers *headers,
				       const struct tap_count *on_wire, struct plan *plan)
{
	bool by_relay, is_segmented;
	struct tap_count given;

	if (tap_headers_only)
		plan->untagged_snap_length = headers->end;
	else if (tap_snaplen)
		plan->untagged_snap_length = tap_snaplen - shape->tag;
	plan->is_truncated = is_longer(shape, headers, plan->untagged_snap_length);
	by_relay = plan->is_truncated || plan->flags & TAP_DESTINATION_ENCAPSULATES ||
		   (tap_resolves_offloads && (shape->segment_size || tap_needs_checksum(skb)));
	/* The flag is about TCP: few devices take other GSO packets. */
	is_segmented = shape->segment_size && (by_relay || plan->flags & TAP_DESTINATION_SEGMENTS ||
					       headers->protocol != IPPROTO_TCP);
	/* Many segments at once would fill a processor's backlog, which originals may be in, too.
	 * So the relay makes fewer of them. They may exceed a snap length within which all the
	 * smaller ones were.
	 */
	plan->is_resegmented = is_segmented && on_wire->packets > TAP_SEGMENTS;
	by_relay |= plan->is_resegmented;
	plan->is_truncated |= plan->is_resegmented && plan->untagged_snap_length;
	if (by_relay)
		plan->relay = relay_device();
	tap_measure_given(shape, on_wire, is_segmented, &given);
	/* Not with the plan's own address, which would keep all of it in memory. */
	plan->given = given;
	if (plan->device && (!by_relay || plan->relay) &&
	    (!plan->is_resegmented || (has_known_end(headers) && headers->protocol == IPPROTO_TCP)))
		plan->route = by_relay ? ROUTE_RELAY : ROUTE_DEVICE;
}

/* Whether the rates of the tap and the destination allow a copy, which is then paid for. */
static __always_inline bool is_within_rates(const struct tap_destination *destination,
					    const struct shape *shape,
					    const struct tap_count *on_wire,
					    const struct plan *plan)
{
	__u32 slot = tap_destination_slot, zero = 0;
	__u64 bytes = plan->given.bytes, packets = plan->given.packets;
	__u64 *paid_until;

	/* What leaves: the last segment of a GSO packet may be shorter. */
	if (plan->is_truncated && plan->untagged_snap_length) {
		bytes = packets * (plan->untagged_snap_length + shape->tag);
		if (on_wire->bytes < bytes)
			bytes = on_wire->bytes;
	}
	if (tap_rate_limit.cost) {
		paid_until = bpf_map_lookup_elem(&tap_rate, &zero);
		if (paid_until && !conforms(paid_until, &tap_rate_limit, packets, bytes))
			return false;
	}
	if (destination->limit.cost) {
		paid_until = bpf_map_lookup_elem(&tap_dest_rates, &slot);
		if (paid_until && !conforms(paid_until, &destination->limit, packets, bytes)) {
			count_destination(TAP_DESTINATION_RATE_LIMITED, on_wire);
			return false;
		}
	}
	return true;
}

/* Fills the plan. TAP_COPIED: a copy is to be sent. Anything else says why there is none. */
static __always_inline enum tap_counter decide(struct __sk_buff *skb, const struct shape *shape,
					       const struct headers *headers,
					       const struct tap_count *on_wire, struct plan *plan)
{
	__u32 slot = tap_destination_slot;
	struct tap_destination *destination;

	/* A copy already, of this tap or another: copied again it would never end. */
	if ((skb->mark & tap_mark_mask) == tap_mark_value)
		return TAP_MARKED;
	if (tap_filters && !tap_filter(skb))
		return TAP_FILTERED;
	if (tap_once && !tap_is_outbound && is_copied_already(skb, slot))
		return TAP_ALREADY_COPIED;
	if (is_sampled_out(skb, headers))
		return TAP_SAMPLED_OUT;
	*plan = (struct plan){};
	destination = bpf_map_lookup_elem(&tap_dests, &slot);
	if (destination) {
		plan->device = destination->ifindex;
		plan->flags = destination->flags;
	}
	/* A copy, too, which has lost its mark on another machine. */
	if (plan->flags & TAP_DESTINATION_ENCAPSULATES && carries_own_tunnel(skb, slot))
		return TAP_MARKED;
	plan_route(skb, shape, headers, on_wire, plan);
	/* What cannot be copied uses up nothing of a rate. */
	if (plan->route != ROUTE_NONE && destination) {
		if (!is_within_rates(destination, shape, on_wire, plan))
			return TAP_RATE_LIMITED;
		if (plan->flags & TAP_DESTINATION_ENCAPSULATES)
			plan->device = destination->tunnel;
	}
	return TAP_COPIED;
}

/* --- execute --- */

/* Clones to a device. The original keeps its mark. */
static __always_inline long clone_to(struct __sk_buff *skb, __u32 ifindex, __u64 flags)
{
	__u32 mark = skb->mark;
	long error;

	skb->mark = (mark & ~tap_mark_mask) | tap_mark_value;
	error = bpf_clone_redirect(skb, ifindex, flags);
	skb->mark = mark;
	return error;
}

/* Clones to the relay. The original keeps its control block. */
static __always_inline long clone_to_relay(struct __sk_buff *skb, const struct tap_count *on_wire,
					   const struct plan *plan)
{
	struct saved_words saved = save_words(skb);
	struct tap_backlog *backlog = this_backlog();
	__u32 sent = backlog ? backlog->sent : 0;
	struct copy_message copy = {
		.slot = tap_destination_slot,
		.receives = plan->flags & TAP_DESTINATION_RECEIVES,
		.encapsulates = plan->flags & TAP_DESTINATION_ENCAPSULATES,
		.resolves_offloads = tap_resolves_offloads,
		.is_outbound = tap_is_outbound,
		/* The relay finds out where the headers of each segment end. */
		.snap = !plan->is_truncated ? SNAP_WHOLE
			: tap_headers_only  ? SNAP_HEADERS
					    : SNAP_BYTES,
		.snap_length = tap_snaplen,
		.device = plan->device,
		/* Fragmented by the kernel, a datagram can be one more than counted. */
		.segments = on_wire->packets + 1,
	};
	long error;

	pack_copy(skb, &copy);
	error = clone_to(skb, plan->relay, 0);
	/* Segments that the kernel did not make wait nowhere, and nothing would settle for them. */
	if (error && backlog)
		backlog->sent = sent;
	restore_words(skb, &saved);
	return error;
}

static __always_inline long send_copy(struct __sk_buff *skb, const struct tap_count *on_wire,
				      const struct plan *plan)
{
	if (plan->route == ROUTE_RELAY)
		return clone_to_relay(skb, on_wire, plan);
	if (plan->route == ROUTE_DEVICE)
		return clone_to(skb, plan->device,
				plan->flags & TAP_DESTINATION_RECEIVES ? BPF_F_INGRESS : 0);
	return -1;
}

/* Counts a copy that was handed to the destination's device as it is. */
__noinline int tap_count_given(const struct tap_count *on_wire, const struct tap_count *given)
{
	struct tap_count spared;

	if (!on_wire || !given)
		return -1;
	count_destination(TAP_DESTINATION_GIVEN, given);
	if (on_wire->packets <= 1)
		return 0;
	spared.packets = on_wire->packets - given->packets;
	spared.bytes = on_wire->bytes - given->bytes;
	count_destination(TAP_DESTINATION_SPARED, &spared);
	return 0;
}

/* Counts the segments that the relay does not make of a GSO packet with this much payload. */
__noinline int tap_count_resegmented(__u32 payload, const struct shape *shape,
				     const struct tap_count *on_wire)
{
	__u32 size = enlarged_segment(payload);
	struct tap_count spared;

	if (!shape || !on_wire)
		return -1;
	spared.packets = on_wire->packets - segments_of(payload, size);
	spared.bytes = spared.packets * shape->repeated;
	count_destination(TAP_DESTINATION_SPARED, &spared);
	return 0;
}

static __always_inline void count_copy(const struct shape *shape, const struct headers *headers,
				       const struct tap_count *on_wire, const struct plan *plan,
				       bool is_error)
{
	struct tap_count given = plan->given;

	if (is_error) {
		count_destination(TAP_DESTINATION_ERRORS, on_wire);
		count_destination(TAP_DESTINATION_WANTED, &given);
	} else if (plan->route == ROUTE_DEVICE) {
		/* The relay counts what it sends, segment by segment. */
		tap_count_given(on_wire, &given);
	} else if (plan->is_resegmented) {
		tap_count_resegmented(shape->length - headers->end, shape, on_wire);
	}
}

/* Counts the frame, and remembers it for once="yes". */
static __always_inline void count_frame(struct __sk_buff *skb, enum tap_counter outcome,
					const struct tap_count *on_wire)
{
	add_count(&tap_counters, (tap_is_outbound ? TAP_COUNTERS : 0) + outcome, on_wire);
	if (tap_once && tap_is_outbound && outcome != TAP_MARKED)
		remember_outbound(skb, tap_destination_slot, outcome == TAP_COPIED);
}

static __always_inline void execute(struct __sk_buff *skb, const struct shape *shape,
				    const struct headers *headers, const struct tap_count *on_wire,
				    const struct plan *plan)
{
	/* Positive codes say that the device's queue, or the relay, refused the copy. */
	bool is_error = send_copy(skb, on_wire, plan);

	count_frame(skb, is_error ? TAP_ERRORS : TAP_COPIED, on_wire);
	count_copy(shape, headers, on_wire, plan, is_error);
}

SEC("tap")
int virt_tap(struct __sk_buff *skb)
{
	struct headers headers = {};
	struct tap_count on_wire;
	struct shape shape;
	struct plan plan;
	enum tap_counter outcome;

	inspect(skb, &shape, &headers, &on_wire);
	outcome = decide(skb, &shape, &headers, &on_wire, &plan);
	if (outcome == TAP_COPIED)
		execute(skb, &shape, &headers, &on_wire, &plan);
	else
		count_frame(skb, outcome, &on_wire);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
