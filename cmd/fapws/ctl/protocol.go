package ctl

import "fapws/runtime/metrics"

// request is the one line that a client sends: JSON.
type request struct {
	Command Command
	Purge   *Pattern `json:",omitempty"`
}

// Command is a request to a server.
type Command string

// The commands.
const (
	Stack  Command = "stack"  // the active requests and their stacks
	Status Command = "status" // the state of the server
	Purge  Command = "purge"  // pages out of the cache
	Reload Command = "reload" // new code, and whether it serves
	Rotate Command = "rotate" // the log files, now
	Stop   Command = "stop"   // the end, gracefully
	CA     Command = "ca"     // the machine's own authority: part of Status

	Metrics Command = "metrics" // what the server counts
	Top     Command = "top"     // what it does, again and again
)

// Commands are all of them.
var Commands = []Command{Stack, Status, Top, Metrics, Reload, Purge, Rotate, Stop, CA}

// answer is the one line that comes back: JSON. After Stop the connection
// lasts as long as the server.
type answer struct {
	Error    string           `json:",omitempty"` // why it did not work, one line
	Text     string           `json:",omitempty"`
	Status   *Report          `json:",omitempty"`
	Top      *Overview        `json:",omitempty"`
	Families []metrics.Family `json:",omitempty"`
}

// Report describes the running server.
type Report struct {
	PID       int      `json:"pid"` // of the process that takes signals
	App       string   `json:"app"` // as on the command line; or the folder or configuration file that is served
	Version   string   `json:"version"`
	Python    string   `json:"python"` // version; "" for a site without an application
	Mode      string   `json:"mode"`   // "inline", "up to 8 threads"
	Addresses []string `json:"addresses"`
	Uptime    float64  `json:"uptime"`            // seconds
	Failure   string   `json:"failure,omitempty"` // of the last reload
	Cache     *Cache   `json:"cache,omitempty"`   // nil without a cache, or if it does not report
	CA        *OwnCA   `json:"ca,omitempty"`      // the machine's own authority; nil without one
	Workers   []Worker `json:"workers"`           // without a supervisor: the process itself
}

// OwnCA is the authority of --tls auto.
type OwnCA struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // fingerprint of the certificate: "AB:CD:..."
}

// Worker is a process that serves.
type Worker struct {
	PID   int     `json:"pid"`
	State string  `json:"state"`
	Age   float64 `json:"age"` // seconds
	RSS   int64   `json:"rss"` // resident bytes; 0: not known
	Counters
}

// Counters are the figures that a process which serves counts itself.
type Counters struct {
	Requests int64 `json:"requests"` // that were answered; -1: it did not say, and the others are 0
	Unsent   int64 `json:"unsent"`   // bytes of responses that wait for clients, without those in the kernel
	Cut      int64 `json:"cut"`      // responses that were ended because too many bytes waited for clients

	Asleep bool `json:"asleep,omitempty"` // the application has ended until a request needs it (idle-stop)
}

// Asleep is the state of a worker whose application has ended until a request needs it.
const Asleep = "asleep"

// NotCounted are the Counters of a process that does not say them.
var NotCounted = Counters{Requests: -1}

// Server is the server behind a socket. Its methods must be safe for concurrent use.
type Server interface {
	// Report describes the running server.
	Report() Report
	// Stack describes the active requests.
	Stack() string
	// Metrics returns what all workers have counted.
	Metrics() []metrics.Family
	// Active returns the active requests of all workers, the oldest first.
	Active() []Active
	// Rotate rotates the log files; the error is one line.
	Rotate() error
	// Reload returns when new code serves, or with the reason why not: one line.
	Reload() error
	// Purge throws pages out of the cache of each worker, and returns how many
	// went. The error is one line.
	Purge(Pattern) (int, error)
	// Stop begins a graceful end.
	Stop()
}
