// SPDX-License-Identifier: LGPL-2.1-or-later
// The processor, its ports and its clock, and text on the serial port: what an operating system would give guest.c.
#pragma once
#include <stdint.h>

enum { TICK_MS = 20 };

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
