/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libmnl, the constants of rtnetlink, of ethtool and of packet sockets, and eventfd, which the Glibc module lacks.
 * Swift calls these functions without shims.
 */
#ifndef CLIBMNL_H
#define CLIBMNL_H

#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netconf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/eventfd.h>

#endif
