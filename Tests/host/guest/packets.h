// SPDX-License-Identifier: LGPL-2.1-or-later
// What guest.c sends, and what it answers: ARP, pings, and numbered packets to everybody.
#pragma once
#include "card.h"

// A network without prefix lengths: all of 192.0.2.0/24 is on the wire, and 192.0.2.255 is everybody.
static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};

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
