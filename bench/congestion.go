package main

import (
	"fmt"
	"os"
	"strings"
)

const congestionFile = "/proc/sys/net/ipv4/tcp_congestion_control"

// If the system's default is BBR, fapws uses Reno for local connections, but other servers use BBR. The benchmark would
// compare congestion controls.
const congestionControl = "cubic"

// useCongestionControl sets the congestion control of the system, and must be called before the first server starts.
// Without the necessary privilege, it returns an error that names the command that the user should run as root.
func useCongestionControl() (restore func(), err error) {
	previous, err := os.ReadFile(congestionFile)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(previous)) == congestionControl {
		return func() {}, nil
	}
	if err := os.WriteFile(congestionFile, []byte(congestionControl), 0o644); err != nil {
		return nil, fmt.Errorf("cannot give all servers the same congestion control: %w; run as root: sysctl "+
			"net.ipv4.tcp_congestion_control=%s",
			err, congestionControl)
	}
	return func() { _ = os.WriteFile(congestionFile, previous, 0o644) }, nil
}
