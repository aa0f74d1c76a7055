/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's own header, and one typed registration function per event that virt-tap listens to.
 *
 * virConnectDomainEventRegisterAny() takes every kind of callback through one cast, VIR_DOMAIN_EVENT_CALLBACK, which
 * is a macro and which would let Swift register a function of the wrong type. All four below return the callback's
 * number, for virConnectDomainEventDeregisterAny(), or -1 with libvirt's error of this thread set.
 *
 * Who owns what:
 * - `opaque` belongs to libvirt from a successful return on. libvirt calls `release` with it once, after the last
 *   event, on whichever thread removes the callback: usually the event loop's, later than the deregistration. After
 *   -1 it still belongs to the caller and `release` is not called.
 * - The connection, the domain and the strings that a callback gets belong to libvirt and are valid only until the
 *   callback returns: copy what is needed.
 * - What virDomainGetXMLDesc() and virConnectGetURI() return belongs to the caller, who free()s it; so does the list of
 *   virConnectListAllDomains(), whose domains are freed one by one with virDomainFree().
 * - The text of virGetLastErrorMessage() belongs to libvirt and is valid until the next call into libvirt on the same
 * thread.
 */
#ifndef CLIBVIRT_H
#define CLIBVIRT_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

int clibvirt_register_lifecycle(virConnectPtr connection, virConnectDomainEventCallback callback, void *opaque,
                                virFreeCallback release);

int clibvirt_register_metadata_change(virConnectPtr connection, virConnectDomainEventMetadataChangeCallback callback,
                                      void *opaque, virFreeCallback release);

int clibvirt_register_device_added(virConnectPtr connection, virConnectDomainEventDeviceAddedCallback callback,
                                   void *opaque, virFreeCallback release);

int clibvirt_register_device_removed(virConnectPtr connection, virConnectDomainEventDeviceRemovedCallback callback,
                                     void *opaque, virFreeCallback release);

#endif
