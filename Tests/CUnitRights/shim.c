/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "CUnitRights.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int are_given;

static int get(struct __user_cap_data_struct data[2]) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};

    return syscall(SYS_capget, &header, data) ? -errno : 0;
}

int cunitrights_are_given(void) {
    return are_given;
}

unsigned long long cunitrights_effective(void) {
    struct __user_cap_data_struct data[2] = {{0}};

    return get(data) ? 0 : data[0].effective | (unsigned long long)data[1].effective << 32;
}

int cunitrights_set_effective(unsigned long long capabilities) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    int error = get(data);

    if (error)
        return error;
    data[0].effective = data[0].permitted & (__u32)capabilities;
    data[1].effective = data[1].permitted & (__u32)(capabilities >> 32);
    return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Before main, since Swift starts threads of its own. */
__attribute__((constructor)) static void take_unit_rights(void) {
    const char *wanted = getenv("VT_UNIT_CAPABILITIES");
    char *end;
    unsigned long long capabilities;

    if (!wanted)
        return;
    capabilities = strtoull(wanted, &end, 16);
    if (*end || end == wanted || cunitrights_set_effective(capabilities)) {
        fprintf(stderr, "VT_UNIT_CAPABILITIES=%s cannot be taken\n", wanted);
        _exit(70);
    }
    are_given = 1;
}
