package fapwstest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort returns a TCP port of 127.0.0.1 for a program that cannot choose a port and report it. The port is below the
// ports that systems assign by themselves (from 32768 on Linux, 49152 elsewhere), so that no other test gets it.
func FreePort(t *testing.T) string {
	t.Helper()
	const first, end = 10000, 32768
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(end-first))
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}
