/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stands in for libbpf's header of this name: the helpers that the parsers call, for this machine. */
#ifndef VIRT_TAP_STUB_HELPERS_H
#define VIRT_TAP_STUB_HELPERS_H

#include <linux/bpf.h>

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline	static __attribute__((noinline, unused))

/* The frame that an skb stands for. */
struct stub_skb {
	struct __sk_buff context;
	__u8 *bytes;
	__u32 room;
};

/* Static: libbpf has functions of these names, too, which stand in the same test bundle. */
static void *bpf_map_lookup_elem(void *map, const void *key);
static long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 length);
static long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 length,
				__u64 flags);
static long bpf_skb_change_head(struct __sk_buff *skb, __u32 length, __u64 flags);
static __s64 bpf_csum_diff(const __be32 *from, __u32 from_size, const __be32 *to, __u32 to_size,
			   __u32 seed);
static __u32 bpf_get_hash_recalc(struct __sk_buff *skb);
static __u64 bpf_ktime_get_ns(void);

/* Never reached by what is tested. */
static inline long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 by, __u32 mode, __u64 flags)
{
	(void)skb, (void)by, (void)mode, (void)flags;
	return -1;
}

static inline long bpf_skb_vlan_pop(struct __sk_buff *skb)
{
	(void)skb;
	return -1;
}

static inline long bpf_skb_vlan_push(struct __sk_buff *skb, __be16 protocol, __u16 tag)
{
	(void)skb, (void)protocol, (void)tag;
	return -1;
}

static inline long bpf_skb_pull_data(struct __sk_buff *skb, __u32 length)
{
	(void)skb, (void)length;
	return -1;
}

#endif
