/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "CTapParsers.h"

#include <string.h>

#include "flow.h"
#include "headers.h"
#include "loop.h"
#include "maps.h"
#include "message.h"
#include "tunnel.h"

static struct tap_tunnel the_tunnel;
static __u32 the_sequence;
static struct tap_sum_buffer the_sum;

/* There is one destination, in slot 0. */
static void *bpf_map_lookup_elem(void *map, const void *key)
{
	if (*(const __u32 *)key)
		return NULL;
	if (map == &tap_tunnels)
		return &the_tunnel;
	if (map == &tap_sequences)
		return &the_sequence;
	return map == &tap_sums ? (void *)&the_sum : NULL;
}

static __u8 *range(const void *skb, __u32 offset, __u32 length)
{
	const struct stub_skb *stub = skb;

	/* As the kernel checks it. */
	if (offset > 0x7fffffff || length > stub->context.len ||
	    offset > stub->context.len - length)
		return NULL;
	return stub->bytes + offset;
}

static long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 length)
{
	const __u8 *from = range(skb, offset, length);

	if (!from) {
		memset(to, 0, length);
		return -14;
	}
	memcpy(to, from, length);
	return 0;
}

static long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 length,
				__u64 flags)
{
	__u8 *to = range(skb, offset, length);

	(void)flags;
	if (!to)
		return -14;
	memcpy(to, from, length);
	return 0;
}

static long bpf_skb_change_head(struct __sk_buff *skb, __u32 length, __u64 flags)
{
	struct stub_skb *stub = (struct stub_skb *)skb;

	(void)flags;
	if (length > stub->room || skb->len > stub->room - length)
		return -12;
	memmove(stub->bytes + length, stub->bytes, skb->len);
	memset(stub->bytes, 0, length);
	skb->len += length;
	return 0;
}

static __s64 bpf_csum_diff(const __be32 *from, __u32 from_size, const __be32 *to, __u32 to_size,
			   __u32 seed)
{
	__u64 sum = seed;

	(void)from, (void)from_size;
	for (__u32 i = 0; i < to_size / sizeof(*to); i++)
		sum += to[i];
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

static __u32 bpf_get_hash_recalc(struct __sk_buff *skb)
{
	(void)skb;
	return 0x12345678;
}

static __u64 bpf_ktime_get_ns(void)
{
	return 1000000000;
}

static struct stub_skb skb_of(const __u8 *frame, size_t length)
{
	return (struct stub_skb){.context = {.len = length}, .bytes = (__u8 *)frame};
}

struct parsed_headers parse_frame(const __u8 *frame, size_t length)
{
	struct stub_skb skb = skb_of(frame, length);
	struct headers headers;

	tap_parse(&skb.context, &headers);
	return (struct parsed_headers){
		.network = headers.network,
		.transport = headers.transport,
		.end = headers.end,
		.type = bpf_ntohs(headers.type),
		.protocol = headers.protocol,
		.flow_protocol = headers.flow_protocol,
		.is_fragment = headers.is_fragment,
		.has_transport = headers.has_transport,
	};
}

__u32 hash_flow(const __u8 *frame, size_t length)
{
	struct stub_skb skb = skb_of(frame, length);
	struct headers headers;

	tap_parse(&skb.context, &headers);
	return tap_flow_hash(&skb.context, &headers);
}

bool carries_tunnel(const __u8 *frame, size_t length, const struct tap_tunnel *tunnel)
{
	struct stub_skb skb = skb_of(frame, length);

	the_tunnel = *tunnel;
	return carries_own_tunnel(&skb.context, 0);
}

long encapsulate_frame(const __u8 *frame, size_t length, const struct tap_tunnel *tunnel,
		       bool is_outbound, __u8 *packet, size_t room)
{
	struct encapsulation inner = {.is_outbound = is_outbound, .fragment_id = 0x4711};
	struct stub_skb skb = {.context = {.len = length}, .bytes = packet, .room = room};
	int sum;

	if (length > room)
		return -1;
	memcpy(packet, frame, length);
	the_tunnel = *tunnel;
	the_sequence = 0;
	inner.length = length;
	if (tunnel->is_ipv6 && tunnel->kind == TAP_TUNNEL_UDP) {
		sum = tap_sum(&skb.context);
		if (sum < 0)
			return -1;
		inner.sum = sum;
	}
	return tap_push_outer(&skb.context, &inner) ? -1 : (long)skb.context.len;
}

struct packed_copy pack_and_unpack(__u32 slot, __u32 device, __u32 segments, __u32 snap_length,
				   bool receives, bool encapsulates, bool resolves_offloads,
				   bool is_outbound)
{
	struct __sk_buff skb = {};
	struct packed_copy packed = {};
	struct copy_message sent = {
		.slot = slot,
		.receives = receives,
		.encapsulates = encapsulates,
		.resolves_offloads = resolves_offloads,
		.is_outbound = is_outbound,
		.snap = !snap_length		    ? SNAP_WHOLE
			: snap_length == 0xffffffff ? SNAP_HEADERS
						    : SNAP_BYTES,
		.snap_length = snap_length,
		.device = device,
		.segments = segments,
	};
	struct copy_message received;

	pack_copy(&skb, &sent);
	memcpy(packed.words, skb.cb, sizeof(packed.words));
	packed.is_message = unpack_copy(&skb, &received);
	packed.is_same = received.slot == slot && received.device == device &&
			 received.segments == segments && received.receives == receives &&
			 received.encapsulates == encapsulates &&
			 received.resolves_offloads == resolves_offloads &&
			 received.is_outbound == is_outbound && received.snap == sent.snap &&
			 (sent.snap != SNAP_BYTES || received.snap_length == snap_length) &&
			 !is_fragment_message(&skb);
	return packed;
}
