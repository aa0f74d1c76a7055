/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The capabilities of virt-tapd's unit for a process that loads programs itself: tests and benchmarks.
 *
 * The kernel looks at the effective set of the thread that calls. With VT_UNIT_CAPABILITIES in the environment
 * (hexadecimal, as "scripts/as-unit --capabilities" prints) it is lowered to these before main, so for every thread
 * that will be; the permitted set stays, so that a thread may raise it for what is no business of virt-tapd's, as
 * entering a network namespace. Programs that the process starts get theirs from their own user and the bounding set,
 * as always.
 */
#ifndef CUNITRIGHTS_H
#define CUNITRIGHTS_H

/* Whether the process began with the unit's capabilities. */
int cunitrights_are_given(void);

/* The calling thread's effective capabilities; a bit for each number of linux/capability.h. */
unsigned long long cunitrights_effective(void);

/* Sets them, as far as the thread is permitted them; 0, or -errno. */
int cunitrights_set_effective(unsigned long long capabilities);

#endif
