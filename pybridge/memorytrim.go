package pybridge

// #include <malloc.h>
// #ifdef __GLIBC__
// static void trim(void) { malloc_trim(0); }
// #else
// static void trim(void) {}
// #endif
import "C"

// TrimHeap gives the kernel back what malloc holds and nobody uses: after a
// load half a megabyte. Any goroutine.
func TrimHeap() { C.trim() }
