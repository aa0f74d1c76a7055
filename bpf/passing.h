/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Frames that the kernel hands past the programs of the device at which they arrive. */
#ifndef VIRT_TAP_PASSING_H
#define VIRT_TAP_PASSING_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* The one field that we need of the kernel's own structure; its offset comes from the kernel's BTF. */
struct sk_buff {
	__u8 tc_skip_classify : 1;
} __attribute__((preserve_access_index));

/*
 * Whether the kernel would hand the frame past packet sockets and TC ingress at
 * the other end of a veth pair, straight to the host's IP stack. An ifb sets this
 * flag on what it gives back, and with an ifb at a guest's device each copy has the
 * flag, too. struct __sk_buff has no field for it.
 */
static __always_inline bool passes_ingress_by(struct __sk_buff *skb)
{
	struct sk_buff *real = (struct sk_buff *)skb;

	return BPF_CORE_READ_BITFIELD_PROBED(real, tc_skip_classify);
}

#endif
