package worker

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/runtime"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

// serveStandIn serves the page that the supervisor sends, until an application has loaded. No Python is started.
func (p *Parent) servePlaceholder() (code int, err error) {
	s := p.s
	s.conf = s.plan.Conf
	s.log = s.errors.Logger(s.stderr, &s.conf)
	s.front.LogTo(s.log.Log)
	s.signals = watchSignals(s.log.Log, s.front.Exit, func() { s.reopenLog() }, func(string) {
		s.signals.end(shutdownRequest{how: gracefully}, process.OK)
	}, nil)
	go p.listen()
	if err := s.useCertificates(); err != nil {
		return 0, err
	}
	if s.server, err = runtime.New(s.config()); err != nil {
		return 0, process.ExitNotStarted("%v", err)
	}
	s.signals.serve()
	if err := s.server.Serve(nil, []sites.Site{{Table: []sites.Mount{{Prefix: "/"}}}}, unavailableHandler{}); err != nil {
		return 0, process.ExitNotStarted("%v", err)
	}
	p.served()
	p.loaded(pool.Loaded, "")
	o := <-s.signals.orders
	s.server.StopAccepting()
	p.closed()
	ctx, cancel := context.WithTimeout(context.Background(), min(s.graceOf(o), placeholderGrace))
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.endConnections(ctx, o.how) // clients that are cut off ask again
	}()
	select {
	case <-ended:
	case <-s.signals.orders:
	}
	return process.OK, nil
}

// standInGrace is the maximum time that a stand-in takes to end: browsers ask it every second.
const placeholderGrace = 2 * retiredIdle

// unavailableHandler is the app.Handler of a process that has no application: all is
// answered 503.
type unavailableHandler struct{}

func (unavailableHandler) Attach(*eventloop.Waker) {}

func (unavailableHandler) Submit(r *exchange.Request) bool {
	if r.Spool >= 0 {
		unix.Close(r.Spool)
	}
	return false
}

func (unavailableHandler) Flush()                                    {}
func (unavailableHandler) Next(*exchange.Part) bool                  { return false }
func (unavailableHandler) Release(*exchange.Part)                    {}
func (unavailableHandler) Cancel(exchange.Ticket)                    {}
func (unavailableHandler) Overdue(exchange.Ticket, time.Duration)    {}
func (unavailableHandler) Signalled()                                {}
func (unavailableHandler) Stalled() (exchange.Ticket, time.Duration) { return 0, 0 }
