/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "CPcapFilter.h"

#include <pcap/pcap.h>
#include <string.h>

long cpcapfilter_compile(const char *expression, uint64_t *words, size_t room) {
    pcap_t *handle = pcap_open_dead(DLT_EN10MB, 65535);
    struct bpf_program program;
    long count = -1;

    if (!handle)
        return -1;
    if (pcap_compile(handle, &program, expression, 1, 0) == 0) {
        count = program.bf_len;
        memcpy(words, program.bf_insns, (program.bf_len < room ? program.bf_len : room) * sizeof(*words));
        pcap_freecode(&program);
    }
    pcap_close(handle);
    return count;
}
