/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the programs in the kernel and the daemon share: the values of maps,
 * enumerators and limits. bpf/ includes this header and Swift imports it, so each
 * number is written once.
 *
 * The maps are pinned and outlive the daemon. A map whose value size or number of
 * entries differs from what is wanted is created anew, and its contents are lost.
 * So new fields and enumerators come last, numbers are never reused, and a value
 * whose fields change must change its size, too. MapLayoutTests has the layout in
 * literal numbers.
 */
#ifndef CTAPABI_H
#define CTAPABI_H

#include <linux/types.h>

/* --- Counters --- */

/* Packets and bytes as a wire would have carried them; never decreases. */
struct tap_count {
	__u64 packets;
	__u64 bytes;
};

/* What became of a frame. The counters map of an attachment has all of these for
 * inbound, then all of them for outbound.
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

/* What became of copies. The map of destinations' counters has all of these for
 * each slot, one slot after the other.
 */
enum tap_destination_counter {
	/* Copies that left, as the device was given them. */
	TAP_DESTINATION_GIVEN,
	TAP_DESTINATION_ERRORS,
	TAP_DESTINATION_RATE_LIMITED,
	/* Copies that were too large for the path, by what became of them. */
	TAP_DESTINATION_FRAGMENTED,
	TAP_DESTINATION_TRUNCATED,
	TAP_DESTINATION_OVERSIZED,
	/* How much less was given than a wire would have carried: bytes that were truncated; of GSO
	 * packets that were given unsegmented, the headers of each further segment; of GSO packets
	 * of which fewer segments were made, the missing segments and their headers.
	 */
	TAP_DESTINATION_SPARED,
	/* What the device would have been given if there had been no error. */
	TAP_DESTINATION_WANTED,
	/* Not a count: "packets" is the time of the latest error, in nanoseconds since boot. */
	TAP_DESTINATION_LAST_ERROR,
	TAP_DESTINATION_COUNTERS,
};

/* --- Rates --- */

/* Rates count time in units of 2^-TAP_TIME_SHIFT nanoseconds. */
#define TAP_TIME_SHIFT	     6
/* One frame is charged at most 2^TAP_RATE_UNITS_SHIFT packets or bytes. */
#define TAP_RATE_UNITS_SHIFT 20
/* tap_limit.cost is below 2^TAP_RATE_COST_SHIFT, so that the product fits 64 bits. */
#define TAP_RATE_COST_SHIFT  43

/* A rate, as the time that each unit takes. */
struct tap_limit {
	__u64 cost;  /* of one unit, times 2^shift; 0: no limit */
	__u64 depth; /* how much time may be used at once */
	__u32 shift;
	__u32 is_packets; /* the unit: 1 for packets, 0 for bytes */
};

/* --- Destinations --- */

/* How many destinations a host can have at a time: the number of slots. A power of two. */
#define TAP_DESTINATIONS       1024
#define TAP_LABEL_SIZE	       96
#define TAP_DESTINATION_COUNTS (TAP_DESTINATIONS * TAP_DESTINATION_COUNTERS)

/* tap_destination.flags: copies are handed to the device as if it had received them. */
#define TAP_DESTINATION_RECEIVES     1
/* Copies go through the relay, which encapsulates them as the slot's tunnel says. */
#define TAP_DESTINATION_ENCAPSULATES 2
/* The device cannot take GSO packets: the kernel segments them in front of it. */
#define TAP_DESTINATION_SEGMENTS     4

/* A slot of the destinations map. It is free while the label is empty. */
struct tap_destination {
	__u32 ifindex; /* 0: nowhere at the moment */
	__u32 kind;    /* for user space only */
	__u32 flags;
	__u32 tunnel; /* tap_tunnel.number of the same slot, if copies are encapsulated */
	struct tap_limit limit;
	char label[TAP_LABEL_SIZE]; /* for user space only; padded with NUL */
};

/* --- Encapsulation --- */

#define TAP_HEADER_SIZE 78

/* tap_header.user[0]: the path is one of the remote's own, and not the default route.
 * Never to mean anything else: the next daemon reads it.
 */
#define TAP_HEADER_OWN_PATH 1

/* Outer headers. What follows the Ethernet header is at a multiple of four. */
struct tap_header {
	__u8 user[2]; /* for user space only */
	__u8 bytes[TAP_HEADER_SIZE];
} __attribute__((aligned(8)));

enum tap_tunnel_kind {
	TAP_TUNNEL_UDP = 1, /* VXLAN, Geneve */
	TAP_TUNNEL_GRE,
	TAP_TUNNEL_ERSPAN_II,
	TAP_TUNNEL_ERSPAN_III,
};

/* What becomes of copies that do not fit the path. */
enum tap_oversize {
	TAP_OVERSIZE_FRAGMENT,
	TAP_OVERSIZE_TRUNCATE,
	TAP_OVERSIZE_DROP,
};

/* How copies are encapsulated for a destination on another machine; with a length
 * of 0, how long they may be for a destination on this one.
 */
struct tap_tunnel {
	/* Ethernet, IP and the tunnel's own header; 0 where they differ from copy to copy. */
	struct tap_header header;
	__u32 length;	/* of the header, in bytes */
	__u32 kind;	/* enum tap_tunnel_kind */
	__u32 is_ipv6;	/* the outer IP header */
	__u32 mtu;	/* of the path: bytes of an IP packet */
	__u32 room;	/* the longest frame that fits one packet, in bytes */
	__u32 oversize; /* enum tap_oversize */
	/* The word of the header that holds the VNI, key or session, for inbound and outbound. */
	__be32 identifiers[2];
	/* The real-time clock less the monotonic clock, in nanoseconds. */
	__u64 clock_offset;
	/* Tells the owners of a slot apart: a copy for a former owner of the slot has another
	 * number. Not an identifier that is sent.
	 */
	__u32 number;
	__u32 ifindex; /* of the device that sends the packets */
};

/* The buffer in which checksums are computed: a multiple of four, as bpf_csum_diff wants it. */
#define TAP_SUM_SIZE 512

struct tap_sum_buffer {
	__u8 bytes[TAP_SUM_SIZE];
};

/* --- The relay --- */

/* Our device that receives copies to be truncated, to be encapsulated or to have
 * offloads resolved.
 */
struct tap_relay {
	__u32 ifindex; /* 0: there is none */
};

/* Where copies are segmented, a GSO packet of TCP that has more segments than this is
 * resegmented into at most this many; such a packet of any other protocol is not
 * copied. Rates and limits count it as this many packets, since what a guest only
 * claims would use them up. docs/reference/metadata.md and docs/explanation/security.md mention the number.
 */
#define TAP_SEGMENTS 128

/* How many segments may wait in a processor's backlog. It holds as many frames as
 * net.core.netdev_max_backlog says, 1,000 by default, which "virt-tap doctor" checks.
 * When the first segment of a GSO packet comes out, the whole packet counts as
 * settled; and where the destination is a veth, what came out goes through the backlog
 * once more. So copies use at most twice this and two GSO packets more.
 */
#define TAP_BACKLOG_SHARE   250
#define TAP_BACKLOG_DEFAULT 1000
/* In jiffies (one to ten seconds), after the last segments were sent: none waits as long. */
#define TAP_BACKLOG_LOST    1000
#define TAP_BACKLOGS	    1024

struct tap_backlog {
	__u32 sent;	 /* segments; wraps */
	__u32 settled;	 /* how many of them no longer wait */
	__u64 jiffies;	 /* when the last were sent */
	__u64 unused[6]; /* a cache line for each CPU */
};

/* --- once="yes" --- */

#define TAP_ONCE_WORDS 5

/* The last frame that a tap with once="yes" sent out on this CPU. Its bytes after the
 * MAC addresses, which include its IP header, identify it.
 */
struct tap_last_copy {
	__u32 ifindex; /* of the device that it came in by; 0: none */
	__u32 length;
	__u64 begin[TAP_ONCE_WORDS];
	__u64 jiffies;
	__u64 is_copied;
};

/* --- Filters --- */

/* The number of a helper function that no kernel has. The loader replaces the call of
 * it by a call of the tap's filter.
 */
#define TAP_FILTER_CALL 0x76740001

/* --- Layout --- */

_Static_assert(2 * TAP_BACKLOG_SHARE + 2 * TAP_SEGMENTS < TAP_BACKLOG_DEFAULT,
	       "originals have room in the backlog");
_Static_assert((TAP_DESTINATIONS & (TAP_DESTINATIONS - 1)) == 0, "a slot is masked");
_Static_assert(TAP_RATE_UNITS_SHIFT + TAP_RATE_COST_SHIFT < 64, "what a frame costs");
_Static_assert(sizeof(struct tap_count) == 16 && sizeof(struct tap_limit) == 24,
	       "counts and limits");
_Static_assert(sizeof(struct tap_destination) == 136 &&
		       __builtin_offsetof(struct tap_destination, tunnel) == 12 &&
		       __builtin_offsetof(struct tap_destination, limit) == 16 &&
		       __builtin_offsetof(struct tap_destination, label) == 40,
	       "a destination");
_Static_assert(sizeof(struct tap_header) == 80 && __builtin_offsetof(struct tap_header, bytes) == 2,
	       "outer headers");
_Static_assert(sizeof(struct tap_tunnel) == 128 &&
		       __builtin_offsetof(struct tap_tunnel, length) == 80 &&
		       __builtin_offsetof(struct tap_tunnel, identifiers) == 104 &&
		       __builtin_offsetof(struct tap_tunnel, clock_offset) == 112 &&
		       __builtin_offsetof(struct tap_tunnel, number) == 120,
	       "how copies are encapsulated");
_Static_assert(sizeof(struct tap_relay) == 4 && sizeof(struct tap_sum_buffer) == 512, "the relay");
_Static_assert(sizeof(struct tap_backlog) == 64, "a cache line for each CPU");
_Static_assert(sizeof(struct tap_last_copy) == 64 &&
		       __builtin_offsetof(struct tap_last_copy, is_copied) == 56,
	       "the last copy");

#endif
