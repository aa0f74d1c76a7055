/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * once="yes": a frame that such a tap has copied on its way into this host is not
 * copied to the same destination on its way out.
 *
 * Between two guests on one bridge a frame is handed on by the CPU that took it in,
 * without a pause: what that CPU's last such tap did, it did with this frame, if they
 * are the same. A frame that a program ahead of that tap has hidden from it is another.
 */
#ifndef VIRT_TAP_ONCE_H
#define VIRT_TAP_ONCE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "maps.h"

/* Reads the bytes that identify a frame; false: it is too short, and is never the same. */
static __always_inline bool load_identity(struct __sk_buff *skb, __u64 begin[TAP_ONCE_WORDS])
{
	return !bpf_skb_load_bytes(skb, 2 * ETH_ALEN, begin, TAP_ONCE_WORDS * sizeof(begin[0]));
}

static __always_inline bool is_same_frame(const struct tap_last_copy *last, __u32 ifindex,
					  __u32 length, const __u64 begin[TAP_ONCE_WORDS])
{
	__u64 difference = 0;

	for (int i = 0; i < TAP_ONCE_WORDS; i++)
		difference |= last->begin[i] ^ begin[i];
	return !difference && last->ifindex == ifindex && last->length == length &&
	       bpf_jiffies64() - last->jiffies <= 1;
}

/* Whether this inbound frame has been copied to the destination as an outbound one. */
static __always_inline bool is_copied_already(struct __sk_buff *skb, __u32 slot)
{
	__u64 begin[TAP_ONCE_WORDS];
	struct tap_last_copy *last = bpf_map_lookup_elem(&tap_last, &slot);

	return last && last->is_copied && load_identity(skb, begin) &&
	       is_same_frame(last, skb->ingress_ifindex, skb->len, begin);
}

/* Remembers what became of an outbound frame. */
static __always_inline void remember_outbound(struct __sk_buff *skb, __u32 slot, bool is_copied)
{
	__u64 begin[TAP_ONCE_WORDS];
	struct tap_last_copy *last = bpf_map_lookup_elem(&tap_last, &slot);
	__u32 ifindex, length;

	if (!last || !load_identity(skb, begin))
		return;
	ifindex = skb->ifindex;
	length = skb->len;
	/* Another tap of this device may have copied it to the same destination. */
	if (last->is_copied && is_same_frame(last, ifindex, length, begin))
		return;
	last->ifindex = ifindex;
	last->length = length;
	for (int i = 0; i < TAP_ONCE_WORDS; i++)
		last->begin[i] = begin[i];
	last->jiffies = bpf_jiffies64();
	last->is_copied = is_copied;
}

#endif
