/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How much of a processor's backlog copies use.
 *
 * What goes through a veth pair waits in the backlog, with originals behind it. A
 * full backlog (1,000 frames) drops frames, so copies have a share of it and no more.
 *
 * Frames wait in the order in which they came. So each copy has a ticket: the number
 * of segments sent up to it. A copy that comes out settles for all tickets up to its
 * own, also for segments that were lost or never made. If the kernel takes no segment
 * of a frame, the tap's program subtracts them again.
 */
#ifndef VIRT_TAP_BACKLOG_H
#define VIRT_TAP_BACKLOG_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"
#include "maps.h"
#include "message.h"

static __always_inline struct tap_backlog *this_backlog(void)
{
	__u32 cpu = bpf_get_smp_processor_id() % TAP_BACKLOGS;

	return bpf_map_lookup_elem(&tap_backlogs, &cpu);
}

/* Whether this many segments may wait; if so they are counted, and the copy gets its ticket. */
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
		/* The last ones may have been lost, so that nothing settled for them. */
		if (now - backlog->jiffies <= TAP_BACKLOG_LOST)
			return false;
		backlog->settled = backlog->sent;
	}
	backlog->sent += segments;
	backlog->jiffies = now;
	pack_ticket(skb, backlog->sent, cpu);
	return true;
}

static __always_inline void settle(__u32 cpu, __u32 ticket)
{
	struct tap_backlog *backlog = bpf_map_lookup_elem(&tap_backlogs, &cpu);

	/* A ticket from before the daemon was upgraded belongs to another backlog. */
	if (backlog && backlog->sent - ticket < backlog->sent - backlog->settled)
		backlog->settled = ticket;
}

#endif
