package worker

import (
	"context"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/ratelimit"
)

// A role contains the differences between the processes that serve. A service has one role: alone serves without a
// supervisor, Parent is the supervisor of a worker, and sandboxCheck is the command "check --sandbox". The methods are
// called in this order, on the main thread, except that tell is safe for concurrent use.
type role interface {
	// configure adds to the settings of the event loop. configure is called again when all settings are known.
	configure(c *runtime.Config)

	// begin prepares for clients before the applications load, and reports whether they may be answered meanwhile.
	begin() (early bool, err error)

	// enter restricts the process and completes the startup of the applications. enter returns the listeners for serve.
	enter() ([]*conn.Listener, error)

	// serveEarly accepts clients after the server has the sites that serve while the applications load.
	serveEarly()

	// serve calls install, which makes requests reach the applications, and accepts clients.
	serve(listeners []*conn.Listener, install func() error) error

	// tell sends a message to the supervisor of a worker; other roles ignore the message.
	tell(m *pool.Message)
}

// traits are the values that depend on the role.
type traits struct {
	// level of log lines about orders; Debug if another process logs the orders, too
	level    logfile.Level
	stopping string // format of the log line about a graceful stop
	runID    string // identifies this run of the server
	counts   bool   // requests are counted from the start

	// ask asks the supervisor for the contents of the status page; nil without a supervisor
	ask func(context.Context, ctl.Command) (ctl.Answer, error)

	// otherUploads is upload.Group.Others; nil without a supervisor
	otherUploads func(question string) []string

	rates *ratelimit.Table // nil if the configuration has no rate limits

	// stuck is pybridge.RunConfig.Stuck; nil without a supervisor
	stuck func(why string)
}
