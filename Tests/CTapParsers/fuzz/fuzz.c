/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The parsers under libFuzzer: "make fuzz-parsers". An input is a frame. Beyond what the
 * sanitizers find, it checks what must hold for every frame:
 *
 *  - headers follow each other;
 *  - a flow's hash is the same in both directions;
 *  - what a tunnel has sent is recognised as its own.
 */
#include "CTapParsers.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FRAME 4096

static const __u8 macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

/* Writes outer headers without lengths and checksums, as TunnelHeader.swift builds them. */
static struct tap_tunnel tunnel_of(enum tap_tunnel_kind kind, bool is_ipv6)
{
	static const __u8 ipv4[20] = {0x45, [8] = 64, [12] = 192, 0, 2, 1, 192, 0, 2, 2};
	static const __u8 ipv6[40] = {0x60,	[7] = 64, [8] = 0x20, 0x01, 0x0d, 0xb8,
				      [23] = 1, 0x20,	  0x01,	      0x0d, 0xb8, [39] = 2};
	static const __u8 vxlan[16] = {[2] = 0x12, 0xb5, [8] = 8};
	static const __u8 gre[8] = {0x20, 0, 0x65, 0x58};
	static const __u8 erspan2[16] = {0x10, 0, 0x88, 0xbe, [8] = 0x10};
	static const __u8 erspan3[20] = {0x10, 0, 0x22, 0xeb, [8] = 0x20};
	struct tap_tunnel tunnel = {.kind = kind, .is_ipv6 = is_ipv6, .mtu = 1500};
	__u8 *at = tunnel.header.bytes;
	const __u8 *rest;
	size_t size;

	memcpy(at, macs, sizeof(macs));
	memcpy(at + 12, is_ipv6 ? "\x86\xdd" : "\x08\x00", 2);
	at += 14;
	memcpy(at, is_ipv6 ? ipv6 : ipv4, is_ipv6 ? sizeof(ipv6) : sizeof(ipv4));
	at[is_ipv6 ? 6 : 9] = kind == TAP_TUNNEL_UDP ? 17 : 47;
	at += is_ipv6 ? sizeof(ipv6) : sizeof(ipv4);
	switch (kind) {
	case TAP_TUNNEL_UDP:
		rest = vxlan, size = sizeof(vxlan);
		break;
	case TAP_TUNNEL_GRE:
		rest = gre, size = sizeof(gre);
		break;
	case TAP_TUNNEL_ERSPAN_II:
		rest = erspan2, size = sizeof(erspan2);
		break;
	default:
		rest = erspan3, size = sizeof(erspan3);
		break;
	}
	memcpy(at, rest, size);
	tunnel.length = at + size - tunnel.header.bytes;
	tunnel.identifiers[0] = __builtin_bswap32(kind == TAP_TUNNEL_UDP ? 5 << 8 : 5);
	tunnel.identifiers[1] = __builtin_bswap32(kind == TAP_TUNNEL_UDP ? 6 << 8 : 6);
	return tunnel;
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void swap(__u8 *one, __u8 *other, size_t length)
{
	__u8 kept[16];

	memcpy(kept, one, length);
	memcpy(one, other, length);
	memcpy(other, kept, length);
}

static bool has_ports(const struct parsed_headers *headers)
{
	switch (headers->protocol) {
	case 6:	  /* TCP */
	case 17:  /* UDP */
	case 33:  /* DCCP */
	case 132: /* SCTP */
	case 136: /* UDP-Lite */
		return headers->has_transport && !headers->is_fragment;
	default:
		return false;
	}
}

/* The same flow's other direction has the same hash. */
static void check_hash(const __u8 *frame, size_t length, const struct parsed_headers *headers)
{
	__u8 reverse[MAX_FRAME];

	memcpy(reverse, frame, length);
	if (headers->type == 0x0800 && length >= headers->network + 20)
		swap(reverse + headers->network + 12, reverse + headers->network + 16, 4);
	else if (headers->type == 0x86dd && length >= headers->network + 40)
		swap(reverse + headers->network + 8, reverse + headers->network + 24, 16);
	else
		return;
	if (has_ports(headers) && length >= headers->transport + 4)
		swap(reverse + headers->transport, reverse + headers->transport + 2, 2);
	require(hash_flow(frame, length) == hash_flow(reverse, length));
}

int LLVMFuzzerTestOneInput(const __u8 *frame, size_t length)
{
	static __u8 packet[MAX_FRAME + TAP_HEADER_SIZE];
	struct parsed_headers headers;

	if (length > MAX_FRAME)
		return 0;
	headers = parse_frame(frame, length);
	require(headers.network <= headers.transport && headers.transport <= headers.end);
	/* Only an IPv4 header or a fragment header may be passed over that is not all there. */
	require(headers.transport <= length + 60 || !headers.has_transport);
	check_hash(frame, length, &headers);
	for (int kind = TAP_TUNNEL_UDP; kind <= TAP_TUNNEL_ERSPAN_III; kind++) {
		for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
			struct tap_tunnel tunnel = tunnel_of(kind, is_ipv6);
			long size;

			(void)carries_tunnel(frame, length, &tunnel);
			size = encapsulate_frame(frame, length, &tunnel, length & 1, packet,
						 sizeof(packet));
			require(size == (long)(length + tunnel.length));
			require(carries_tunnel(packet, size, &tunnel));
		}
	}
	return 0;
}
