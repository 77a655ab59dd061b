package pybridge

// #include <malloc.h>
// #ifdef __GLIBC__
// static void trim(void) { malloc_trim(0); }
// #else
// static void trim(void) {}
// #endif
import "C"

// TrimHeap returns free memory of malloc to the kernel: half a megabyte after a
// load. It is safe for concurrent use.
func TrimHeap() { C.trim() }
