/*
 * static.c - a program that is linked statically, and says that it ran
 */
#include <unistd.h>

int main(void)
{
    return write(STDOUT_FILENO, "ran\n", 4) != 4;
}
