// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Changes copies behind the clone, on a device of ours, and sends them on to
 * their destination. It never meets an original.
 *
 * A copy that cannot be cut as it was asked for is dropped and counted: what
 * was to be left out must not get out.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "destinations.h"
#include "headers.h"
#include "hops.h"

/* Whether the program that cloned cannot be told what becomes of the copy: errors are counted here. */
const volatile __u32 hop_counts = 0;

static __always_inline void count(__u32 slot, enum tap_destination_counter which, __u32 bytes)
{
	struct tap_count frame = {.packets = 1, .bytes = bytes};

	add(&tap_dest_counts, slot * TAP_DESTINATION_COUNTERS + which, &frame);
}

/*
 * Lets the kernel finish the checksum of what it does not cut before that, and
 * cuts it then.
 */
static __always_inline long finish(struct __sk_buff *skb, __u32 place, __u32 cut)
{
	__u32 key = TAP_HOP_SEGMENT;
	struct tap_hop_state *hop = bpf_map_lookup_elem(&tap_hops, &key);
	long error;

	if (!hop || !hop->ifindex || !may_wait(hop, 1))
		return -1;
	skb->cb[TAP_CB_PLACE] = place;
	skb->cb[TAP_CB_CUT] = cut;
	error = bpf_clone_redirect(skb, hop->ifindex, 0);
	if (error)
		__sync_fetch_and_sub(&hop->waiting, 1);
	return error;
}

SEC("tap")
int virt_tap_hop(struct __sk_buff *skb)
{
	__u32 place = skb->cb[TAP_CB_PLACE], cut = skb->cb[TAP_CB_CUT];
	__u32 device = skb->cb[TAP_CB_DEVICE], key = TAP_HOP_SEGMENT;
	__u32 length = skb->len;
	__u32 bytes = length + (skb->vlan_present ? VLAN_TAG_LEN : 0);
	__u32 slot = place & TAP_CB_SLOT;
	struct tap_hop_state *hop;
	struct headers headers;
	bool has_number;
	long error = 0;

	/* Not sent here by a tap, or for the second time. */
	if ((place & ~TAP_CB_SLOT) != TAP_CB_MAGIC)
		return TC_ACT_SHOT;
	skb->cb[TAP_CB_PLACE] = 0;
	if (hop_counts) {
		hop = bpf_map_lookup_elem(&tap_hops, &key);
		if (hop)
			came_out(hop);
	}
	has_number = cut;
	if (!has_number) {
		tap_parse(skb, &headers);
		cut = headers.end;
	}
	if (length > cut)
		error = bpf_skb_change_tail(skb, cut, 0);
	if (error && has_number && !hop_counts)
		return finish(skb, place, cut) ? TC_ACT_SHOT : TC_ACT_STOLEN;
	/* Not a redirect: nobody would tell what became of it. */
	if (!error)
		error = bpf_clone_redirect(skb, device, 0);
	/* An error at once is told to the tap's program, which counts it. */
	if (!error)
		count(slot, TAP_DESTINATION_SENT, bytes);
	else if (hop_counts)
		count(slot, TAP_DESTINATION_ERRORS, bytes);
	return error ? TC_ACT_SHOT : TC_ACT_STOLEN;
}

char _license[] SEC("license") = "Dual BSD/GPL";
