// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Copies one device's traffic in one direction to a destination.
 *
 * One program, loaded once for each attachment and direction and specialised
 * by the constants below: what a tap does not ask for is dead code to the
 * verifier and not in the machine code.
 *
 * Every path returns TC_ACT_UNSPEC, which is also TCX_NEXT: whatever comes
 * after in the chain decides about the original as if this program were not
 * there. Nothing of the original changes but its mark and control block, for
 * the moment of the clone. No LD_ABS: on a short frame it would end the
 * program with 0, an answer.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "backlog.h"
#include "checksum.h"
#include "destinations.h"
#include "flow.h"
#include "headers.h"
#include "relay.h"
#include "loop.h"
#include "rate.h"
#include "segments.h"
#include "shape.h"
#include "CTapABI.h"
#include "message.h"

/* Set by name when loading. */
const volatile __u32 tap_mark_value = 0;
const volatile __u32 tap_mark_mask = 0;
/* The index in the destinations map. */
const volatile __u32 tap_destination_slot = 0;
/* Whether a filter has been put in the place of tap_filter. */
const volatile __u32 tap_filters = 0;
/* Of 2^32 packets, or flows, one less than so many are copied. */
const volatile __u32 tap_sample_packets = 0xffffffff;
const volatile __u32 tap_sample_flows = 0xffffffff;
/* How many bytes of a frame are copied, its VLAN tag counted; 0: all. */
const volatile __u32 tap_snaplen = 0;
/* Instead: its headers. */
const volatile __u32 tap_headers_only = 0;
const volatile struct tap_limit tap_rate_limit = {};
const volatile __u32 tap_once = 0;
/* Whether copies for a device of this host are made what a wire would have carried. */
const volatile __u32 tap_finishes = 0;
/* Whether this is what the guest sends. */
const volatile __u32 tap_is_outbound = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * TAP_COUNTERS);
	__type(key, __u32);
	__type(value, struct tap_count);
} tap_counters SEC(".maps");

/* Until when each destination's copies are paid for: see rate.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, __u64);
} tap_dest_rates SEC(".maps");

/* The same of the tap, which all its attachments share. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tap_rate SEC(".maps");

/* By destination. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct tap_last_copy);
} tap_last SEC(".maps");

/*
 * The tap's filter: 0 when the frame does not match. The loader puts a call of
 * the translated filter in the place of this one, which no kernel has; to the
 * compiler it is a helper function, with r1 to r5 lost and r0 for the answer.
 */
static long (*const tap_filter)(struct __sk_buff *skb) = (void *)TAP_FILTER_CALL;

static __always_inline void count(enum tap_counter which, const struct tap_count *frame)
{
	add(&tap_counters, (tap_is_outbound ? TAP_COUNTERS : 0) + which, frame);
}

static __always_inline void count_destination(enum tap_destination_counter which,
					      const struct tap_count *frame)
{
	add_at(tap_destination_slot, which, frame);
}

/* What a frame is known by again; what is too short for it is never the same. */
static __always_inline bool begin_of(struct __sk_buff *skb, __u64 begin[TAP_ONCE_WORDS])
{
	return !bpf_skb_load_bytes(skb, 2 * ETH_ALEN, begin, TAP_ONCE_WORDS * sizeof(begin[0]));
}

static __always_inline bool is_same(const struct tap_last_copy *last, __u32 ifindex, __u32 length,
				    const __u64 begin[TAP_ONCE_WORDS])
{
	__u64 difference = 0;

	for (int i = 0; i < TAP_ONCE_WORDS; i++)
		difference |= last->begin[i] ^ begin[i];
	return !difference && last->ifindex == ifindex && last->length == length &&
	       bpf_jiffies64() - last->jiffies <= 1;
}

/*
 * Whether a tap with once="yes" has copied this frame to the same destination
 * on its way into this host.
 *
 * Between two guests on one bridge a frame is handed on by the CPU that took it
 * in, without a pause: what that CPU's last such tap did, it did with this
 * frame, if they are the same. A frame that a program ahead of that tap has
 * hidden from it is another.
 */
static __always_inline bool is_copied_already(struct __sk_buff *skb)
{
	__u32 slot = tap_destination_slot;
	__u64 begin[TAP_ONCE_WORDS];
	struct tap_last_copy *last;

	if (tap_is_outbound)
		return false;
	last = bpf_map_lookup_elem(&tap_last, &slot);
	return last && last->is_copied && begin_of(skb, begin) &&
	       is_same(last, skb->ingress_ifindex, skb->len, begin);
}

static __always_inline void remember(struct __sk_buff *skb, bool is_copied)
{
	__u32 slot = tap_destination_slot;
	__u64 begin[TAP_ONCE_WORDS];
	struct tap_last_copy *last;
	__u32 ifindex, length;

	if (!tap_once || !tap_is_outbound)
		return;
	last = bpf_map_lookup_elem(&tap_last, &slot);
	if (!last || !begin_of(skb, begin))
		return;
	ifindex = skb->ifindex;
	length = skb->len;
	/* Another tap of this device may have copied it to the same place. */
	if (last->is_copied && is_same(last, ifindex, length, begin))
		return;
	last->ifindex = ifindex;
	last->length = length;
	for (int i = 0; i < TAP_ONCE_WORDS; i++)
		last->begin[i] = begin[i];
	last->jiffies = bpf_jiffies64();
	last->is_copied = is_copied;
}

static __always_inline bool is_within_rates(const struct tap_destination *destination,
					    const struct shape *shape,
					    const struct tap_count *frame,
					    const struct tap_count *given, __u32 cut)
{
	__u32 slot = tap_destination_slot, zero = 0;
	__u64 bytes = given->bytes, packets = given->packets;
	__u64 *paid_until;

	/* What leaves: the last segment of a GSO packet may be shorter. */
	if (cut)
		bytes = packets * (cut + shape->tag);
	if (cut && frame->bytes < bytes)
		bytes = frame->bytes;
	if (tap_rate_limit.cost) {
		paid_until = bpf_map_lookup_elem(&tap_rate, &zero);
		if (paid_until && !conforms(paid_until, &tap_rate_limit, packets, bytes))
			return false;
	}
	if (destination->limit.cost) {
		paid_until = bpf_map_lookup_elem(&tap_dest_rates, &slot);
		if (paid_until && !conforms(paid_until, &destination->limit, packets, bytes)) {
			count_destination(TAP_DESTINATION_RATE_LIMITED, frame);
			return false;
		}
	}
	return true;
}

/* A copy that was handed to the destination's device as it is. */
__noinline int tap_count_sent(const struct tap_count *frame, const struct tap_count *given)
{
	struct tap_count spared;

	if (!frame || !given)
		return -1;
	count_destination(TAP_DESTINATION_GIVEN, given);
	if (frame->packets <= 1)
		return 0;
	spared.packets = frame->packets - given->packets;
	spared.bytes = frame->bytes - given->bytes;
	count_destination(TAP_DESTINATION_SPARED, &spared);
	return 0;
}

/* A GSO packet of so many bytes besides the headers, of which the relay makes fewer segments than it was to be. */
__noinline int tap_count_joined(__u32 payload, const struct shape *shape,
				const struct tap_count *frame)
{
	__u32 size = joined_segment(payload);
	struct tap_count spared;

	if (!shape || !frame)
		return -1;
	spared.packets = frame->packets - segments_of(payload, size);
	spared.bytes = spared.packets * shape->repeated;
	count_destination(TAP_DESTINATION_SPARED, &spared);
	return 0;
}

/* Clones to a device. The original keeps its mark. */
static __always_inline long copy_to(struct __sk_buff *skb, __u32 ifindex, __u64 flags)
{
	__u32 mark = skb->mark;
	long error;

	skb->mark = (mark & ~tap_mark_mask) | tap_mark_value;
	error = bpf_clone_redirect(skb, ifindex, flags);
	skb->mark = mark;
	return error;
}

/* The device of the relay; 0: there is none. */
static __always_inline __u32 relay_device(void)
{
	__u32 zero = 0;
	struct tap_relay *relay = bpf_map_lookup_elem(&tap_hops, &zero);

	return relay ? relay->ifindex : 0;
}

/* Clones to the relay, which cuts the copy and sends it on. */
static __always_inline long copy_by_relay(struct __sk_buff *skb, __u32 relay, __u32 destination,
					  __u32 flags, bool is_cut, __u64 packets)
{
	__u32 place = skb->cb[TAP_CB_PLACE], length = skb->cb[TAP_CB_CUT];
	__u32 device = skb->cb[TAP_CB_DEVICE], ticket = skb->cb[TAP_CB_TICKET];
	struct tap_backlog *backlog = this_backlog();
	__u32 sent = backlog ? backlog->sent : 0;
	long error;

	skb->cb[TAP_CB_PLACE] = TAP_CB_MAGIC | tap_destination_slot |
				(flags & TAP_DESTINATION_RECEIVES ? TAP_CB_RECEIVES : 0) |
				(flags & TAP_DESTINATION_ENCAPSULATES ? TAP_CB_WRAPS : 0) |
				(tap_finishes ? TAP_CB_FINISHES : 0) |
				(tap_is_outbound ? TAP_CB_OUTBOUND : 0);
	/* Where the headers of each segment end is found out there. */
	skb->cb[TAP_CB_CUT] = !is_cut ? TAP_UNCUT : tap_headers_only ? 0 : tap_snaplen;
	skb->cb[TAP_CB_DEVICE] = destination;
	/* Fragmented by the kernel, a datagram can be one more than counted. */
	skb->cb[TAP_CB_TICKET] = packets + 1;
	error = copy_to(skb, relay, 0);
	/* What the kernel would not make segments of waits nowhere, and nobody would ever settle for it. */
	if (error && backlog)
		backlog->sent = sent;
	skb->cb[TAP_CB_PLACE] = place;
	skb->cb[TAP_CB_CUT] = length;
	skb->cb[TAP_CB_DEVICE] = device;
	skb->cb[TAP_CB_TICKET] = ticket;
	return error;
}

/* Whether the frame, or a segment of it, has more bytes than are to be left. */
static __always_inline bool is_longer(const struct shape *shape, const struct headers *headers,
				      __u32 cut)
{
	if (!cut)
		return false;
	if (shape->segment_size && has_known_end(headers))
		return headers->end + shape->segment_size > cut;
	return shape->length > cut;
}

SEC("tap")
int virt_tap(struct __sk_buff *skb)
{
	__u32 slot = tap_destination_slot;
	struct tap_destination *destination;
	struct headers headers = {};
	struct tap_count frame, given;
	struct shape shape;
	__u32 cut = 0, device = 0, relay = 0, flags = 0;
	bool is_cut, by_relay, is_split, is_joined, can_copy;
	long error = -1;

	shape.length = skb->len;
	shape.tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
	shape.segment_size = skb->gso_size;
	if (shape.segment_size || tap_headers_only || tap_sample_flows != 0xffffffff)
		tap_parse(skb, &headers);
	/* Before the clone: afterwards the original may be another buffer. */
	measure(skb, &shape, &headers, &frame);

	/* A copy already, of this tap or another: copied again it would never
	 * end.
	 */
	if ((skb->mark & tap_mark_mask) == tap_mark_value) {
		count(TAP_MARKED, &frame);
		return TC_ACT_UNSPEC;
	}

	if (tap_filters && !tap_filter(skb)) {
		count(TAP_FILTERED, &frame);
		remember(skb, false);
		return TC_ACT_UNSPEC;
	}
	if (tap_once && is_copied_already(skb)) {
		count(TAP_ALREADY_COPIED, &frame);
		return TC_ACT_UNSPEC;
	}
	if ((tap_sample_packets != 0xffffffff && bpf_get_prandom_u32() > tap_sample_packets) ||
	    (tap_sample_flows != 0xffffffff && tap_flow_hash(skb, &headers) > tap_sample_flows)) {
		count(TAP_SAMPLED_OUT, &frame);
		remember(skb, false);
		return TC_ACT_UNSPEC;
	}

	if (tap_headers_only)
		cut = headers.end;
	else if (tap_snaplen)
		cut = tap_snaplen - shape.tag;

	is_cut = is_longer(&shape, &headers, cut);
	destination = bpf_map_lookup_elem(&tap_dests, &slot);
	if (destination) {
		device = destination->ifindex;
		flags = destination->flags;
	}
	/* As with a mark. Nothing else has it any more when it comes from another machine. */
	if (flags & TAP_DESTINATION_ENCAPSULATES && is_own_tunnels(skb, slot)) {
		count(TAP_MARKED, &frame);
		return TC_ACT_UNSPEC;
	}
	by_relay = is_cut || flags & TAP_DESTINATION_ENCAPSULATES ||
		   (tap_finishes && (shape.segment_size || tap_is_unfinished(skb)));
	/* The flag is of TCP's: few devices take other GSO packets. */
	is_split = shape.segment_size && (by_relay || flags & TAP_DESTINATION_SEGMENTS ||
					  headers.protocol != IPPROTO_TCP);
	/* Many segments at once would fill a processor's backlog, in which originals may be, too. So the relay makes
	 * fewer of them, which may be longer than a cut that none was longer than.
	 */
	is_joined = is_split && frame.packets > TAP_SEGMENTS;
	by_relay |= is_joined;
	is_cut |= is_joined && cut;
	if (by_relay)
		relay = relay_device();
	tap_measure_given(&shape, &frame, is_split, &given);
	can_copy = device && (!by_relay || relay) &&
		   (!is_joined || (has_known_end(&headers) && headers.protocol == IPPROTO_TCP));

	/* What cannot be copied takes nothing of the rate. */
	if (can_copy && destination &&
	    !is_within_rates(destination, &shape, &frame, &given, is_cut ? cut : 0)) {
		count(TAP_RATE_LIMITED, &frame);
		remember(skb, false);
		return TC_ACT_UNSPEC;
	}
	if (can_copy && flags & TAP_DESTINATION_ENCAPSULATES)
		device = destination->tunnel;
	if (can_copy && by_relay)
		error = copy_by_relay(skb, relay, device, flags, is_cut, frame.packets);
	else if (can_copy)
		error = copy_to(skb, device, flags & TAP_DESTINATION_RECEIVES ? BPF_F_INGRESS : 0);

	/* Positive codes say that the device's queue, or the relay, refused the copy. */
	count(error ? TAP_ERRORS : TAP_COPIED, &frame);
	if (error) {
		count_destination(TAP_DESTINATION_ERRORS, &frame);
		count_destination(TAP_DESTINATION_WANTED, &given);
	} else if (!by_relay) {
		/* The relay counts what it sends, segment by segment. */
		tap_count_sent(&frame, &given);
	} else if (is_joined) {
		tap_count_joined(shape.length - headers.end, &shape, &frame);
	}
	remember(skb, !error);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
