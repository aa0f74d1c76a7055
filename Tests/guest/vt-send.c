// SPDX-License-Identifier: LGPL-2.1-or-later
// The test guest's packet generator: numbered UDP packets from one interface, as early as the interface can send.
//
// usage: vt-send INTERFACE ADDRESS PORT COUNT INTERVAL_MS KIND NAME [SIZE]
// The payload is the text "vt KIND NAME NUMBER\n", NUMBER from 1 to COUNT; COUNT 0 sends until it is killed. With SIZE
// it is filled up with zeros to so many bytes.
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void wait_until_running(int fd, const char *interface) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    while (ioctl(fd, SIOCGIFFLAGS, &request) < 0 || !(request.ifr_flags & IFF_RUNNING))
        usleep(1000);
    // The flag is set a moment before the kernel gives the device its queue; until then packets vanish. Setting
    // the same flags again takes the lock that the kernel holds meanwhile, so afterwards the queue is there.
    ioctl(fd, SIOCSIFFLAGS, &request);
}

int main(int argc, char **argv) {
    char payload[1472] = {0};
    size_t size = argc == 9 ? strtoul(argv[8], NULL, 10) : 0;
    if (argc < 8 || argc > 9 || size > sizeof payload) {
        fprintf(stderr, "usage: vt-send INTERFACE ADDRESS PORT COUNT INTERVAL_MS KIND NAME [SIZE]\n");
        return 64;
    }
    const char *interface = argv[1];
    unsigned long count = strtoul(argv[4], NULL, 10), interval = strtoul(argv[5], NULL, 10);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
    if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
        fprintf(stderr, "vt-send: %s is no IPv4 address\n", argv[2]);
        return 64;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface));
    wait_until_running(fd, interface);
    unsigned long failed = 0;
    for (unsigned long number = 1; count == 0 || number <= count; number++) {
        size_t text = (size_t)snprintf(payload, sizeof payload, "vt %s %s %lu\n", argv[6], argv[7], number);
        size_t length = text < size ? size : text;
        if (sendto(fd, payload, length, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)length)
            failed++;
        if (interval) {
            struct timespec pause = {(time_t)(interval / 1000), (long)(interval % 1000) * 1000000L};
            nanosleep(&pause, NULL);
        }
    }
    return failed ? 1 : 0;
}
