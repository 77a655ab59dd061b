package main

import (
	"fmt"
	"os"
	"strings"
)

// congestionFile holds the congestion control that new TCP sockets get (tcp(7)).
const congestionFile = "/proc/sys/net/ipv4/tcp_congestion_control"

// congestionControl is what every server is measured with. fapws takes local
// connections out of BBR, its peers do not: with BBR as the system's default the
// comparison would measure that difference instead of the servers.
const congestionControl = "cubic"

// useCongestionControl makes congestionControl the system's default and returns a
// function that restores the previous one. It must be called before the first
// server starts. The error says what to type where the caller may not do that.
func useCongestionControl() (restore func(), err error) {
	previous, err := os.ReadFile(congestionFile)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(previous)) == congestionControl {
		return func() {}, nil
	}
	if err := os.WriteFile(congestionFile, []byte(congestionControl), 0o644); err != nil {
		return nil, fmt.Errorf("cannot give all servers the same congestion control: %w; run as root: sysctl net.ipv4.tcp_congestion_control=%s",
			err, congestionControl)
	}
	return func() { _ = os.WriteFile(congestionFile, previous, 0o644) }, nil
}
