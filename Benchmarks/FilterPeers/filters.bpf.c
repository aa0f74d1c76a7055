/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Filter expressions as a programmer writes them by hand for TC: what translated ones are compared to. The name of each
 * is its expression with underscores. 0 means that the frame does not match.
 *
 * Headers are read in the buffer's linear part, the fastest way there is; a frame whose headers are elsewhere is not
 * matched, which the translated filters do not get away with. The copies of the same with `_careful` behind the name
 * are right on such frames, too.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct ports {
    __be16 source;
    __be16 destination;
};

struct vlan {
    __be16 tag;
    __be16 type;
};

/* Makes `to` point at `size` bytes of the frame at `offset`, `room` being where they may be copied to. */
static __always_inline bool at(struct __sk_buff *skb, bool careful, __u32 offset, void **to, void *room, __u32 size) {
    void *data = (void *)(long)skb->data;
    void *end = (void *)(long)skb->data_end;

    if (data + offset + size <= end) {
        *to = data + offset;
        return true;
    }
    if (!careful || bpf_skb_load_bytes(skb, offset, room, size))
        return false;
    *to = room;
    return true;
}

#define FIELD(type, name, offset)                                                                                      \
    type name##_room, *name;                                                                                           \
    if (!at(skb, careful, offset, (void **)&name, &name##_room, sizeof(type)))                                         \
    return 0

static __always_inline int has_port(struct __sk_buff *skb, bool careful, __u32 offset, __u16 port) {
    FIELD(struct ports, ports, offset);
    return ports->source == bpf_htons(port) || ports->destination == bpf_htons(port);
}

static __always_inline int tcp_port(struct __sk_buff *skb, bool careful, __u16 port) {
    FIELD(struct ethhdr, eth, 0);
    if (eth->h_proto == bpf_htons(ETH_P_IP)) {
        FIELD(struct iphdr, ip, ETH_HLEN);
        if (ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x1FFF))
            return 0;
        return has_port(skb, careful, ETH_HLEN + ip->ihl * 4, port);
    }
    if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
        FIELD(struct ipv6hdr, ip6, ETH_HLEN);
        return ip6->nexthdr == IPPROTO_TCP && has_port(skb, careful, ETH_HLEN + sizeof(struct ipv6hdr), port);
    }
    return 0;
}

static __always_inline int host(struct __sk_buff *skb, bool careful, __u32 address) {
    FIELD(struct ethhdr, eth, 0);
    if (eth->h_proto == bpf_htons(ETH_P_IP)) {
        FIELD(struct iphdr, ip, ETH_HLEN);
        return ip->saddr == bpf_htonl(address) || ip->daddr == bpf_htonl(address);
    }
    if (eth->h_proto == bpf_htons(ETH_P_ARP) || eth->h_proto == bpf_htons(ETH_P_RARP)) {
        /* The sender's and the target's protocol addresses. */
        FIELD(__be32, sender, ETH_HLEN + 14);
        FIELD(__be32, target, ETH_HLEN + 24);
        return *sender == bpf_htonl(address) || *target == bpf_htonl(address);
    }
    return 0;
}

static __always_inline int tcp_syn(struct __sk_buff *skb, bool careful) {
    FIELD(struct ethhdr, eth, 0);
    if (eth->h_proto != bpf_htons(ETH_P_IP))
        return 0;
    FIELD(struct iphdr, ip, ETH_HLEN);
    if (ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x1FFF))
        return 0;
    FIELD(__u8, flags, ETH_HLEN + ip->ihl * 4 + 13);
    return *flags & 2;
}

static __always_inline int ip6_and_udp_port(struct __sk_buff *skb, bool careful, __u16 port) {
    FIELD(struct ethhdr, eth, 0);
    if (eth->h_proto != bpf_htons(ETH_P_IPV6))
        return 0;
    FIELD(struct ipv6hdr, ip6, ETH_HLEN);
    return ip6->nexthdr == IPPROTO_UDP && has_port(skb, careful, ETH_HLEN + sizeof(struct ipv6hdr), port);
}

static __always_inline int not_net(struct __sk_buff *skb, bool careful, __u32 network, __u32 mask) {
    __be32 source, destination;
    FIELD(struct ethhdr, eth, 0);
    if (eth->h_proto == bpf_htons(ETH_P_IP)) {
        FIELD(struct iphdr, ip, ETH_HLEN);
        source = ip->saddr;
        destination = ip->daddr;
    } else if (eth->h_proto == bpf_htons(ETH_P_ARP) || eth->h_proto == bpf_htons(ETH_P_RARP)) {
        FIELD(__be32, sender, ETH_HLEN + 14);
        FIELD(__be32, target, ETH_HLEN + 24);
        source = *sender;
        destination = *target;
    } else {
        return 1;
    }
    return (source & bpf_htonl(mask)) != bpf_htonl(network) && (destination & bpf_htonl(mask)) != bpf_htonl(network);
}

/* The tag is in the bytes: BPF_PROG_TEST_RUN knows no other. */
static __always_inline int vlan_and_tcp(struct __sk_buff *skb, bool careful, __u16 tag) {
    FIELD(struct ethhdr, eth, 0);
    if (eth->h_proto != bpf_htons(ETH_P_8021Q) && eth->h_proto != bpf_htons(ETH_P_8021AD) &&
        eth->h_proto != bpf_htons(0x9100))
        return 0;
    FIELD(struct vlan, vlan, ETH_HLEN);
    if ((vlan->tag & bpf_htons(0xFFF)) != bpf_htons(tag))
        return 0;
    if (vlan->type == bpf_htons(ETH_P_IP)) {
        FIELD(struct iphdr, ip, ETH_HLEN + sizeof(struct vlan));
        return ip->protocol == IPPROTO_TCP;
    }
    if (vlan->type == bpf_htons(ETH_P_IPV6)) {
        FIELD(struct ipv6hdr, ip6, ETH_HLEN + sizeof(struct vlan));
        if (ip6->nexthdr == IPPROTO_TCP)
            return 1;
        /* libpcap looks behind a fragment header. */
        if (ip6->nexthdr != IPPROTO_FRAGMENT)
            return 0;
        FIELD(__u8, next, ETH_HLEN + sizeof(struct vlan) + sizeof(struct ipv6hdr));
        return *next == IPPROTO_TCP;
    }
    return 0;
}

#define FILTER(name, expression)                                                                                       \
    SEC("tc")                                                                                                          \
    int name(struct __sk_buff *skb) {                                                                                  \
        const bool careful = false;                                                                                    \
        return expression;                                                                                             \
    }                                                                                                                  \
    SEC("tc")                                                                                                          \
    int name##_careful(struct __sk_buff *skb) {                                                                        \
        const bool careful = true;                                                                                     \
        return expression;                                                                                             \
    }

FILTER(tcp_port_443, tcp_port(skb, careful, 443))
FILTER(host_192_0_2_1, host(skb, careful, 0xC0000201))
FILTER(tcp_syn_set, tcp_syn(skb, careful))
FILTER(ip6_udp_port_53, ip6_and_udp_port(skb, careful, 53))
FILTER(not_net_10, not_net(skb, careful, 10 << 24, 0xFF000000))
FILTER(vlan_10_and_tcp, vlan_and_tcp(skb, careful, 10))

char _license[] SEC("license") = "Dual BSD/GPL";
