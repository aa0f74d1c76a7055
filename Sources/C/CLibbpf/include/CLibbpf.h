/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libbpf, and shims for what Swift cannot use of it and of the kernel's API: inline functions, variadics, and
 * structures that the distribution's headers do not have yet. Functions return 0, or what their comment says, or
 * -errno.
 */
#ifndef CLIBBPF_H
#define CLIBBPF_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stddef.h>

/*
 * TCX, Linux 6.6: newer than the kernel headers and the libbpf of Debian 12. The numbers are the kernel's API
 * (include/uapi/linux/bpf.h); a test compares them with the running kernel's BTF.
 */
enum clibbpf_tcx {
    CLIBBPF_TCX_INGRESS = 46,   /* BPF_TCX_INGRESS */
    CLIBBPF_TCX_EGRESS = 47,    /* BPF_TCX_EGRESS */
    CLIBBPF_LINK_TYPE_TCX = 11, /* BPF_LINK_TYPE_TCX */
    CLIBBPF_F_BEFORE = 1 << 3,  /* BPF_F_BEFORE: without another program named, in front of all */
};

/* The properties of a link that matter for a TCX link. */
struct clibbpf_link {
    __u32 type;
    __u32 program;
    __u32 ifindex; /* 0: the device is gone, or somebody detached the link */
    __u32 attach_type;
};

enum clibbpf_kind { CLIBBPF_NOT_BPF, CLIBBPF_MAP, CLIBBPF_PROGRAM, CLIBBPF_LINK };

/* Sets a `const volatile` variable of an object that is open and not loaded; -ENOENT if it has none of that name,
 * -EINVAL if its size is not `size`. */
int clibbpf_set_constant(struct bpf_object *object, const char *name, const void *value, size_t size);

/* Makes libbpf treat programs in a section of this name as classifiers. To be called once per process. */
int clibbpf_register_section(const char *section);
/* Loads an object whose program `name` is in such a section. With `count` > 0 `insns` is a function of eBPF,
 * and each call of the helper function with the number `call` becomes a call of it; -ENOENT if there is none. */
int clibbpf_load(struct bpf_object *object, const char *name, int call, const __u64 *insns, size_t count);

/* Keeps libbpf's messages per thread from now on, instead of printing them. */
void clibbpf_capture_messages(void);
/* Returns and clears libbpf's messages on this thread, at most the last 1,023 bytes; valid until the next call of
 * libbpf. */
const char *clibbpf_take_messages(void);

/* Returns 1 if the directory is in a BPF file system, 0 if it is in another. */
int clibbpf_is_bpffs(const char *directory);
/* Returns the same for an open file. */
int clibbpf_in_bpffs(int fd);

/* Returns the kind of a file descriptor's object: bpf_obj_get opens all three kinds. */
enum clibbpf_kind clibbpf_kind_of(int fd);

int clibbpf_link_info(int fd, struct clibbpf_link *link);
int clibbpf_map_info(int fd, struct bpf_map_info *info);
int clibbpf_program_info(int fd, struct bpf_prog_info *info);
/* Reads the ids of a program's maps into `ids`; returns their number, at most `room`. */
int clibbpf_program_maps(int fd, __u32 *ids, __u32 room);

/* Reads the value of an enumerator of the running kernel from its BTF; -ENOENT if there is none of that name. */
int clibbpf_kernel_enumerator(const char *enumeration, const char *name, long long *value);

/* Attach and detach a filter on a clsact or ingress qdisc. `egress` is 0 or 1. With `replace` a filter of the same
 * priority and handle is replaced atomically. */
int clibbpf_filter_attach(int ifindex, int egress, __u32 priority, __u32 handle, int program, int replace);
int clibbpf_filter_detach(int ifindex, int egress, __u32 priority, __u32 handle);

/* Gives up every capability whose bit is not set in `kept`, for the calling thread and the programs that it executes:
 * in the bounding, inheritable and ambient sets too, and with no_new_privs. Needs CAP_SETPCAP. */
int clibbpf_keep_capabilities(unsigned long long kept);

#endif
