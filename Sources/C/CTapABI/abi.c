/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Checks the header's static assertions for this machine, as bpf/ does for the kernel's programs. */
#include "CTapABI.h"
