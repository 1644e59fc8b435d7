/*
 * line.h - one line of the control protocol: words between single blanks, ended by a newline
 *
 * Pure: no system calls, no libc state, so that it is tested and fuzzed alone.
 */
#ifndef TELEPRESENCE_LINE_H
#define TELEPRESENCE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version word that every request begins with. */
#define PROTOCOL "shim/2"

/* Bounds of the protocol, newline included: README.md, "Lines". */
#define REQUEST_BYTES 512
#define ANSWER_BYTES 4096
/* Room for an answer about one connection: it has to fit the stack of any thread. */
#define SHORT_ANSWER_BYTES 256

/* struct line - a request as it is built
 * @length: Bytes in @bytes
 * @broken: A word did not fit or cannot stand in a line; such a line is never sent
 */
struct line {
    size_t length;
    bool broken;
    char bytes[REQUEST_BYTES];
};

void line_begin(struct line *line, const char *verb);
void line_word(struct line *line, const char *word);
void line_number(struct line *line, uint32_t number);
bool line_end(struct line *line);

char *answer_word(char **cursor);
bool answer_number(const char *word, uint32_t most, uint32_t *number);

#endif
