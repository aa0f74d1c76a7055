/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RELAX NG validation with libxml2, for tests that compare the schemas with the parser. */
#ifndef CRELAXNG_H
#define CRELAXNG_H

#include <stddef.h>

/* A schema from a file, or NULL and a message. Free it with vtrng_free. */
void *vtrng_load(const char *path, char *message, size_t size);

/* 0: valid; 1: invalid, with a message; -1: not well-formed. */
int vtrng_validate(void *schema, const void *bytes, size_t count, char *message, size_t size);

void vtrng_free(void *schema);

#endif
