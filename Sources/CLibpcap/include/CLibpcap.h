/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libpcap: the compiler of pcap-filter(7) expressions and, for tests, its interpreter of classic BPF.
 */
#ifndef CLIBPCAP_H
#define CLIBPCAP_H

#include <pcap/pcap.h>

#endif
