/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "CLibvirt.h"

#include <stddef.h>

int clibvirt_register_lifecycle(virConnectPtr connection, virConnectDomainEventCallback callback, void *opaque,
                                virFreeCallback release) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}

int clibvirt_register_metadata_change(virConnectPtr connection, virConnectDomainEventMetadataChangeCallback callback,
                                      void *opaque, virFreeCallback release) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}

int clibvirt_register_device_added(virConnectPtr connection, virConnectDomainEventDeviceAddedCallback callback,
                                   void *opaque, virFreeCallback release) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}

int clibvirt_register_device_removed(virConnectPtr connection, virConnectDomainEventDeviceRemovedCallback callback,
                                     void *opaque, virFreeCallback release) {
    return virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
                                            VIR_DOMAIN_EVENT_CALLBACK(callback), opaque, release);
}
