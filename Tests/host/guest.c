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
#include <stdint.h>

enum { TICK_MS = 20, RING = 256, FRAME = 1514 };
// A network without prefix lengths: all of 192.0.2.0/24 is on the wire, and 192.0.2.255 is everybody.
static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};

__attribute__((section(".multiboot"), used)) static const uint32_t multiboot[3] = {0x1badb002, 0, -0x1badb002u};

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

// --- the processor and its ports ---------------------------------------------------------------------------------

static void out8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}
static void out16(uint16_t port, uint16_t value) {
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}
static void out32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}
static uint8_t in8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static uint16_t in16(uint16_t port) {
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static uint32_t in32(uint16_t port) {
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

// The compiler calls these.
void *memcpy(void *to, const void *from, uint32_t count) {
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
    return start;
}
void *memset(void *to, int value, uint32_t count) {
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
    return start;
}

static volatile uint32_t ticks;
void tick(void);
void tick(void) {
    ticks++;
    out8(0x20, 0x20); // the end of the interrupt
}
// The only interrupt that there is.
__asm__("on_tick: pusha; cld; call tick; popa; iret");
extern const char on_tick[];

static void start_clock(void) {
    static uint64_t descriptors[3] __attribute__((aligned(8))) = {0, 0x00cf9a000000ffff, 0x00cf92000000ffff};
    static uint64_t interrupts[33] __attribute__((aligned(8)));
    static struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } table;
    table.limit = sizeof descriptors - 1, table.base = (uint32_t)descriptors;
    __asm__ volatile(
        "lgdt %0; ljmp $8, $1f; 1: mov $16, %%eax; mov %%eax, %%ds; mov %%eax, %%es; mov %%eax, %%ss" ::"m"(table)
        : "eax");
    uint32_t handler = (uint32_t)on_tick;
    interrupts[32] = (handler & 0xffff) | 8u << 16 | (uint64_t)((handler & 0xffff0000) | 0x8e00) << 32;
    table.limit = sizeof interrupts - 1, table.base = (uint32_t)interrupts;
    __asm__ volatile("lidt %0" ::"m"(table));
    // The interrupt controllers: from 32 on, and none but the timer's.
    static const uint8_t words[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32}, {0xa1, 40},   {0x21, 4},
                                       {0xa1, 2},    {0x21, 1},    {0xa1, 1},  {0x21, 0xfe}, {0xa1, 0xff}};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        out8(words[i][0], words[i][1]);
    uint32_t divisor = 1193182 * TICK_MS / 1000;
    out8(0x43, 0x34);
    out8(0x40, (uint8_t)divisor);
    out8(0x40, (uint8_t)(divisor >> 8));
    __asm__ volatile("sti");
}

// --- text --------------------------------------------------------------------------------------------------------

enum { COM1 = 0x3f8 };
static void print(const char *text) {
    for (; *text; text++) {
        while (!(in8(COM1 + 5) & 0x20))
            ;
        out8(COM1, (uint8_t)*text);
    }
}
static char *append(char *to, const char *text) {
    while (*text)
        *to++ = *text++;
    *to = 0;
    return to;
}
static char *append_number(char *to, uint32_t number) {
    char digits[11], *first = digits + 10;
    *first = 0;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    return append(to, first);
}
static void print_number(uint32_t number) {
    char text[11];
    append_number(text, number);
    print(text);
}
// What follows the prefix in the text, or nothing.
static const char *after(const char *text, const char *prefix) {
    while (*prefix)
        if (*text++ != *prefix++)
            return 0;
    return text;
}
static uint32_t number(const char **text) {
    uint32_t value = 0;
    while (**text >= '0' && **text <= '9')
        value = value * 10 + (uint32_t)(*(*text)++ - '0');
    return value;
}
static void address(const char *text, uint8_t *to) {
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)number(&text);
        if (*text == '.')
            text++;
    }
}

// --- the card ----------------------------------------------------------------------------------------------------

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};
// A queue of RING entries, laid out as the card expects it; entry N has frame N for itself.
struct queue {
    struct descriptor descriptors[RING];
    uint16_t available_flags, available_index, available[RING], unused;
    uint8_t padding[4096 - (RING * 16 + 6 + RING * 2) % 4096];
    volatile uint16_t used_flags, used_index;
    volatile struct { uint32_t id, length; } used[RING];
} __attribute__((aligned(4096)));
// In front of each frame: none of what it could say is asked for.
enum { CARD_HEADER = 10 };
static struct queue queues[2];
static uint8_t frames[2][RING][CARD_HEADER + FRAME];
static uint16_t card, received;
static uint8_t own_mac[6], own_ip[4];

static uint32_t pci(uint32_t device, uint32_t offset) {
    out32(0xcf8, 0x80000000 | device << 11 | offset);
    return in32(0xcfc);
}

static int start_card(void) {
    for (uint32_t device = 0; device < 32 && !card; device++)
        if (pci(device, 0) == 0x10001af4) {
            card = pci(device, 0x10) & ~3u;
            uint32_t command = pci(device, 4) | 5; // its ports, and that it may reach memory
            out32(0xcfc, command);
        }
    if (!card)
        return 0;
    out8(card + 18, 0);
    out8(card + 18, 3);
    out32(card + 4, in32(card) & 1u << 5); // an address of its own, and nothing else
    for (uint16_t i = 0; i < 2; i++) {
        out16(card + 14, i);
        if (in16(card + 12) != RING)
            return 0;
        for (uint16_t entry = 0; entry < RING; entry++) {
            queues[i].descriptors[entry] =
                (struct descriptor){(uint32_t)frames[i][entry], sizeof frames[i][entry], i ? 0 : 2, 0};
            queues[i].available[entry] = entry;
        }
        queues[i].available_flags = 1; // no interrupts
        out32(card + 8, (uint32_t)&queues[i] >> 12);
    }
    queues[0].available_index = RING;
    for (uint16_t i = 0; i < 6; i++)
        own_mac[i] = in8(card + 20 + i);
    out8(card + 18, 7);
    out16(card + 16, 0);
    return 1;
}

// Where the next frame to be sent is to be written; it waits until the card has sent what was there.
static uint8_t *next_frame(void) {
    struct queue *queue = &queues[1];
    while ((uint16_t)(queue->available_index - queue->used_index) >= RING)
        ;
    return frames[1][queue->available_index % RING] + CARD_HEADER;
}
static void send(uint32_t length) {
    struct queue *queue = &queues[1];
    if (length < 60)
        length = 60;
    queue->descriptors[queue->available_index % RING].length = CARD_HEADER + length;
    __asm__ volatile("mfence" ::: "memory");
    queue->available_index++;
    __asm__ volatile("mfence" ::: "memory");
    out16(card + 16, 1);
}

// --- packets -----------------------------------------------------------------------------------------------------

static void put16(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)(value >> 8), to[1] = (uint8_t)value;
}
static int same(const void *one, const void *two, uint32_t count) {
    const uint8_t *a = one, *b = two;
    while (count--)
        if (*a++ != *b++)
            return 0;
    return 1;
}
static void put_checksum(uint8_t *to, const uint8_t *from, uint32_t count) {
    uint32_t sum = 0;
    put16(to, 0);
    for (uint32_t i = 0; i < count; i += 2)
        sum += (uint32_t)from[i] << 8 | (i + 1 < count ? from[i + 1] : 0);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(to, ~(sum + (sum >> 16)));
}
static void ethernet(uint8_t *frame, const uint8_t *mac, uint32_t type) {
    memcpy(frame, mac, 6);
    memcpy(frame + 6, own_mac, 6);
    put16(frame + 12, type);
}
static void internet(uint8_t *frame, const uint8_t *mac, const uint8_t *ip, uint8_t protocol, uint32_t payload) {
    ethernet(frame, mac, 0x0800);
    memset(frame + 14, 0, 20);
    frame[14] = 0x45, frame[22] = 64, frame[23] = protocol;
    put16(frame + 16, 20 + payload);
    memcpy(frame + 26, own_ip, 4);
    memcpy(frame + 30, ip, 4);
    put_checksum(frame + 24, frame + 14, 20);
}

static const char *name = "guest";
static char name_text[32];
static void send_numbered(const char *kind, uint32_t port, uint32_t count) {
    uint8_t *frame = next_frame(), ip[4];
    memcpy(ip, own_ip, 3), ip[3] = 255;
    char *text = (char *)frame + 42, *end = append(append(append(append(text, "vt "), kind), " "), name);
    end = append(append_number(append(end, " "), count), "\n");
    uint32_t length = 8 + (uint32_t)(end - text);
    internet(frame, everybody, ip, 17, length);
    put16(frame + 34, port), put16(frame + 36, port), put16(frame + 38, length),
        put16(frame + 40, 0); // without a checksum
    send(34 + length);
}

static void send_arp(uint32_t operation, const uint8_t *mac, const uint8_t *ip) {
    uint8_t *frame = next_frame();
    ethernet(frame, operation == 1 ? everybody : mac, 0x0806);
    memcpy(frame + 14, "\0\1\10\0\6\4", 6);
    put16(frame + 20, operation);
    memcpy(frame + 22, own_mac, 6), memcpy(frame + 28, own_ip, 4);
    memcpy(frame + 32, mac, 6), memcpy(frame + 38, ip, 4);
    memset(frame + 42, 0, 18);
    send(60);
}

// Whom this guest pings, and what has come back.
static struct {
    uint8_t ip[4], mac[6];
    int known;
    uint32_t answers;
} peer;

static void send_ping(uint32_t sequence) {
    uint8_t *frame = next_frame();
    internet(frame, peer.mac, peer.ip, 1, 64);
    memset(frame + 34, 0, 64);
    frame[34] = 8;
    put16(frame + 38, 99), put16(frame + 40, sequence);
    put_checksum(frame + 36, frame + 34, 64);
    send(98);
}

static void take(const uint8_t *frame, uint32_t length) {
    if (length >= 42 && frame[12] == 8 && frame[13] == 6) {
        if (frame[21] == 1 && same(frame + 38, own_ip, 4))
            send_arp(2, frame + 22, frame + 28);
        if (frame[21] == 2 && same(frame + 28, peer.ip, 4))
            memcpy(peer.mac, frame + 22, 6), peer.known = 1;
    } else if (length >= 42 && length <= FRAME && frame[12] == 8 && frame[13] == 0 && frame[14] == 0x45 &&
               frame[23] == 1 && same(frame + 30, own_ip, 4)) {
        uint32_t total = (uint32_t)frame[16] << 8 | frame[17];
        if (total < 28 || 14 + total > length)
            return;
        if (frame[34] == 0 && same(frame + 26, peer.ip, 4))
            peer.answers++;
        if (frame[34] == 8) {
            uint8_t *answer = next_frame();
            memcpy(answer, frame, 14 + total);
            internet(answer, frame + 6, frame + 26, 1, total - 20);
            answer[34] = 0;
            put_checksum(answer + 36, answer + 34, total - 20);
            send(14 + total);
        }
    }
}

static void take_all(void) {
    struct queue *queue = &queues[0];
    while (received != queue->used_index) {
        uint32_t entry = queue->used[received % RING].id, length = queue->used[received % RING].length;
        if (length > CARD_HEADER)
            take(frames[0][entry] + CARD_HEADER, length - CARD_HEADER);
        queue->available[queue->available_index % RING] = (uint16_t)entry;
        __asm__ volatile("mfence" ::: "memory");
        queue->available_index++;
        received++;
        out16(card + 16, 0);
    }
}

// --- what it is told ---------------------------------------------------------------------------------------------

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
