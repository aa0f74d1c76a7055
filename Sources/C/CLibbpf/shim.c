/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "CLibbpf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

int clibbpf_set_constant(struct bpf_object *object, const char *name, const void *value, size_t size) {
    struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
    struct btf *btf = bpf_object__btf(object);
    const struct btf_var_secinfo *variable;
    const struct btf_type *section;
    size_t room;
    char *data;
    int id;

    if (!map || !btf)
        return -ENOENT;
    data = (char *)bpf_map__initial_value(map, &room);
    id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
    if (!data || id < 0)
        return -ENOENT;
    section = btf__type_by_id(btf, id);
    variable = btf_var_secinfos(section);
    for (int i = 0; i < btf_vlen(section); i++, variable++) {
        const struct btf_type *type = btf__type_by_id(btf, variable->type);

        if (strcmp(btf__name_by_offset(btf, type->name_off), name))
            continue;
        if (variable->size != size || variable->offset + size > room)
            return -EINVAL;
        memcpy(data + variable->offset, value, size);
        return 0;
    }
    return -ENOENT;
}

static __thread char messages[1024];
static __thread size_t messages_length;

static int keep(enum libbpf_print_level level, const char *format, va_list arguments) {
    int length;

    if (level == LIBBPF_DEBUG)
        return 0;
    if (messages_length > sizeof(messages) / 2)
        messages_length = 0;
    length = vsnprintf(messages + messages_length, sizeof(messages) - messages_length, format, arguments);
    if (length > 0) {
        messages_length += length;
        if (messages_length >= sizeof(messages))
            messages_length = sizeof(messages) - 1;
    }
    return length;
}

void clibbpf_capture_messages(void) {
    libbpf_set_print(keep);
}

const char *clibbpf_take_messages(void) {
    messages[messages_length] = 0;
    messages_length = 0;
    return messages;
}

int clibbpf_is_bpffs(const char *directory) {
    struct statfs information;

    if (statfs(directory, &information))
        return -errno;
    return (unsigned int)information.f_type == BPF_FS_MAGIC;
}

int clibbpf_in_bpffs(int fd) {
    struct statfs information;

    if (fstatfs(fd, &information))
        return -errno;
    return (unsigned int)information.f_type == BPF_FS_MAGIC;
}

enum clibbpf_kind clibbpf_kind_of(int fd) {
    char path[32], target[64];
    ssize_t length;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    length = readlink(path, target, sizeof(target) - 1);
    if (length < 0)
        return CLIBBPF_NOT_BPF;
    target[length] = 0;
    if (strstr(target, "bpf-map"))
        return CLIBBPF_MAP;
    if (strstr(target, "bpf-prog"))
        return CLIBBPF_PROGRAM;
    if (strstr(target, "bpf_link") || strstr(target, "bpf-link"))
        return CLIBBPF_LINK;
    return CLIBBPF_NOT_BPF;
}

int clibbpf_link_info(int fd, struct clibbpf_link *link) {
    struct bpf_link_info info;
    __u32 length = sizeof(info);
    int error;

    memset(&info, 0, sizeof(info));
    error = bpf_obj_get_info_by_fd(fd, &info, &length);
    if (error)
        return error;
    link->type = info.type;
    link->program = info.prog_id;
    /* A TCX link's member of the union is { __u32 ifindex; __u32 attach_type; }, which older headers do not have. */
    memcpy(&link->ifindex, (const char *)&info + offsetof(struct bpf_link_info, xdp), sizeof(link->ifindex));
    memcpy(&link->attach_type, (const char *)&info + offsetof(struct bpf_link_info, xdp) + sizeof(link->ifindex),
           sizeof(link->attach_type));
    return 0;
}

int clibbpf_map_info(int fd, struct bpf_map_info *info) {
    __u32 length = sizeof(*info);

    memset(info, 0, sizeof(*info));
    return bpf_obj_get_info_by_fd(fd, info, &length);
}

int clibbpf_program_info(int fd, struct bpf_prog_info *info) {
    __u32 length = sizeof(*info);

    memset(info, 0, sizeof(*info));
    return bpf_obj_get_info_by_fd(fd, info, &length);
}

int clibbpf_program_maps(int fd, __u32 *ids, __u32 room) {
    struct bpf_prog_info info;
    __u32 length = sizeof(info);
    int error;

    memset(&info, 0, sizeof(info));
    info.nr_map_ids = room;
    info.map_ids = (__u64)(unsigned long)ids;
    error = bpf_obj_get_info_by_fd(fd, &info, &length);
    if (error)
        return error;
    return info.nr_map_ids < room ? info.nr_map_ids : room;
}

static int find_enumerator(const struct btf *btf, const struct btf_type *type, const char *name, long long *value) {
    const struct btf_enum *entry = btf_enum(type);

    for (int i = 0; i < btf_vlen(type); i++, entry++) {
        if (!strcmp(btf__name_by_offset(btf, entry->name_off), name)) {
            *value = entry->val;
            return 0;
        }
    }
    return -ENOENT;
}

int clibbpf_kernel_enumerator(const char *enumeration, const char *name, long long *value) {
    struct btf *btf = btf__load_vmlinux_btf();
    int count, result = -ENOENT;

    if (!btf)
        return -errno;
    count = btf__type_cnt(btf);
    for (int id = 1; result && id < count; id++) {
        const struct btf_type *type = btf__type_by_id(btf, id);

        if (!btf_is_enum(type))
            continue;
        /* An anonymous enumeration is found by the name "". */
        if (!strcmp(btf__name_by_offset(btf, type->name_off), enumeration))
            result = find_enumerator(btf, type, name, value);
    }
    btf__free(btf);
    return result;
}

int clibbpf_filter_attach(int ifindex, int egress, __u32 priority, __u32 handle, int program, int replace) {
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = handle, .priority = priority, .prog_fd = program,
                .flags = replace ? BPF_TC_F_REPLACE : 0);

    return bpf_tc_attach(&hook, &options);
}

int clibbpf_filter_detach(int ifindex, int egress, __u32 priority, __u32 handle) {
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = handle, .priority = priority);

    return bpf_tc_detach(&hook, &options);
}

/* The function whose call replaces the calls of `call` in the next program that this thread loads. */
static __thread struct {
    int call;
    const struct bpf_insn *insns;
    size_t count;
    int type;
} splice;

/* Describes the added function: the kernel needs the type of every function, or of none. */
static int describe_function(struct bpf_prog_load_opts *options, size_t offset) {
    static __thread char records[1024];
    struct bpf_func_info added = {.insn_off = offset, .type_id = splice.type};
    size_t size = options->func_info_rec_size;
    size_t length = size * options->func_info_cnt;

    /* Line information would have to describe the added function as well. */
    options->line_info_cnt = 0;
    if (!options->func_info_cnt)
        return 0;
    if (size < sizeof(added) || length + size > sizeof(records))
        return -E2BIG;
    memcpy(records, options->func_info, length);
    memset(records + length, 0, size);
    memcpy(records + length, &added, sizeof(added));
    options->func_info = records;
    options->func_info_cnt++;
    return 0;
}

static int put_function(struct bpf_program *program, struct bpf_prog_load_opts *options, long cookie) {
    size_t count = bpf_program__insn_cnt(program);
    struct bpf_insn *insns;
    int error = -ENOENT;

    (void)cookie;
    if (!splice.count)
        return 0;
    insns = malloc((count + splice.count) * sizeof(*insns));
    if (!insns)
        return -ENOMEM;
    memcpy(insns, bpf_program__insns(program), count * sizeof(*insns));
    memcpy(insns + count, splice.insns, splice.count * sizeof(*insns));
    for (size_t i = 0; i < count; i++) {
        if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg || insns[i].imm != splice.call)
            continue;
        insns[i].src_reg = BPF_PSEUDO_CALL;
        insns[i].imm = count - i - 1;
        error = 0;
    }
    if (!error)
        error = bpf_program__set_insns(program, insns, count + splice.count);
    free(insns);
    return error ? error : describe_function(options, count);
}

int clibbpf_register_section(const char *section) {
    LIBBPF_OPTS(libbpf_prog_handler_opts, options, .prog_prepare_load_fn = put_function);
    int result = libbpf_register_prog_handler(section, BPF_PROG_TYPE_SCHED_CLS, 0, &options);

    return result < 0 ? result : 0;
}

int clibbpf_load(struct bpf_object *object, const char *name, int call, const __u64 *insns, size_t count) {
    int error = 0;

    if (count) {
        struct btf *btf = bpf_object__btf(object);
        /* The program's own type is int (struct __sk_buff *), which the function shares; it is static. */
        int main = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) : -ENOENT;

        if (main < 0)
            return main;
        error = btf__add_func(btf, "tap_filter", BTF_FUNC_STATIC, btf__type_by_id(btf, main)->type);
        if (error < 0)
            return error;
    }
    splice.type = error;
    splice.call = call;
    splice.insns = (const struct bpf_insn *)insns;
    splice.count = count;
    error = bpf_object__load(object);
    splice.count = 0;
    return error;
}

int clibbpf_keep_capabilities(unsigned long long kept) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        if (capability < 64 && kept >> capability & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return -errno;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 || syscall(SYS_capget, &header, sets) != 0)
        return -errno;
    for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
        sets[word].effective &= (__u32)(kept >> 32 * word);
        sets[word].permitted &= (__u32)(kept >> 32 * word);
        sets[word].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, sets) != 0)
        return -errno;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}
