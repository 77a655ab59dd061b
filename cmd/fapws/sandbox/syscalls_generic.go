//go:build linux && !386 && !amd64

package sandbox

// more are system calls that not all machines have.
var more []uintptr
