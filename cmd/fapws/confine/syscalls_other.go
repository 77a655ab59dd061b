//go:build !386 && !amd64 && !arm && !arm64 && !riscv64

package confine

// architecture is 0, which means that this processor has no filter.
const architecture = 0

var more []uintptr
