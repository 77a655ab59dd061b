//go:build !386 && !amd64 && !arm

package confine

// olderModeCalls and olderOpenCalls are empty on these architectures, because these architectures have only the system
// calls in modeCalls and openCalls.
var olderModeCalls, olderOpenCalls []modeCall
