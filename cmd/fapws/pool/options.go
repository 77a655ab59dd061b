package pool

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"fapws/runtime/logfile"
)

// Options configure a Pool. Every field must be set unless it is marked optional.
type Options struct {
	// Again returns a command that starts a worker, or the supervisor: process.Again with their arguments.
	Again func(newest bool) *exec.Cmd

	Dir     string // to start workers in
	Workers int    // at least 1

	LoadTimeout time.Duration // maximum time of a worker until it has loaded
	MaxRSS      int64         // resident bytes of a worker beyond which it is replaced; 0: no limit

	// IdleStop is for how long the application of all workers must be unused for workers to take their place that are Asleep; 0: never.
	IdleStop time.Duration

	// Stay keeps the supervisor running after a failed first start, until Reload.
	Stay bool

	// Early returns the listening sockets that are open before a worker has loaded; Open may return them. It is called on Run's
	// goroutine. Optional.
	Early func() []Address

	// Open makes the listening sockets when the first worker has loaded. If that was the placeholder, Open is called
	// again with the settings of the first worker with an application, and may return the same sockets. An error ends
	// the supervisor; see Run.
	Open func(*Settled) ([]Address, error)

	// Up is called on Run's goroutine when the workers begin to serve under this program. resumed: they served under
	// the program before it. Optional.
	Up func(addresses []Address, resumed bool)

	// FailurePage returns a page for browsers after new code has failed to load. how is the reason, said the end of its
	// standard error. With Stay, a failed first start serves this page. It is called on Run's goroutine. Optional.
	FailurePage func(how string, said []byte) string

	// Attributes returns the attributes of a new worker's process, such as a credential. Optional.
	Attributes func() *syscall.SysProcAttr

	// Event is called on Run's goroutine after changes of state, for the service manager and browsers, for example. It
	// must not block. Optional.
	Event func(Event)

	// BeforeExec is called before another program takes the place of this one, to close and write files. That
	// program gets the result from Handover.Files. Optional.
	BeforeExec func() []*os.File

	// Certificates returns a file of SharedFile with the certificates that a worker wants, a text of their own between
	// worker and supervisor; again: it has got one before, and needs another only if that has changed since, else nil. It
	// is called on Run's goroutine. Optional.
	Certificates func(want string, again bool) (*os.File, error)

	// Query answers a question of a worker. It is called on a goroutine of its own, and may Ask workers. Optional.
	Query func(what string) string

	// Broker connects the channels of the workers with those of other servers. Optional.
	Broker Broker

	// Farewell gets what a worker tells before it ends. It is called on Run's goroutine. Optional.
	Farewell func(pid int, text string)

	// Reopen is called when the log files are to be reopened, before the workers are told. Optional.
	Reopen func()

	// PassStderr says that workers cannot open the standard error of this process: it comes with the message to
	// reopen the log files.
	PassStderr bool

	// Root is the root directory, where the kernel reports limits and processes that it has killed. Optional: /.
	Root fs.FS

	Log func(logfile.Level, string)
}

func (o *Options) attributes() *syscall.SysProcAttr {
	if o.Attributes == nil {
		return nil
	}
	return o.Attributes()
}

// Event is the argument of Options.Event.
type Event struct {
	Kind      EventKind
	Text      string    // of Failed: the reason, in one line
	Addresses []Address // of StoodIn
}

// EventKind is one of the constants below.
type EventKind uint8

// Events of a Pool.
const (
	Reloading     EventKind = iota // new workers are being loaded
	Reloaded                       // they serve
	Failed                         // they failed to load; the old ones, if any, keep serving
	Stopping                       // the server is shutting down
	PlaceholderUp                  // the page about a failed first start is served
)

// Address is where workers accept: its name as the user gave it, and the socket that they share.
type Address struct {
	Name   string
	Socket *os.File
}

// SyscallConn implements syscall.Conn.
func (a Address) SyscallConn() (syscall.RawConn, error) { return a.Socket.SyscallConn() }

// StartError ends Run with Code; its text is for the user.
type StartError struct {
	Code int
	Line string // "" after everything was reported
}

// Error implements error.
func (e *StartError) Error() string { return e.Line }
