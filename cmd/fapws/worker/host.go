package worker

import (
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/ctl"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

// host is what surrounds a service: alone, or the Parent of a worker. Its methods are called
// on the main thread, in this order, unless stated otherwise.
type host interface {
	// replacement asks for another process in the place of this one; nil where that is impossible. why is for the log.
	replacement() func(why string)

	// rereading reads certificates again and reports whether there are any; nil where another process does.
	rereading() func() bool

	// begin is called before the applications are loaded, and open afterwards. open returns the
	// listeners of a service that does not get them from elsewhere.
	begin() error
	open() ([]*conn.Listener, error)

	// answersEarly reports whether clients are to be answered while the applications load, and early returns the listeners for that,
	// as open. served is called when the server has sites.
	answersEarly() bool
	early() []*conn.Listener
	served()

	// configure and configurePython add to the settings of the loop and of Python.
	configure(*runtime.Config)
	configurePython(*pybridge.RunConfig)

	// certificates returns the contents of the files that w names.
	certificates(w *certificates.Want) (*certificates.Bundle, error)

	// control lets others ask for the state of the service, which is complete now. serving
	// tells them that it answers requests.
	control() error
	serving(addrs []Address)

	// countsRequests reports whether requests are to be counted from the start, whatever the settings say.
	countsRequests() bool

	// run is a name of this run of the server, the same in all of its processes; "": there is no other process.
	run() string

	// uploads returns the answers of the other processes of the server to a question about uploads: upload.Group.Others. It is safe
	// for concurrent use.
	uploads(question string) []string

	// status is what the status page shows.
	status() ctl.StatusSource

	// farewell tells what lasts of a process that is about to end. It is called on any goroutine.
	farewell()

	// Failing tells why the process ends.
	Failing(err error)

	// abandon closes what begin has opened and open has not returned. It is safe for concurrent use.
	abandon()

	// level is that of log lines about an order, and stopping the line about the one to stop.
	// They are safe for concurrent use.
	level() logfile.Level
	stopping(grace time.Duration) string
}

// relay carries what handlers publish and purge to the clients of all processes of the
// server: a localRelay, or the channelRelay of a worker. It is safe for concurrent use.
type relay interface {
	// publish may be called on the event loop.
	publish([]pybridge.Event)

	// counted takes the number of subscribers of a channel, or sockets of a group, here.
	counted(name string, n int)

	// purge purges cached responses of the other processes.
	purge(cache.Pattern)

	// flush returns when all events have been sent to other processes, or after limit.
	flush(limit time.Duration)
}
