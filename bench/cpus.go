package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/bench/results"
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

// waitUntilQuiet waits until the load average has fallen to results.Quiet, because the build before a measurement counts
// as well. It returns an error if this takes longer than patience.
func waitUntilQuiet(load func() float64, patience, pause time.Duration) error {
	for end := time.Now().Add(patience); load() > results.Quiet; time.Sleep(pause) {
		if time.Now().After(end) {
			return fmt.Errorf("the machine is busy: its load average is %.1f, and results are stored only up to %g; "+
				"stop the other programs, or measure without --export and --json", load(), results.Quiet)
		}
	}
	return nil
}

// loadAverage returns the load average of the last minute (proc(5)).
func loadAverage() (load float64) {
	_, _ = fmt.Sscan(text("/proc/loadavg"), &load)
	return load
}
