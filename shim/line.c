/*
 * line.c - builds requests and takes answers apart
 */
#include "line.h"

#include <string.h>

/**
 * append() - Adds bytes to a line, or marks it as broken
 * @line:	Line to add to
 * @bytes:	What to add
 * @length:	How much of it
 */
static void append(struct line *line, const char *bytes, size_t length)
{
    if (line->broken || length > sizeof(line->bytes) - line->length) {
        line->broken = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

/**
 * line_begin() - Starts a request
 * @line:	Line to fill
 * @verb:	What is asked
 */
void line_begin(struct line *line, const char *verb)
{
    line->length = 0;
    line->broken = false;
    append(line, PROTOCOL, sizeof(PROTOCOL) - 1);
    line_word(line, verb);
}

/**
 * line_word() - Adds a word; one that is empty or holds blanks, control characters or bytes over 0x7e breaks the line
 * @line:	Line to add to
 * @word:	Word to add
 */
void line_word(struct line *line, const char *word)
{
    size_t length = 0;

    for (; word[length]; length++) {
        unsigned char byte = (unsigned char)word[length];

        if (byte <= ' ' || byte > '~' || length >= sizeof(line->bytes))
            line->broken = true;
        if (line->broken)
            return;
    }
    if (!length)
        line->broken = true;
    append(line, " ", 1);
    append(line, word, length);
}

/**
 * line_number() - Adds a number as a decimal word
 * @line:	Line to add to
 * @number:	Number to add
 */
void line_number(struct line *line, uint32_t number)
{
    char digits[11];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    line_word(line, digits + at);
}

/**
 * line_end() - Ends a request with its newline
 * @line:	Line to end
 *
 * Return: whether the line can be sent
 */
bool line_end(struct line *line)
{
    append(line, "\n", 1);
    return !line->broken;
}

/**
 * answer_word() - Takes the next word off an answer, in place
 * @cursor:	Where to go on reading; moved behind the word
 *
 * Return: the word, or NULL at the end of the answer
 */
char *answer_word(char **cursor)
{
    char *word = *cursor;
    char *end;

    while (*word == ' ')
        word++;
    if (!*word)
        return NULL;
    for (end = word; *end && *end != ' ';)
        end++;
    if (*end)
        *end++ = '\0';
    *cursor = end;
    return word;
}

/**
 * answer_number() - Reads a decimal word
 * @word:	Word, or NULL
 * @most:	Largest number that is valid
 * @number:	Set to the number
 *
 * Return: whether the word is a number from 0 to @most
 */
bool answer_number(const char *word, uint32_t most, uint32_t *number)
{
    uint64_t value = 0;

    if (!word || !*word)
        return false;
    for (; *word; word++) {
        if (*word < '0' || *word > '9')
            return false;
        value = value * 10 + (uint64_t)(*word - '0');
        if (value > most)
            return false;
    }
    *number = (uint32_t)value;
    return true;
}
