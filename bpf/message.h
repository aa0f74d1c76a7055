/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a copy on its way to the relay carries in skb->cb: what is to become of it.
 * The five words are packed and unpacked here and nowhere else.
 *
 * After an upgrade the former build's taps send copies to the new build's relay
 * until the daemon has replaced them: the packed form must stay as it is.
 *
 *     word  a copy                                a fragment
 *     0     magic number, flags, slot             the same
 *     1     snap length                           checksum or VLAN tag, truncated
 *     2     device, or tap_tunnel.number          tap_tunnel.number
 *     3     segments; after departure its ticket  index, number of fragments
 *     4     after departure the CPU of the ticket identification
 *
 * The slot alone does not say what becomes of a copy: for a moment the relay may know
 * another table of destinations than the program that cloned.
 */
#ifndef VIRT_TAP_MESSAGE_H
#define VIRT_TAP_MESSAGE_H

#include <linux/bpf.h>
#include <stdbool.h>

#include "CTapABI.h"

#define MESSAGE_MAGIC	     0x76740000
#define MESSAGE_SLOT	     (TAP_DESTINATIONS - 1)
#define MESSAGE_RECEIVES     0x00008000
#define MESSAGE_ENCAPSULATES 0x00004000
#define MESSAGE_OUTBOUND     0x00002000
#define MESSAGE_FRAGMENT     0x00001000
#define MESSAGE_RESOLVES     0x00000800
#define MESSAGE_FLAGS	     0x0000f800

_Static_assert((MESSAGE_FLAGS & MESSAGE_SLOT) == 0 &&
		       ((MESSAGE_SLOT | MESSAGE_FLAGS) & MESSAGE_MAGIC) == 0,
	       "magic number, flags and slot are different bits");
_Static_assert((MESSAGE_RECEIVES | MESSAGE_ENCAPSULATES | MESSAGE_OUTBOUND | MESSAGE_FRAGMENT |
		MESSAGE_RESOLVES) == MESSAGE_FLAGS,
	       "all flags");

/* How much of a copy is left. In the packed form: 0 for headers, all ones for all. */
enum snap {
	SNAP_WHOLE,   /* all of it is left */
	SNAP_HEADERS, /* its headers, wherever they end */
	SNAP_BYTES,
};

struct copy_message {
	__u32 slot;
	/* Copies are handed to the device as if it had received them. */
	bool receives;
	bool encapsulates;
	/* Checksums are filled in and GSO packets segmented so that they fit, for a device of this
	 * host.
	 */
	bool resolves_offloads;
	/* The guest sent it. */
	bool is_outbound;
	enum snap snap;
	/* For SNAP_BYTES: how many bytes are left, the VLAN tag in skb metadata included. */
	__u32 snap_length;
	/* The ifindex of the device that it is for; if it is encapsulated, tap_tunnel.number. */
	__u32 device;
	/* How many segments it will be, at most. */
	__u32 segments;
};

/* One fragment of an outer packet, to be made of a copy that is too large for the path. */
struct fragment_message {
	__u32 slot;
	bool is_outbound;
	/* The frame's checksum for UDP over IPv6; else the outermost VLAN tag, for ERSPAN. */
	__u32 sum_or_vlan;
	bool is_truncated;
	/* tap_tunnel.number */
	__u32 tunnel;
	__u32 index;
	__u32 count;
	__u32 id;
};

static __always_inline void pack_copy(struct __sk_buff *skb, const struct copy_message *copy)
{
	skb->cb[0] = MESSAGE_MAGIC | copy->slot | (copy->receives ? MESSAGE_RECEIVES : 0) |
		     (copy->encapsulates ? MESSAGE_ENCAPSULATES : 0) |
		     (copy->resolves_offloads ? MESSAGE_RESOLVES : 0) |
		     (copy->is_outbound ? MESSAGE_OUTBOUND : 0);
	skb->cb[1] = copy->snap == SNAP_WHOLE	  ? 0xffffffff
		     : copy->snap == SNAP_HEADERS ? 0
						  : copy->snap_length;
	skb->cb[2] = copy->device;
	skb->cb[3] = copy->segments;
}

/* False: no tap sent this, or it was here before. */
static __always_inline bool unpack_copy(struct __sk_buff *skb, struct copy_message *copy)
{
	__u32 word = skb->cb[0];

	copy->slot = word & MESSAGE_SLOT;
	copy->receives = word & MESSAGE_RECEIVES;
	copy->encapsulates = word & MESSAGE_ENCAPSULATES;
	copy->resolves_offloads = word & MESSAGE_RESOLVES;
	copy->is_outbound = word & MESSAGE_OUTBOUND;
	copy->snap_length = skb->cb[1];
	copy->snap = copy->snap_length == 0xffffffff ? SNAP_WHOLE
		     : copy->snap_length	     ? SNAP_BYTES
						     : SNAP_HEADERS;
	copy->device = skb->cb[2];
	copy->segments = skb->cb[3];
	return (word & ~(MESSAGE_SLOT | MESSAGE_FLAGS)) == MESSAGE_MAGIC;
}

/* Whether the message is a fragment's; the slot and the device are at the same places. */
static __always_inline bool is_fragment_message(const struct __sk_buff *skb)
{
	return skb->cb[0] & MESSAGE_FRAGMENT;
}

static __always_inline void pack_fragment(struct __sk_buff *skb,
					  const struct fragment_message *fragment)
{
	skb->cb[0] = MESSAGE_MAGIC | MESSAGE_FRAGMENT | MESSAGE_ENCAPSULATES | fragment->slot |
		     (fragment->is_outbound ? MESSAGE_OUTBOUND : 0);
	skb->cb[1] = fragment->sum_or_vlan | fragment->is_truncated << 16;
	skb->cb[2] = fragment->tunnel;
	skb->cb[3] = fragment->index << 16 | fragment->count;
	skb->cb[4] = fragment->id;
}

static __always_inline void unpack_fragment(const struct __sk_buff *skb,
					    struct fragment_message *fragment)
{
	__u32 word = skb->cb[0], sum = skb->cb[1], part = skb->cb[3];

	fragment->slot = word & MESSAGE_SLOT;
	fragment->is_outbound = word & MESSAGE_OUTBOUND;
	fragment->sum_or_vlan = sum & 0xffff;
	fragment->is_truncated = sum >> 16;
	fragment->tunnel = skb->cb[2];
	fragment->index = part >> 16;
	fragment->count = part & 0xffff;
	fragment->id = skb->cb[4];
}

/* Replaces the number of segments by the ticket of backlog.h. */
static __always_inline void pack_ticket(struct __sk_buff *skb, __u32 ticket, __u32 cpu)
{
	skb->cb[3] = ticket;
	skb->cb[4] = cpu;
}

static __always_inline __u32 ticket_of(const struct __sk_buff *skb)
{
	return skb->cb[3];
}

static __always_inline __u32 ticket_cpu_of(const struct __sk_buff *skb)
{
	return skb->cb[4];
}

/* What leaves us is no message any more. */
static __always_inline void clear_message(struct __sk_buff *skb)
{
	skb->cb[0] = 0;
}

/* What pack_copy overwrites, which is the original's. */
struct saved_words {
	__u32 words[4];
};

static __always_inline struct saved_words save_words(const struct __sk_buff *skb)
{
	return (struct saved_words){{skb->cb[0], skb->cb[1], skb->cb[2], skb->cb[3]}};
}

static __always_inline void restore_words(struct __sk_buff *skb, const struct saved_words *saved)
{
	skb->cb[0] = saved->words[0];
	skb->cb[1] = saved->words[1];
	skb->cb[2] = saved->words[2];
	skb->cb[3] = saved->words[3];
}

#endif
