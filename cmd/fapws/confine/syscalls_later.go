//go:build !386 && !amd64 && !arm

package confine

// These architectures have only the system calls of modeCalls and openCalls.
var olderModeCalls, olderOpenCalls []modeCall
