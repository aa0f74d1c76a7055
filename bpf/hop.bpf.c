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

#define VLAN_TAG_LEN 4

/* Whether the program that cloned can not be told what becomes of the copy. */
const volatile __u32 hop_counts = 0;

static __always_inline void count(__u32 slot, enum tap_destination_counter which, __u32 bytes)
{
	struct tap_count frame = {.packets = 1, .bytes = bytes};

	if (hop_counts)
		add(&tap_dest_counts, slot * TAP_DESTINATION_COUNTERS + which, &frame);
}

SEC("tap")
int virt_tap_hop(struct __sk_buff *skb)
{
	__u32 place = skb->cb[TAP_CB_PLACE], cut = skb->cb[TAP_CB_CUT];
	__u32 bytes = skb->len + (skb->vlan_present ? VLAN_TAG_LEN : 0);
	__u32 slot = place & TAP_CB_SLOT;
	struct tap_destination *destination;

	/* Not sent here by a tap. */
	if ((place & ~TAP_CB_SLOT) != TAP_CB_MAGIC)
		return TC_ACT_SHOT;
	destination = bpf_map_lookup_elem(&tap_dests, &slot);
	if (!destination || !destination->ifindex || destination->flags & TAP_DESTINATION_DOWN ||
	    (skb->len > cut && bpf_skb_change_tail(skb, cut, 0))) {
		count(slot, TAP_DESTINATION_ERRORS, bytes);
		return TC_ACT_SHOT;
	}
	count(slot, TAP_DESTINATION_SENT, bytes);
	return bpf_redirect(destination->ifindex, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
