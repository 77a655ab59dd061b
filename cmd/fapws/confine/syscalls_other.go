//go:build !386 && !amd64 && !arm && !arm64 && !riscv64

package confine

// architecture is 0, because there is no system call filter for this processor.
const architecture = 0

var more []uintptr
