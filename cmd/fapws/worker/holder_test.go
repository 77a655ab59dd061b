package worker

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestOwnerOfAListeningSocketIsInItsLine(t *testing.T) {
	const line = "0: 0100007F:1F90 00000000:0000 %s 00000000:00000000 00:00000000 00000000 33 0 4711 1 0000000000000000"
	for _, tt := range []struct {
		state, addr, inode string
		uid                int
	}{
		{"0A", "127.0.0.1:8080", "4711", 33},
		{"0A", ":8080", "4711", 33},
		{"0A", "127.0.0.2:8080", "", 0},
		{"01", "127.0.0.1:8080", "", 0},
	} {
		inode, uid := inodeOf(strings.Fields(strings.Replace(line, "%s", tt.state, 1)), tt.addr)
		checktest.Truef(t, inode == tt.inode && uid == tt.uid, "%s %s: %q, %d", tt.state, tt.addr, inode, uid)
	}
}
