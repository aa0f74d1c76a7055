/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Where taps send copies that are to be changed. */
#ifndef VIRT_TAP_RELAY_H
#define VIRT_TAP_RELAY_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tap_relay);
} tap_hops SEC(".maps");

#endif
