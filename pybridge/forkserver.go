package pybridge

// #include "shim_process.h"
// #include "shim_messages.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// ServeForks forks a child for each request of package forkserver on control, and returns when the other end is closed. The
// children serve the mounts of this App with the configuration c, without c.Threads. It must be called instead of Start, on the
// thread of Load, in a process that does nothing else. The error is one line.
func (a *App) ServeForks(c RunConfig, control *os.File) error {
	c.Threads, c.Multiprocess, c.RunOnce = 0, true, true
	if err := a.Forkable(); err != nil {
		return err
	}
	h, err := a.Start(c)
	if err != nil {
		return err
	}
	if err := h.startPool(); err != nil {
		return err
	}
	h.listen() // otherwise each child would repeat messages of loading
	status := C.fapws_forkserver(C.int(control.Fd()))
	runtime.KeepAlive(control) // until here, or a collection, which Go makes every two minutes, closes it
	if status < 0 {
		return errors.New("out of memory")
	}
	return nil
}

// Forkable returns an error with the first mount that cannot be served by a process for each request. It is safe for concurrent
// use.
func (c *Contents) Forkable() error {
	for i := range c.Apps {
		for _, m := range c.Apps[i].Table {
			if m.Static == nil && m.CGI == "" && !kinds[m.Kind].forks {
				return fmt.Errorf("--fork serves synchronous handlers only, but %s is %s: remove --fork, or use --workers", m.Name, kinds[m.Kind].article)
			}
		}
	}
	return nil
}

// ReadMessages handles messages of a forked child: patterns for purge, lines for the error log, metrics, and events in order. It is
// safe for concurrent use.
func ReadMessages(raw []byte, purge, warn func(text string), counts *ForkCounts, publish func([]Event)) {
	var events []Event
	eachMessage(raw, func(kind byte, texts []byte) {
		switch kind {
		case C.FAPWS_PURGE:
			purge(string(cutText(&texts)))
		case C.FAPWS_WARNING:
			warn(string(cutText(&texts)))
		case C.FAPWS_METRICS:
			counts.add(cutText(&texts))
		case C.FAPWS_EVENT:
			events = append(events, readEvent(texts))
		}
	})
	if len(events) > 0 {
		publish(events)
	}
}
