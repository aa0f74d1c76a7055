/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "CRelaxNG.h"

#include <stdio.h>

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/xmlerror.h>

struct sink {
    char *message;
    size_t size;
    size_t used;
};

#if LIBXML_VERSION >= 21200
static void on_error(void *context, const xmlError *error)
#else
static void on_error(void *context, xmlError *error)
#endif
{
    struct sink *sink = context;

    if (sink->used + 1 >= sink->size)
        return;
    int count = snprintf(sink->message + sink->used, sink->size - sink->used, "%d: %s", error->line,
                         error->message ? error->message : "");
    if (count > 0)
        sink->used += (size_t)count < sink->size - sink->used ? (size_t)count : sink->size - sink->used - 1;
}

void *vtrng_load(const char *path, char *message, size_t size) {
    struct sink sink = {message, size, 0};
    xmlRelaxNGPtr schema = NULL;
    xmlRelaxNGParserCtxtPtr parser;

    message[0] = '\0';
    xmlInitParser();
    parser = xmlRelaxNGNewParserCtxt(path);
    if (!parser)
        return NULL;
    xmlRelaxNGSetParserStructuredErrors(parser, on_error, &sink);
    schema = xmlRelaxNGParse(parser);
    xmlRelaxNGFreeParserCtxt(parser);
    return schema;
}

int vtrng_validate(void *schema, const void *bytes, size_t count, char *message, size_t size) {
    struct sink sink = {message, size, 0};
    xmlDocPtr document;
    xmlRelaxNGValidCtxtPtr context;
    int result = -1;

    message[0] = '\0';
    document = xmlReadMemory(bytes, (int)count, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!document)
        return -1;
    context = xmlRelaxNGNewValidCtxt(schema);
    if (context) {
        xmlRelaxNGSetValidStructuredErrors(context, on_error, &sink);
        result = xmlRelaxNGValidateDoc(context, document) == 0 ? 0 : 1;
        xmlRelaxNGFreeValidCtxt(context);
    }
    xmlFreeDoc(document);
    return result;
}

void vtrng_free(void *schema) {
    xmlRelaxNGFree(schema);
}
