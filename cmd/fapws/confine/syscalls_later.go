//go:build !386 && !amd64 && !arm

package confine

// olderModeCalls and olderOpenCalls are empty on these architectures, which have only the calls of modeCalls and
// openCalls.
var olderModeCalls, olderOpenCalls []modeCall
