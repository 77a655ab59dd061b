package main

import (
	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"time"
)

// nobody is the runtime.Handler of a process that has no application: all is
// answered 503.
type nobody struct{}

func (nobody) Attach(int) {}

func (nobody) Submit(r *exchange.Request) bool {
	if r.Spool >= 0 {
		unix.Close(r.Spool)
	}
	return false
}

func (nobody) Flush()                                 {}
func (nobody) Next(*exchange.Part) bool               { return false }
func (nobody) Release(*exchange.Part)                 {}
func (nobody) Cancel(exchange.Ticket)                 {}
func (nobody) Overdue(exchange.Ticket, time.Duration) {}
func (nobody) Signalled()                             {}
