//go:build !386 && !amd64 && !arm

package confine

// olderModeCalls and olderOpenCalls are empty in this file, because the architectures of this file have only the system
// calls in modeCalls and openCalls.
var olderModeCalls, olderOpenCalls []modeCall
