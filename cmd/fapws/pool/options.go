package pool

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"fapws/runtime/loglevel"
)

// Options are those of a Pool. All but the optional ones have to be set.
type Options struct {
	Program string   // what USR2 starts: where the program is found, which may be another one by then
	Args    []string // of a worker, with the program's name
	Dir     string   // to start workers in
	Workers int      // at least 1

	LoadTimeout time.Duration // for a worker to say that it is loaded
	MaxRSS      int64         // resident bytes of a worker until it is replaced; 0: any

	// Stay lets a first start that fails wait for Reload instead of ending
	// the supervisor.
	Stay bool

	// Open makes the listening sockets when the first worker has loaded. When
	// that was a stand-in it is called again with the settings of the first
	// that has an application; it may return the same sockets then. An error
	// ends the supervisor as Run says.
	Open func(*Settled) ([]Address, error)

	// Up is called, on Run's goroutine, when the workers serve for the first
	// time in this program. resumed: they have served before it. Optional.
	Up func(addresses []Address, resumed bool)

	// FailurePage makes a page for browsers when new code does not load: how it failed, and the end of its standard
	// error. With it a failing first start, if it is to Stay, serves this page. On Run's goroutine. Optional.
	FailurePage func(how string, said []byte) string

	// Attributes of a new worker's process: a credential, say. Optional.
	Attributes func() *syscall.SysProcAttr

	// Event is told of changes that others may want to pass on (a service
	// manager, a browser). On Run's goroutine; it must not block. Optional.
	Event func(Event)

	// BeforeExec is called before another program takes the place of this one, to close and write files. That
	// program gets the result from Handover.Files. Optional.
	BeforeExec func() []*os.File

	// Reopen is called when the log files are to be reopened, before the workers are told. Optional.
	Reopen func()

	// PassStderr says that workers cannot open the standard error of this process: it comes with the message to
	// reopen the log files.
	PassStderr bool

	// Root is the root directory, where the kernel reports limits and processes that it has killed. Optional: /.
	Root fs.FS

	Log func(loglevel.Level, string)
}

func (o *Options) attributes() *syscall.SysProcAttr {
	if o.Attributes == nil {
		return nil
	}
	return o.Attributes()
}

// Event is what Options.Event is told.
type Event struct {
	Kind      EventKind
	Text      string    // of Failed: what did not work, in one line
	Addresses []Address // of StoodIn
}

// EventKind is one of the constants below.
type EventKind uint8

// Events of a Pool.
const (
	Reloading     EventKind = iota // new workers are being loaded
	Reloaded                       // they serve
	Failed                         // they do not: the old ones go on, if there are any
	Stopping                       // nothing is served any more soon
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
	Line string // "" when everything has been said
}

// Error implements error.
func (e *StartError) Error() string { return e.Line }
