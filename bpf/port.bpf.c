// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Keeps a monitor port apart from the host. The port is a veth pair of ours:
 * taps send copies into the one end, and sensors listen at the other, where
 * they have come in.
 *
 * The kernel hands what comes in to packet sockets (and to XDP programs) before
 * it runs this program at TC ingress, and to bridges, VLAN and macvlan devices
 * and the IP stack after it: so a sensor sees every copy, and nobody else does.
 * At TC egress of the sensors' end, and at ingress of ours for those who go
 * round that (PACKET_QDISC_BYPASS), it drops what the host itself would send.
 * At egress of our end it lets copies by, and nothing else.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "passing.h"

#define PORT_MARKS 4

struct port_mark {
	__u32 value;
	__u32 mask; /* 0: there is none here */
};

/* What copies are marked with: while the configuration's mark changes, some have the former one. */
const volatile struct port_mark port_marks[PORT_MARKS];
/* Whether this is the end that copies leave by. */
const volatile __u32 port_is_sending = 0;

static __always_inline bool is_copy(const struct __sk_buff *skb)
{
	for (int i = 0; i < PORT_MARKS; i++) {
		if (port_marks[i].mask && (skb->mark & port_marks[i].mask) == port_marks[i].value)
			return true;
	}
	return false;
}

SEC("tap")
int virt_tap_port(struct __sk_buff *skb)
{
	if (!port_is_sending || !is_copy(skb) || passes_ingress_by(skb))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
