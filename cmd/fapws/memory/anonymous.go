package memory

import (
	"bytes"
	"os"
	"strconv"
)

// Anonymous returns the resident memory of a process in bytes that is its own, and not of files that others have as well
// (RssAnon of proc(5), status); 0 if it is not known.
func Anonymous(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("RssAnon:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10
}
