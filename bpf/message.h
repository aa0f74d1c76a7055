/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What taps and the relay say to each other in skb->cb. */
#ifndef VIRT_TAP_MESSAGE_H
#define VIRT_TAP_MESSAGE_H

#include "CTapABI.h"

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

_Static_assert(((TAP_CB_SLOT | TAP_CB_FLAGS) & TAP_CB_MAGIC) == 0 &&
		       (TAP_CB_SLOT & TAP_CB_FLAGS) == 0,
	       "cb's first word");
_Static_assert((TAP_CB_FLAGS & (TAP_CB_RECEIVES | TAP_CB_WRAPS | TAP_CB_OUTBOUND | TAP_CB_FRAGMENT |
				TAP_CB_FINISHES)) ==
		       (TAP_CB_RECEIVES + TAP_CB_WRAPS + TAP_CB_OUTBOUND + TAP_CB_FRAGMENT +
			TAP_CB_FINISHES),
	       "flags are different bits");

#endif
