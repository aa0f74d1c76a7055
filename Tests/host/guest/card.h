// SPDX-License-Identifier: LGPL-2.1-or-later
// The Ethernet card: virtio, as in its specification's chapter "Legacy Interface".
#pragma once
#include "machine.h"

enum { RING = 256, FRAME = 1514 };

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
