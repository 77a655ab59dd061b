package process

// #include "sigmask.h"
import "C"

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// early gets the signals that come while the next program of an upgrade starts.
var early = catchEarly()

func catchEarly() chan os.Signal {
	if os.Getenv("FAPWS_HANDOVER") == "" {
		return nil
	}
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	return c
}

// SignalsArrived returns the signals that have arrived between two programs of an upgrade and would have been lost, or have ended the process, each
// once. It is called once, when the program catches signals itself: one that comes meanwhile is caught twice.
func SignalsArrived() (signals []syscall.Signal) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		if C.fapws_signal_arrived(C.int(sig)) != 0 {
			signals = append(signals, sig)
		}
	}
	if early == nil {
		return signals
	}
	signal.Stop(early)
	for len(early) > 0 {
		if sig := (<-early).(syscall.Signal); !slices.Contains(signals, sig) {
			signals = append(signals, sig)
		}
	}
	return signals
}
