package sigmask

// #include "sigmask.h"
import "C"

import "syscall"

// Arrived returns those signals that have arrived between two programs of an upgrade and were ignored, each once. It is safe for concurrent
// use.
func Arrived() (signals []syscall.Signal) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU} {
		if C.fapws_signal_arrived(C.int(sig)) != 0 {
			signals = append(signals, sig)
		}
	}
	return signals
}
