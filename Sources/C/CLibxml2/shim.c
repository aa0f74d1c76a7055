/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include "CLibxml2.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>

/* A limit below it refuses deeper documents. */
#define DEPTH_MAX 255

struct state {
    const unsigned char *next;
    size_t left;
    const struct vtxml_limits *limits;
    const struct vtxml_handler *handler;
    struct vtxml_problem *problem;
    xmlParserCtxtPtr parser;
    size_t depth;
    size_t skip_depth; /* depth of the element whose content is skipped; 0: none */
    size_t elements;
    size_t namespaces;
    size_t declared[DEPTH_MAX + 1]; /* namespace declarations of each open element */
    struct vtxml_attribute *attributes;
};

static void fail(struct state *state, enum vtxml_code code, uint32_t line, const char *message) {
    struct vtxml_problem *problem = state->problem;

    if (problem->code != VTXML_OK)
        return;
    problem->code = code;
    problem->line = line;
    if (message) {
        size_t length = strcspn(message, "\r\n");

        if (length >= sizeof problem->message)
            length = sizeof problem->message - 1;
        memcpy(problem->message, message, length);
        problem->message[length] = '\0';
    }
}

static uint32_t current_line(struct state *state) {
    int line = state->parser ? xmlSAX2GetLineNumber(state->parser) : 0;

    return line > 0 ? (uint32_t)line : 0;
}

static void stop(struct state *state, enum vtxml_code code) {
    fail(state, code, current_line(state), NULL);
    xmlStopParser(state->parser);
}

/* Returns the length of the UTF-8 sequence at `at` (RFC 3629: no overlong forms, no surrogates), or 0. */
static size_t sequence(const unsigned char *at, size_t left) {
    unsigned char first = at[0];
    unsigned char low = 0x80, high = 0xBF;
    size_t length;

    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        length = 2;
    else if (first >= 0xE0 && first <= 0xEF)
        length = 3;
    else if (first >= 0xF0 && first <= 0xF4)
        length = 4;
    else
        return 0;
    if (left < length)
        return 0;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t index = 2; index < length; index++)
        if ((at[index] & 0xC0) != 0x80)
            return 0;
    return length;
}

static int check_bytes(struct state *state) {
    const unsigned char *bytes = state->next;
    uint32_t line = 1;

    for (size_t at = 0; at < state->left;) {
        size_t length = sequence(bytes + at, state->left - at);

        if (bytes[at] == 0 || length == 0) {
            fail(state, length ? VTXML_NUL : VTXML_NOT_UTF8, line, NULL);
            return -1;
        }
        line += bytes[at] == '\n';
        at += length;
    }
    return 0;
}

/* libxml2 is set to assume UTF-8 and ignore declarations, so a declaration of another encoding is an error here. */
static int check_encoding(struct state *state) {
    static const char *const accepted[] = {"UTF-8", "UTF8", "US-ASCII", "ASCII"};
    const char *text = (const char *)state->next;
    size_t limit = state->left < 256 ? state->left : 256;
    char declaration[257], *value, *end;

    if (limit < 6 || memcmp(text, "<?xml", 5) != 0 || !strchr(" \t\r\n", text[5]))
        return 0;
    memcpy(declaration, text, limit);
    declaration[limit] = '\0';
    end = strstr(declaration, "?>");
    if (end)
        *end = '\0';
    value = strstr(declaration, "encoding");
    if (!value)
        return 0;
    value += strlen("encoding");
    value += strspn(value, " \t\r\n=");
    if (*value != '"' && *value != '\'')
        return 0;
    end = strchr(value + 1, *value);
    if (!end)
        return 0;
    *end = '\0';
    for (size_t index = 0; index < sizeof accepted / sizeof *accepted; index++)
        if (strcasecmp(value + 1, accepted[index]) == 0)
            return 0;
    fail(state, VTXML_ENCODING, 1, value + 1);
    return -1;
}

static const unsigned char *find(const unsigned char *at, const unsigned char *end, const char *what) {
    const unsigned char *found = memmem(at, (size_t)(end - at), what, strlen(what));

    return found ? found + strlen(what) : end;
}

/*
 * Counts the attributes of each tag before libxml2 parses it: up to version 2.11 it compares all pairs of a tag, so
 * that a million attributes of one element would take hours. Text that is not well-formed is left to libxml2, which
 * stops there.
 */
static int check_attributes(struct state *state) {
    const unsigned char *start = state->next, *at = start, *end = start + state->left;

    while ((at = memchr(at, '<', (size_t)(end - at))) != NULL) {
        size_t left = (size_t)(end - at), count = 0;
        unsigned char quote = 0;

        if (left >= 4 && memcmp(at, "<!--", 4) == 0) {
            at = find(at + 4, end, "-->");
            continue;
        }
        if (left >= 9 && memcmp(at, "<![CDATA[", 9) == 0) {
            at = find(at + 9, end, "]]>");
            continue;
        }
        if (left >= 2 && at[1] == '?') {
            at = find(at + 2, end, "?>");
            continue;
        }
        for (at++; at < end && (quote || *at != '>'); at++) {
            if (quote) {
                if (*at == quote)
                    quote = 0;
            } else if (*at == '"' || *at == '\'') {
                quote = *at;
            } else if (*at == '=' && ++count > state->limits->attributes) {
                uint32_t line = 1;

                for (const unsigned char *byte = start; byte < at; byte++)
                    line += *byte == '\n';
                fail(state, VTXML_TOO_MANY_ATTRIBUTES, line, NULL);
                return -1;
            }
        }
    }
    return 0;
}

/* Ends the input once there is a problem: libxml2 would otherwise go on to the document's end, without limits. */
static int read_more(void *context, char *buffer, int length) {
    struct state *state = context;
    size_t count = length > 0 ? (size_t)length : 0;

    if (state->problem->code != VTXML_OK)
        return 0;
    if (count > state->left)
        count = state->left;
    memcpy(buffer, state->next, count);
    state->next += count;
    state->left -= count;
    return (int)count;
}

static int close_input(void *context) {
    (void)context;
    return 0;
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int namespace_count,
                     const xmlChar **namespaces, int attribute_count, int defaulted_count, const xmlChar **attributes) {
    struct state *state = context;
    const struct vtxml_limits *limits = state->limits;
    size_t count = (size_t)attribute_count;

    (void)namespaces;
    (void)defaulted_count;
    if (state->problem->code != VTXML_OK)
        return;
    if (state->depth >= limits->depth || state->depth >= DEPTH_MAX) {
        stop(state, VTXML_TOO_DEEP);
        return;
    }
    if (++state->elements > limits->elements) {
        stop(state, VTXML_TOO_MANY_ELEMENTS);
        return;
    }
    state->depth++;
    state->declared[state->depth] = (size_t)namespace_count;
    state->namespaces += (size_t)namespace_count;
    if (state->namespaces > limits->namespaces) {
        stop(state, VTXML_TOO_MANY_NAMESPACES);
        return;
    }
    if (state->skip_depth)
        return;
    if (count > limits->attributes) {
        stop(state, VTXML_TOO_MANY_ATTRIBUTES);
        return;
    }
    for (size_t index = 0; index < count; index++) {
        const xmlChar **attribute = attributes + index * 5;

        state->attributes[index] = (struct vtxml_attribute){
            .name = (const char *)attribute[0],
            .prefix = (const char *)attribute[1],
            .uri = (const char *)attribute[2],
            .value = (const char *)attribute[3],
            .length = (size_t)(attribute[4] - attribute[3]),
        };
    }
    if (state->handler->start(state->handler->context, (const char *)name, (const char *)prefix, (const char *)uri,
                              state->attributes, count, current_line(state)))
        state->skip_depth = state->depth;
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri) {
    struct state *state = context;

    (void)name;
    (void)prefix;
    (void)uri;
    if (state->problem->code != VTXML_OK || state->depth == 0)
        return;
    if (!state->skip_depth)
        state->handler->end(state->handler->context);
    else if (state->skip_depth == state->depth)
        state->skip_depth = 0;
    state->namespaces -= state->declared[state->depth];
    state->depth--;
}

static void on_text(void *context, const xmlChar *bytes, int length) {
    struct state *state = context;

    if (state->problem->code == VTXML_OK && !state->skip_depth && length > 0)
        state->handler->text(state->handler->context, (const char *)bytes, (size_t)length);
}

static void on_doctype(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system) {
    (void)name;
    (void)external;
    (void)system;
    stop(context, VTXML_DOCTYPE);
}

#if LIBXML_VERSION >= 21200
static void on_error(void *context, const xmlError *error)
#else
static void on_error(void *context, xmlError *error)
#endif
{
    struct state *state = context;

    if (!error || error->level < XML_ERR_ERROR)
        return;
    if (error->domain == XML_FROM_NAMESPACE && error->level < XML_ERR_FATAL && !state->limits->namespace_errors)
        return;
    fail(state, error->code == XML_ERR_NO_MEMORY ? VTXML_NO_MEMORY : VTXML_MALFORMED,
         error->line > 0 ? (uint32_t)error->line : 0, error->message);
}

static pthread_once_t initialised = PTHREAD_ONCE_INIT;

static void initialise(void) {
    xmlInitParser();
}

static void parse(struct state *state) {
    xmlSAXHandler sax;

    memset(&sax, 0, sizeof sax);
    sax.initialized = XML_SAX2_MAGIC;
    sax.startElementNs = on_start;
    sax.endElementNs = on_end;
    sax.characters = on_text;
    sax.ignorableWhitespace = on_text;
    sax.cdataBlock = on_text;
    sax.internalSubset = on_doctype;
    sax.serror = on_error;

    state->attributes = calloc(state->limits->attributes + 1, sizeof *state->attributes);
    if (state->attributes)
        state->parser = xmlCreateIOParserCtxt(&sax, state, read_more, close_input, state, XML_CHAR_ENCODING_UTF8);
    if (!state->parser) {
        fail(state, VTXML_NO_MEMORY, 0, NULL);
        free(state->attributes);
        return;
    }
    /* With NOENT, &amp; in an attribute becomes the character; without it, the text "&#38;". There are no other
     * entities to substitute, since on_doctype stops every document that could define one. */
    xmlCtxtUseOptions(state->parser, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC | XML_PARSE_NOENT);
    xmlParseDocument(state->parser);
    if (!state->parser->wellFormed)
        fail(state, VTXML_MALFORMED, current_line(state), "the document is not well-formed");
    xmlFreeParserCtxt(state->parser);
    free(state->attributes);
}

enum vtxml_code vtxml_parse(const void *bytes, size_t size, const struct vtxml_limits *limits,
                            const struct vtxml_handler *handler, struct vtxml_problem *problem) {
    struct state state = {.next = bytes, .left = size, .limits = limits, .handler = handler, .problem = problem};

    memset(problem, 0, sizeof *problem);
    pthread_once(&initialised, initialise);
    if (size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        state.next += 3;
        state.left -= 3;
    }
    if (size >= 2 && (memcmp(bytes, "\xFE\xFF", 2) == 0 || memcmp(bytes, "\xFF\xFE", 2) == 0))
        fail(&state, VTXML_UTF16, 1, NULL);
    else if (state.left == 0)
        fail(&state, VTXML_EMPTY, 0, NULL);
    else if (check_bytes(&state) == 0 && check_encoding(&state) == 0 && check_attributes(&state) == 0)
        parse(&state);
    return problem->code;
}

int vtxml_address(const char *text, uint8_t bytes[16], char canonical[46]) {
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;

    if (inet_pton(family, text, bytes) != 1 || !inet_ntop(family, bytes, canonical, 46))
        return 0;
    return family == AF_INET6 ? 16 : 4;
}
