// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Changes copies behind the clone, on a veth pair of ours, and sends them on to
 * their destination. It never meets an original.
 *
 * It runs twice: where copies leave the sending end, and where they arrive at
 * the other. What can be cut is cut at once, within the call that cloned it, so
 * that the tap's program is told of errors. A super-packet cut there would be
 * one short frame for forty, and the kernel cuts nothing in front of a checksum
 * that is still to be filled in. Those go on: the sending end can do nothing by
 * itself, so the kernel makes segments of them and fills the checksum in, and
 * each segment is cut where it arrives.
 *
 * A copy that cannot be cut as it was asked for is dropped and counted: what
 * was to be left out must not get out.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "backlog.h"
#include "destinations.h"
#include "headers.h"

/* Whether this is the end where copies arrive. Nobody can be told of errors there, so they are counted. */
const volatile __u32 hop_is_arrival = 0;

static __always_inline void count(__u32 slot, enum tap_destination_counter which, __u32 bytes)
{
	struct tap_count frame = {.packets = 1, .bytes = bytes};

	add(&tap_dest_counts, slot * TAP_DESTINATION_COUNTERS + which, &frame);
}

SEC("tap")
int virt_tap_hop(struct __sk_buff *skb)
{
	__u32 place = skb->cb[TAP_CB_PLACE], cut = skb->cb[TAP_CB_CUT];
	__u32 device = skb->cb[TAP_CB_DEVICE], ticket = skb->cb[TAP_CB_TICKET];
	__u32 cpu = skb->cb[TAP_CB_CPU];
	__u32 length = skb->len, segment_size = skb->gso_size;
	__u32 tag = skb->vlan_present ? VLAN_TAG_LEN : 0;
	__u32 slot = place & TAP_CB_SLOT;
	__u64 flags = place & TAP_CB_RECEIVES ? BPF_F_INGRESS : 0;
	struct headers headers;
	bool has_number = cut;
	long error = 0;

	/* Not sent here by a tap, or for the second time. */
	if ((place & ~(TAP_CB_SLOT | TAP_CB_RECEIVES)) != TAP_CB_MAGIC)
		return TC_ACT_SHOT;
	if (hop_is_arrival)
		settle(cpu, ticket);
	else if (segment_size)
		/* The tap has said how many segments it will be. */
		return may_wait(skb, ticket) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
	/* Somebody has given the sending end its offloads back. */
	if (segment_size)
		error = -1;

	if (has_number) {
		cut -= tag;
	} else {
		tap_parse(skb, &headers);
		cut = headers.end;
	}
	if (!error && length > cut)
		error = bpf_skb_change_tail(skb, cut, 0);
	if (error && has_number && !hop_is_arrival)
		return may_wait(skb, 1) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
	skb->cb[TAP_CB_PLACE] = 0;
	/* Not a redirect: nobody would tell what became of it. */
	if (!error)
		error = bpf_clone_redirect(skb, device, flags);
	/* An error at once is told to the tap's program, which counts it. */
	if (!error)
		count(slot, TAP_DESTINATION_SENT, length + tag);
	else if (hop_is_arrival)
		count(slot, TAP_DESTINATION_ERRORS, length + tag);
	return error ? TC_ACT_SHOT : TC_ACT_STOLEN;
}

char _license[] SEC("license") = "Dual BSD/GPL";
