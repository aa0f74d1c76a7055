/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How much of a processor's backlog copies take.
 *
 * What goes through a veth pair waits there, with originals behind it. It holds
 * 1,000 frames; when it is full they are dropped, so copies have their share of
 * it and no more.
 *
 * Frames wait in the order in which they came. So each has a ticket, how many
 * were sent with it and before, and the one that comes out settles for all up
 * to it: those that were lost, and those that were counted and never were. When
 * the kernel takes none of a frame's, the tap's program takes them off again.
 */
#ifndef VIRT_TAP_BACKLOG_H
#define VIRT_TAP_BACKLOG_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "message.h"

/* By CPU, modulo their number: one may settle for another. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_BACKLOGS);
	__type(key, __u32);
	__type(value, struct tap_backlog);
} tap_backlogs SEC(".maps");

static __always_inline struct tap_backlog *this_backlog(void)
{
	__u32 cpu = bpf_get_smp_processor_id() % TAP_BACKLOGS;

	return bpf_map_lookup_elem(&tap_backlogs, &cpu);
}

/* Whether so many segments may wait; if so they are counted, and the frame gets its ticket. */
static __always_inline bool may_wait(struct __sk_buff *skb, __u32 segments)
{
	__u32 cpu = bpf_get_smp_processor_id() % TAP_BACKLOGS;
	struct tap_backlog *backlog = bpf_map_lookup_elem(&tap_backlogs, &cpu);
	__u64 now = bpf_jiffies64();
	__u32 waiting;

	if (!backlog)
		return false;
	waiting = backlog->sent - backlog->settled;
	if (waiting && waiting + segments > TAP_BACKLOG_SHARE) {
		/* The last of them may have been lost, and nobody settled. */
		if (now - backlog->jiffies <= TAP_BACKLOG_LOST)
			return false;
		backlog->settled = backlog->sent;
	}
	backlog->sent += segments;
	backlog->jiffies = now;
	skb->cb[TAP_CB_TICKET] = backlog->sent;
	skb->cb[TAP_CB_CPU] = cpu;
	return true;
}

static __always_inline void settle(__u32 cpu, __u32 ticket)
{
	struct tap_backlog *backlog = bpf_map_lookup_elem(&tap_backlogs, &cpu);

	/* One from before the daemon was upgraded is another's. */
	if (backlog && backlog->sent - ticket < backlog->sent - backlog->settled)
		backlog->settled = ticket;
}

#endif
