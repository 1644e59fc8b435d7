/*
 * What front.c carries, in its read-only data: so it is found without looking at our own file, which may be anywhere,
 * and a signature of the file (macOS) is one of this too. RUNTIME_FILE and BUNDLE_FILE are made by the build.
 */
#include "names.h"

#ifdef __APPLE__
	.section __TEXT,__const
#define NAME(x) _##x
#else
	.section .note.GNU-stack, "", %progbits
	.section .rodata
#define NAME(x) x
#endif

	.globl NAME(front_runtime), NAME(front_runtime_end), NAME(front_bundle), NAME(front_bundle_end)
	.balign 16
NAME(front_runtime):
	.incbin RUNTIME_FILE
NAME(front_runtime_end):
	.byte 0
	.balign 16
NAME(front_bundle):
	.incbin BUNDLE_FILE
NAME(front_bundle_end):
	.byte 0
