/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "CLibpcap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "name this machine's AUDIT_ARCH_, so that its system calls can be told from others"
#endif

/* The user and group id of nobody on every distribution. */
#define NOBODY 65534

/* The offset of the low half of an argument. All machines above are little-endian. */
#define ARGUMENT(n) offsetof(struct seccomp_data, args[n])
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE ANSWER(SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA))
#define PERMIT ANSWER(SECCOMP_RET_ALLOW)
#define CALL(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), PERMIT
/* Permits the call if none of these bits are set in its argument `n`, and refuses it otherwise. */
#define CALL_WITHOUT(name, n, bits)                                                                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4), LOAD(ARGUMENT(n)),                                         \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), 0, 1), REFUSE, PERMIT

#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)

/* Permits a list of system calls. All others fail with EPERM, those of later kernels included. */
static int permit_reading_only(void) {
    struct sock_filter filter[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
        LOAD(offsetof(struct seccomp_data, nr)),
        /* Writing to descriptors 0 to 3 only: these have no bits above bit 1. */
        CALL_WITHOUT(write, 0, ~3u),
        CALL(read),
        CALL(pread64),
        CALL(readv),
        CALL(lseek),
        CALL(close),
        CALL(fstat),
        CALL(newfstatat),
        CALL_WITHOUT(openat, 2, WRITING),
#ifdef __NR_open
        CALL_WITHOUT(open, 1, WRITING),
#endif
        /* Memory that is not executable. */
        CALL_WITHOUT(mmap, 2, PROT_EXEC),
        CALL_WITHOUT(mprotect, 2, PROT_EXEC),
        CALL(munmap),
        CALL(mremap),
        CALL(madvise),
        CALL(brk),
        CALL(futex),
        CALL(getrandom),
        CALL(clock_gettime),
        CALL(getpid),
        CALL(gettid),
        CALL(rt_sigaction),
        CALL(rt_sigprocmask),
        CALL(rt_sigreturn),
        CALL(sigaltstack),
        CALL(sched_yield),
        CALL(exit),
        CALL(exit_group),
        REFUSE,
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    /* By prctl(2), since most service units do not allow seccomp(2). */
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

static int limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard) {
    struct rlimit before, limit = {.rlim_cur = soft, .rlim_max = hard};

    if (getrlimit(resource, &before) != 0)
        return -errno;
    /* A process that is not root cannot raise a limit that is already lower. */
    if (limit.rlim_max > before.rlim_max)
        limit.rlim_max = before.rlim_max;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit) == 0 ? 0 : -errno;
}

/* Returns the bytes of address space in use; 0 when that cannot be read. */
static uint64_t address_space(void) {
    FILE *statm = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (!statm)
        return 0;
    if (fscanf(statm, "%lu", &pages) != 1)
        pages = 0;
    fclose(statm);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int limit_all(const struct clibpcap_limits *limits) {
    uint64_t memory = address_space() + limits->memory;
    struct {
        __rlimit_resource_t resource;
        rlim_t soft, hard;
    } all[] = {
        {RLIMIT_CORE, 0, 0},         {RLIMIT_CPU, limits->processor, limits->processor + 1},
        {RLIMIT_AS, memory, memory}, {RLIMIT_FSIZE, 0, 0},
        {RLIMIT_NOFILE, 16, 16},     {RLIMIT_NPROC, 0, 0},
        {RLIMIT_MEMLOCK, 0, 0},
    };

    for (size_t index = 0; index < sizeof(all) / sizeof(all[0]); index++) {
        int result = limit(all[index].resource, all[index].soft, all[index].hard);
        if (result != 0)
            return result;
    }
    return 0;
}

static int become_nobody(void) {
    if (geteuid() != 0 && getuid() != 0)
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
        return -errno;
    return 0;
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return -errno;
    return syscall(SYS_capset, &header, none) == 0 ? 0 : -errno;
}

/* Needs CAP_SETPCAP, so errors are ignored: without the other sets the bounding set grants nothing. */
static void drop_bounding_set(void) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

static int forbid_the_rest(void) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return -errno;
    /* After every change of user, group and capabilities, since each clears this signal. */
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 ? 0 : -errno;
}

int clibpcap_confine(const struct clibpcap_limits *limits, const char **step) {
    int result;

    *step = "limits (setrlimit)";
    if ((result = limit_all(limits)) != 0)
        return result;
    drop_bounding_set();
    *step = "becoming nobody (setgroups, setresgid, setresuid: CAP_SETGID and CAP_SETUID)";
    if ((result = become_nobody()) != 0)
        return result;
    *step = "giving up its capabilities (capset)";
    if ((result = drop_capabilities()) != 0)
        return result;
    *step = "giving up privileges (prctl)";
    if ((result = forbid_the_rest()) != 0)
        return result;
    *step = "restricting its system calls (seccomp)";
    return permit_reading_only();
}
