/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface between Swift and libxml2: one function that parses a document and calls back for each element. It
 * exposes no structure of libxml2, since versions differ in them (2.9.14 and 2.12 in the error callback).
 */
#ifndef CLIBXML2_H
#define CLIBXML2_H

#include <stddef.h>
#include <stdint.h>

/* Limits of a document; exceeding each is an error of its own. */
struct vtxml_limits {
    size_t depth;         /* elements inside one another, at most 255 (libxml2's own limit is 256) */
    size_t elements;      /* in the whole document, skipped ones included */
    size_t attributes;    /* of one element, namespace declarations included */
    size_t namespaces;    /* declarations in scope at one element */
    int namespace_errors; /* 1: an undeclared prefix is an error; 0: the caller decides */
};

struct vtxml_attribute {
    const char *name;   /* without its prefix */
    const char *prefix; /* NULL: none */
    const char *uri;    /* NULL: none, or the prefix is not declared */
    const char *value;  /* not terminated; entities and character references are resolved */
    size_t length;
};

/* Strings are UTF-8, live only during the call, and end in NUL except where a length says otherwise. */
struct vtxml_handler {
    void *context;
    /* 0: go on; 1: skip the element's content, and do not call `end` for it. `line` is where the tag ends. */
    int (*start)(void *context, const char *name, const char *prefix, const char *uri,
                 const struct vtxml_attribute *attributes, size_t count, uint32_t line);
    /* Text and CDATA, in any number of pieces. */
    void (*text)(void *context, const char *bytes, size_t length);
    void (*end)(void *context);
};

enum vtxml_code {
    VTXML_OK = 0,
    VTXML_EMPTY,    /* no bytes */
    VTXML_UTF16,    /* a UTF-16 byte order mark */
    VTXML_NUL,      /* a NUL byte */
    VTXML_NOT_UTF8, /* bytes that are not UTF-8 */
    VTXML_ENCODING, /* the declaration names another encoding; `message` is its name */
    VTXML_DOCTYPE,  /* a document type declaration, thus perhaps entities */
    VTXML_TOO_DEEP,
    VTXML_TOO_MANY_ELEMENTS,
    VTXML_TOO_MANY_ATTRIBUTES,
    VTXML_TOO_MANY_NAMESPACES,
    VTXML_MALFORMED, /* `message` is libxml2's sentence */
    VTXML_NO_MEMORY,
};

struct vtxml_problem {
    enum vtxml_code code;
    uint32_t line;     /* 1 is the first; 0: not known */
    char message[256]; /* UTF-8, truncated at any byte, control characters included: escape it */
};

/*
 * Parses one document in memory: UTF-8 only, no network, no DTD, no entities except XML's own five. Takes time linear
 * in `size` under the given limits, and reads nothing after the first error. Returns the problem's code. Callbacks that
 * were made before an error are not undone.
 */
enum vtxml_code vtxml_parse(const void *bytes, size_t size, const struct vtxml_limits *limits,
                            const struct vtxml_handler *handler, struct vtxml_problem *problem);

/*
 * Parses an address literal into its bytes in network order and its canonical text (inet_ntop's, RFC 5952).
 * Returns 4 or 16, the number of bytes; 0 when `text` is not an address literal.
 */
int vtxml_address(const char *text, uint8_t bytes[16], char canonical[46]);

#endif
