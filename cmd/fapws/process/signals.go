package process

// #include "sigmask.h"
// #include "orphan.h"
import "C"

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

var early = catchEarly()

func catchEarly() chan os.Signal {
	if os.Getenv("_FAPWS_HANDOVER") == "" {
		return nil
	}
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	return c
}

// AtTerminal reports whether the process was started at a terminal. The result is false if the process ignores HUP, the
// signal that a terminal sends when it closes.
func AtTerminal() bool { return IsTerminal(0) && !signal.Ignored(syscall.SIGHUP) }

// SignalsArrived returns the distinct signals that arrived between the old and the new program of an upgrade, and must
// be called once, after the program has started to catch signals. A signal that arrives during the call may be
// delivered twice.
func SignalsArrived() (signals []syscall.Signal) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGTERM,
		syscall.SIGINT, syscall.SIGQUIT} {
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

// deathSignal is the signal that the kernel sends when the parent dies: a real-time signal that neither glibc (32 to
// 34) nor Python uses.
const deathSignal = syscall.Signal(50)

// WatchParent returns a channel that receives a value when the parent of this process has died. If this process has not
// ended after limit, the kernel kills it. WatchParent must be called once, on the main thread.
func WatchParent(limit time.Duration) (died <-chan os.Signal, err error) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, deathSignal)
	if errno := C.fapws_orphan_watch(C.int(deathSignal), seconds(limit)); errno != 0 {
		return nil, os.NewSyscallError("prctl", syscall.Errno(errno))
	}
	return c, nil
}

// LimitOrphan changes the time after which the kernel kills this process if its parent has died. LimitOrphan is safe
// for concurrent use.
func LimitOrphan(limit time.Duration) { C.fapws_orphan_limit(seconds(limit)) }

// EndOrphan makes the kernel kill this process after the limit, as if the parent had died. EndOrphan is safe for
// concurrent use.
func EndOrphan() { C.fapws_orphan_end() }

func seconds(d time.Duration) C.int { return C.int((d + time.Second - 1) / time.Second) }
