/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the copying program and user space share: the layout of the maps.
 *
 * The maps are pinned and outlive the daemon. One of another size is made anew,
 * so a value whose fields change must change its size, too. Swift's half is
 * MapLayout.swift; the loader compares the two before it loads anything.
 */
#ifndef VIRT_TAP_TAP_H
#define VIRT_TAP_TAP_H

#include <linux/types.h>

/* What became of a frame. An attachment's map has these for inbound first,
 * then for outbound.
 */
enum tap_counter {
	TAP_COPIED,
	TAP_FILTERED,
	TAP_SAMPLED_OUT,
	TAP_RATE_LIMITED,
	TAP_ERRORS,
	TAP_MARKED,
	TAP_ALREADY_COPIED,
	TAP_COUNTERS,
};

enum tap_destination_counter {
	/* Copies that left, as the device was given them. */
	TAP_DESTINATION_GIVEN,
	TAP_DESTINATION_ERRORS,
	TAP_DESTINATION_RATE_LIMITED,
	/* Copies that were too large for the path; by what became of them. */
	TAP_DESTINATION_FRAGMENTED,
	TAP_DESTINATION_TRUNCATED,
	TAP_DESTINATION_OVERSIZED,
	/* How much less that was than a wire would have carried of the frames: what was cut off, and of GSO packets
	 * that were given as they are the headers that each segment will have; and of those of which fewer segments were
	 * made these that were not, with their headers.
	 */
	TAP_DESTINATION_SPARED,
	/* Of errors: what the device would have been given. */
	TAP_DESTINATION_WANTED,
	/* No count: when the latest error was, as nanoseconds since boot in the place of packets. */
	TAP_DESTINATION_LAST_ERROR,
	TAP_DESTINATION_COUNTERS,
};

/* As a wire would have carried them; never decreases. */
struct tap_count {
	__u64 packets;
	__u64 bytes;
};

/* Time is counted in 2^-TAP_TIME_SHIFT nanoseconds. */
#define TAP_TIME_SHIFT 6

/* A rate, as the time that a packet or a byte of it takes. */
struct tap_limit {
	__u64 cost;  /* of one unit, times 2^shift; 0: no limit */
	__u64 depth; /* what may come at once */
	__u32 shift;
	__u32 is_packets; /* the unit: 1 packets, 0 bytes */
};

#define TAP_DESTINATIONS       1024
#define TAP_LABEL_SIZE	       96
/* Each destination has all of enum tap_destination_counter, one after the other. */
#define TAP_DESTINATION_COUNTS (TAP_DESTINATIONS * TAP_DESTINATION_COUNTERS)

/* Of a GSO packet of TCP of more segments than this fewer are made, where copies are cut, finished, wrapped, or for
 * a device that takes no GSO packets; one of anything else is not copied. It counts as so many for rates and
 * limits: what a guest only claims would use them up. docs/reference/metadata.md and docs/explanation/security.md say the number.
 */
#define TAP_SEGMENTS 128

/* The device of ours to which copies are sent that are to be cut, wrapped or finished. */
struct tap_relay {
	__u32 ifindex; /* 0: there is none */
};

/* How many segments may wait in a processor's backlog, which holds as many frames as
 * net.core.netdev_max_backlog says, 1,000 where nobody changed it (doctor looks). When the
 * first of a GSO packet comes out all count as settled; and where the
 * destination is a veth, what came out goes through it once more. So copies
 * take at most twice this and two GSO packets more.
 */
#define TAP_BACKLOG_SHARE 250
/* Ticks (one to ten seconds) after the last that was sent: nothing waits so long. */
#define TAP_BACKLOG_LOST  1000
#define TAP_BACKLOGS	  1024

struct tap_backlog {
	__u32 sent;	 /* segments; wraps */
	__u32 settled;	 /* of these: no longer waiting */
	__u64 jiffies;	 /* when the last were sent */
	__u64 unused[6]; /* a cache line for each CPU */
};

/* Copies are handed to the device as if they had come in by it. */
#define TAP_DESTINATION_RECEIVES 1
/* Copies go by the relay, which wraps them as the tunnels map says for this place. */
#define TAP_DESTINATION_WRAPS	 2
/* The device cannot take GSO packets: the kernel makes segments of them in front of it. */
#define TAP_DESTINATION_SPLITS	 4

/* A place in the destinations map; free while the label is empty. */
struct tap_destination {
	__u32 ifindex; /* 0: nowhere at the moment */
	__u32 kind;    /* for user space only */
	__u32 flags;
	__u32 tunnel; /* the tunnel's number, where copies are wrapped */
	struct tap_limit limit;
	char label[TAP_LABEL_SIZE]; /* for user space only; NUL-padded */
};

#define TAP_HEADER_SIZE 78

/* Outer headers; what is behind the Ethernet header is then at a multiple of four. */
struct tap_header {
	__u16 unused;
	__u8 bytes[TAP_HEADER_SIZE];
} __attribute__((aligned(8)));

enum tap_tunnel_kind {
	TAP_TUNNEL_UDP = 1, /* VXLAN, Geneve */
	TAP_TUNNEL_GRE,
	TAP_TUNNEL_ERSPAN_II,
	TAP_TUNNEL_ERSPAN_III,
};

enum tap_oversize {
	TAP_OVERSIZE_FRAGMENT,
	TAP_OVERSIZE_TRUNCATE,
	TAP_OVERSIZE_DROP,
};

/* How copies are wrapped for a destination on another machine; or, with no length, how long they may be on this one. */
struct tap_tunnel {
	/* Ethernet, IP and what the tunnel has besides; 0 where it differs from copy to copy. */
	struct tap_header header;
	__u32 length;	/* of the header, in bytes */
	__u32 kind;	/* enum tap_tunnel_kind */
	__u32 is_ipv6;	/* outside */
	__u32 mtu;	/* of the path: bytes of an IP packet */
	__u32 room;	/* how long a frame may be that fits into one of them */
	__u32 oversize; /* enum tap_oversize: what becomes of others */
	/* As the header has it at its place: for inbound and outbound. */
	__be32 identifiers[2];
	/* What the monotonic clock lacks of the real one: nanoseconds. */
	__u64 clock_offset;
	/* Whose it is: a copy for another that has had this place is dropped. */
	__u32 number;
	__u32 ifindex; /* of the device that takes the packets */
};

/* The number of a helper function that no kernel has: the place of the filter. */
#define TAP_FILTER_CALL 0x76740001

/* What a copy on its way to the relay has in cb: the destination's slot with the
 * magic number, how many bytes of it are to be left, its tag included (0: its
 * headers), and the device that it is for. Not the slot decides that: for a
 * moment the relay may know another table of destinations than the program that
 * cloned. Then how many segments it will be, and past the sending end its
 * ticket and the CPU that gave it: see backlog.h.
 */
#define TAP_CB_MAGIC	0x76740000
#define TAP_CB_SLOT	(TAP_DESTINATIONS - 1)
/* That copies are handed to the device as if they had come in by it. */
#define TAP_CB_RECEIVES 0x00008000
/* That they are wrapped. */
#define TAP_CB_WRAPS	0x00004000
/* That the guest sent it. */
#define TAP_CB_OUTBOUND 0x00002000
/* A copy of one that is too large, to be made one fragment. Then its other words say which. */
#define TAP_CB_FRAGMENT 0x00001000
/* That its checksum is filled in, and a GSO packet becomes segments that fit, for a device of this host. */
#define TAP_CB_FINISHES 0x00000800
#define TAP_CB_FLAGS	0x0000f800
#define TAP_CB_PLACE	0
#define TAP_CB_CUT	1
#define TAP_CB_DEVICE	2
#define TAP_CB_TICKET	3
#define TAP_CB_CPU	4
/* For a cut of nothing. */
#define TAP_UNCUT	0xffffffff
/* Of fragments: the sum of the frame; which one of how many; the packet's number. */
#define TAP_CB_SUM	1
#define TAP_CB_PART	3
#define TAP_CB_ID	4
/* A copy that would be more fragments is too large. */
#define TAP_FRAGMENTS	8

/* What the numbers above take for granted. Sizes and places are in MapLayout.swift and TunnelEntry.swift, too. */
_Static_assert((TAP_DESTINATIONS & TAP_CB_SLOT) == 0, "a slot is masked");
_Static_assert(((TAP_CB_SLOT | TAP_CB_FLAGS) & TAP_CB_MAGIC) == 0 &&
		       (TAP_CB_SLOT & TAP_CB_FLAGS) == 0,
	       "cb's first word");
_Static_assert((TAP_CB_FLAGS & (TAP_CB_RECEIVES | TAP_CB_WRAPS | TAP_CB_OUTBOUND | TAP_CB_FRAGMENT |
				TAP_CB_FINISHES)) ==
		       (TAP_CB_RECEIVES + TAP_CB_WRAPS + TAP_CB_OUTBOUND + TAP_CB_FRAGMENT +
			TAP_CB_FINISHES),
	       "flags are different bits");
_Static_assert(2 * TAP_BACKLOG_SHARE + 2 * TAP_SEGMENTS < 1000,
	       "originals have room in the backlog");
_Static_assert(sizeof(struct tap_count) == 16 && sizeof(struct tap_limit) == 24,
	       "counts and limits");
_Static_assert(sizeof(struct tap_destination) == 136 &&
		       __builtin_offsetof(struct tap_destination, tunnel) == 12 &&
		       __builtin_offsetof(struct tap_destination, limit) == 16 &&
		       __builtin_offsetof(struct tap_destination, label) == 40,
	       "a destination");
_Static_assert(sizeof(struct tap_tunnel) == 128 &&
		       __builtin_offsetof(struct tap_tunnel, length) == 80 &&
		       __builtin_offsetof(struct tap_tunnel, identifiers) == 104 &&
		       __builtin_offsetof(struct tap_tunnel, clock_offset) == 112 &&
		       __builtin_offsetof(struct tap_tunnel, number) == 120,
	       "how copies are wrapped");
_Static_assert(sizeof(struct tap_backlog) == 64, "a cache line for each CPU");

#define TAP_ONCE_WORDS 5

/* The last frame that a tap with once="yes" sent out on this CPU: what it began
 * with behind the MAC addresses, which has its IP header and more.
 */
struct tap_last_copy {
	__u32 ifindex; /* of the device that it came in by; 0: none */
	__u32 length;
	__u64 begin[TAP_ONCE_WORDS];
	__u64 jiffies;
	__u64 is_copied;
};

_Static_assert(sizeof(struct tap_last_copy) == 64, "the last copy");

#endif
