// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest in scripts/test-host's machine: a program without an operating system that QEMU starts as a kernel
// (Multiboot). One emulated processor emulates another there, and Linux would need minutes to boot; this needs seconds.
// To the host it is a guest as any other: an Ethernet card (virtio, as in its specification's chapter "Legacy
// Interface"), a serial port, a power button.
//
// Its command line: vt.name=NAME vt.ip=A.B.C.D vt.burst=COUNT; as soon as it runs it sends COUNT numbered UDP packets
// to everybody, "vt burst NAME NUMBER" to port 40001. It answers ARP and pings. Its serial port takes lines "ID
// COMMAND", answered by lines between
// "<ID" and ">ID 0", or another number if the command failed:
//   ping COUNT A.B.C.D   one each 100 ms; fails if an answer is missing two seconds after the last
//   send MILLISECONDS    numbered packets to everybody from now on, "vt ping NAME NUMBER" to port 40002
//   silence              no more of them; says the last number
//   uptime               in milliseconds
#include "packets.h"

__attribute__((section(".multiboot"), used)) static const uint32_t multiboot[3] = {0x1badb002, 0, -0x1badb002u};

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

// --- its orders -----------------------------------------------------------------------------------------------

static uint32_t interval, next_at, sent;

// Sleeps until the timer's next interrupt, and does what is due then.
static void pass(void) {
    enum { POWER = 0x600, BUTTON = 1 << 8 }; // where the firmware puts it on this machine
    __asm__ volatile("hlt");
    take_all();
    if (interval && (int32_t)(ticks * TICK_MS - next_at) >= 0) {
        next_at += interval;
        send_numbered("ping", 40002, ++sent);
    }
    if (!(in16(POWER + 2) & BUTTON))
        out16(POWER + 2, BUTTON);
    if (in16(POWER) & BUTTON) {
        print("vt: asked to end\r\n");
        out16(POWER + 4, 0x2000);
    }
}

static int ping(const char *words) {
    uint32_t count = number(&words), start;
    if (*words++ != ' ')
        return 64;
    memset(&peer, 0, sizeof peer);
    address(words, peer.ip);
    for (uint32_t attempt = 0; attempt < 20 && !peer.known; attempt++) {
        send_arp(1, (const uint8_t *)"\0\0\0\0\0", peer.ip);
        for (start = ticks; !peer.known && ticks - start < 500 / TICK_MS;)
            pass();
    }
    for (uint32_t i = 0; i < count; i++) {
        send_ping(i);
        for (start = ticks; ticks - start < 100 / TICK_MS;)
            pass();
    }
    for (start = ticks; peer.answers < count && ticks - start < 2000 / TICK_MS;)
        pass();
    print_number(peer.answers);
    print(" answers\r\n");
    return peer.answers != count;
}

static int obey(const char *command) {
    const char *words;
    if ((words = after(command, "ping ")))
        return ping(words);
    if ((words = after(command, "send "))) {
        interval = number(&words), next_at = ticks * TICK_MS;
        return interval == 0;
    }
    if (after(command, "silence")) {
        interval = 0;
        print_number(sent);
        print("\r\n");
        return 0;
    }
    if (after(command, "uptime")) {
        print_number(ticks * TICK_MS);
        print("\r\n");
        return 0;
    }
    return 127;
}

void begin(uint32_t magic, const struct multiboot_info *info);
void begin(uint32_t magic, const struct multiboot_info *info) {
    uint32_t burst = 0;
    // The serial port: no interrupts, 8 bits, its queue.
    out8(COM1 + 1, 0), out8(COM1 + 3, 3), out8(COM1 + 2, 7), out8(COM1 + 4, 3);
    const char *word = magic == 0x2badb002 && info->flags & 4 ? (const char *)info->cmdline : "", *value;
    while (*word) {
        if ((value = after(word, "vt.name="))) {
            for (unsigned i = 0; i < sizeof name_text - 1 && value[i] && value[i] != ' '; i++)
                name_text[i] = value[i];
            name = name_text;
        }
        if ((value = after(word, "vt.ip=")))
            address(value, own_ip);
        if ((value = after(word, "vt.burst=")))
            burst = number(&value);
        while (*word && *word != ' ')
            word++;
        while (*word == ' ')
            word++;
    }
    if (!start_card())
        print("vt: there is no virtio card with queues of 256\r\n");
    for (uint32_t i = 1; card && i <= burst; i++)
        send_numbered("burst", 40001, i);
    start_clock();
    print("vt: "), print(name), print(" is ready\r\n");
    static char line[256];
    for (unsigned used = 0;;) {
        pass();
        while (in8(COM1 + 5) & 1) {
            char character = (char)in8(COM1);
            if (character != '\n' && character != '\r') {
                if (used < sizeof line - 1)
                    line[used++] = character;
                continue;
            }
            line[used] = 0;
            char *command = line;
            while (*command && *command != ' ')
                command++;
            if (used && *command) {
                *command++ = 0;
                print("<"), print(line), print("\r\n");
                int status = obey(command);
                print(">"), print(line), print(" "), print_number((uint32_t)status), print("\r\n");
            }
            used = 0;
        }
    }
}

__asm__(".globl _start; _start: mov $stack_end, %esp; push %ebx; push %eax; call begin; 1: hlt; jmp 1b;"
        ".pushsection .bss; .balign 16; .skip 65536; stack_end: .popsection");
