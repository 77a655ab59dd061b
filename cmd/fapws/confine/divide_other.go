//go:build !linux

package confine

// divide does nothing: it is about folios of Linux.
func divide(start, end uintptr) {}
