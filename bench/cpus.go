package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// The CPUs of the server and of the clients: the first two that this process may use.
var serverCPU, clientCPU int

func chooseCPUs() error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return err
	}
	var found []int
	for cpu := 0; len(found) < 2 && cpu < len(allowed)*64; cpu++ {
		if allowed.IsSet(cpu) {
			found = append(found, cpu)
		}
	}
	if len(found) < 2 {
		return fmt.Errorf("two CPUs are needed, one for the server and one for the clients")
	}
	serverCPU, clientCPU = found[0], found[1]
	return nil
}

// loadAverage returns the load average of the last minute (proc(5)).
func loadAverage() (load float64) {
	_, _ = fmt.Sscan(text("/proc/loadavg"), &load)
	return load
}
