/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * All maps. Each object declares all of them, and a program works on those that it
 * uses: the loader gives it those and creates no others. What values mean is in
 * CTapABI.h.
 */
#ifndef VIRT_TAP_MAPS_H
#define VIRT_TAP_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "CTapABI.h"

/* --- Shared by all attachments and the relay; pinned --- */

/* Where copies go. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct tap_destination);
} tap_dests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TAP_DESTINATION_COUNTS);
	__type(key, __u32);
	__type(value, struct tap_count);
} tap_dest_counts SEC(".maps");

/* Until when each destination's copies are paid for: see rate.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, __u64);
} tap_dest_rates SEC(".maps");

/* How copies are encapsulated for destinations on other machines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct tap_tunnel);
} tap_tunnels SEC(".maps");

/* How many copies have been numbered for each destination, for ERSPAN. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, __u32);
} tap_sequences SEC(".maps");

/* The relay's device. The map and its pin keep an older name: the layout of pins stays. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tap_relay);
} tap_hops SEC(".maps");

/* By CPU, modulo their number: one CPU may settle for another. See backlog.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TAP_BACKLOGS);
	__type(key, __u32);
	__type(value, struct tap_backlog);
} tap_backlogs SEC(".maps");

/* By slot: for taps with once="yes". */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TAP_DESTINATIONS);
	__type(key, __u32);
	__type(value, struct tap_last_copy);
} tap_last SEC(".maps");

/* --- One attachment's; pinned --- */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * TAP_COUNTERS);
	__type(key, __u32);
	__type(value, struct tap_count);
} tap_counters SEC(".maps");

/* Until when the tap's copies are paid for; all attachments of one tap share it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tap_rate SEC(".maps");

/* --- The relay's own --- */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tap_sum_buffer);
} tap_sums SEC(".maps");

#endif
