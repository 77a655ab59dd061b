package worker

import (
	"context"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/ratelimit"
)

// A role implements the steps that differ between kinds of serving processes. The methods are called in the order of
// their declaration, on the main thread. Only the method tell is safe for concurrent use.
type role interface {
	// configure adds settings for the event loop, and is called a second time when all settings are known.
	configure(c *runtime.Config)

	// begin prepares for clients before the applications load, and returns whether clients may be answered while the
	// applications load.
	begin() (early bool, err error)

	// enter restricts the process and completes the startup of the applications, and returns the listeners for the
	// method serve.
	enter() ([]*conn.Listener, error)

	// serveEarly accepts clients while the applications load. It is called when the sites from buildEarly exist.
	serveEarly()

	// serve calls the function install, which makes requests reach the applications, and then accepts clients.
	serve(listeners []*conn.Listener, install func() error) error

	// tell sends a message to the supervisor, if any.
	tell(m *pool.Message)
}

type traits struct {
	// level of log lines about orders to reload or stop; Debug if the supervisor also logs the orders
	level    logfile.Level
	stopping string // format of the log line about a graceful stop
	runID    string // a text that identifies this run of the server
	counts   bool   // requests are counted from the start
	quiet    bool   // a different worker of the generation logs the warnings about the application and the sites

	// ask requests the contents of the status page from the supervisor; nil without a supervisor.
	ask func(context.Context, ctl.Command) (ctl.Answer, error)

	// otherUploads implements upload.Group.Others; nil without a supervisor.
	otherUploads func(question string) []string

	rates   *ratelimit.Table // nil if the configuration has no rate limits
	refresh *plan.Refresh

	// stuck implements pybridge.RunConfig.Stuck; nil if nothing replaces a process whose handlers hang.
	stuck func(reason string, hung bool)

	again *again // nil in a worker

	// last is called after the last request, and changes the exit code; nil unless this is Visit.
	last func(code int) int
}
