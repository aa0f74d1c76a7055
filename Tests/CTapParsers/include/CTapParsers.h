/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The parsers of bpf/, compiled for this machine: for unit tests and the fuzzer. */
#ifndef CTAPPARSERS_H
#define CTAPPARSERS_H

#include <stdbool.h>
#include <stddef.h>

#include "CTapABI.h"

/* struct headers of bpf/headers.h; the type is in host byte order. */
struct parsed_headers {
	__u32 network;
	__u32 transport;
	__u32 end;
	__u32 type;
	__u32 protocol;
	__u32 flow_protocol;
	bool is_fragment;
	bool has_transport;
};

struct parsed_headers parse_frame(const __u8 *frame, size_t length);
__u32 hash_flow(const __u8 *frame, size_t length);
/* Whether the frame is, or has in it, a packet of this tunnel. */
bool carries_tunnel(const __u8 *frame, size_t length, const struct tap_tunnel *tunnel);
/* Encapsulates a frame as the relay does with complete copies; returns the length of what
 * is in packet then, which has room bytes. Negative: it is not possible.
 */
long encapsulate_frame(const __u8 *frame, size_t length, const struct tap_tunnel *tunnel,
		       bool is_outbound, __u8 *packet, size_t room);

/* What message.h makes of a copy: what a tap packs, and what the relay unpacks from that. */
struct packed_copy {
	__u32 words[5];
	bool is_message;
	bool is_same;
};

/* snap_length is 0 for all of the frame, and 0xffffffff for its headers. */
struct packed_copy pack_and_unpack(__u32 slot, __u32 device, __u32 segments, __u32 snap_length,
				   bool receives, bool encapsulates, bool resolves_offloads,
				   bool is_outbound);

#endif
