//go:build !linux

package memory

// divide does nothing: it is about folios of Linux.
func divide(start, end uintptr) {}
