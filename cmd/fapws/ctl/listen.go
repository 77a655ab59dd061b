package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/metrics"
	"fapws/runtime/source/cache"
)

// request is the one line that a client sends: JSON.
type request struct {
	Command Command
	Purge   cache.Pattern `json:",omitzero"`
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

	Log     Command = "log"     // the last lines of the error log; of the status page
	Profile Command = "profile" // the stacks of Python for ProfileTime; of the status page
)

// Commands are those of users.
var Commands = []Command{Stack, Status, Top, Metrics, Reload, Purge, Rotate, Stop, CA}

// pageCommands are those of the status page.
var pageCommands = []Command{Top, Metrics, Log, Stack, Reload, Profile}

// Answer is the one line that comes back: JSON. After Stop the connection
// lasts as long as the server.
type Answer struct {
	Error    string           `json:",omitempty"` // why it did not work, one line
	Text     string           `json:",omitempty"` // of Stack
	Pages    int              `json:",omitempty"` // that were purged
	Status   *Report          `json:",omitempty"` // of Status and Top
	Families []metrics.Family `json:",omitempty"` // of Metrics and Top, of all workers together
	Active   []Active         `json:",omitempty"` // of Top, the oldest first
	Lines    []Line           `json:",omitempty"` // of Log
	Stacks   []StatusStack    `json:",omitempty"` // of Profile
}

// Report describes the running server.
type Report struct {
	PID int `json:"pid"` // of the process that takes signals
	// as on the command line; or the served directory or configuration file
	App       string   `json:"app"`
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
	Unsent   int64 `json:"unsent"`   // bytes of responses queued for clients, except in the kernel
	Cut      int64 `json:"cut"`      // responses aborted because too many bytes were queued

	// the application has ended until a request needs it (idle-stop)
	Asleep bool `json:"asleep,omitempty"`

	Queued int     `json:"queued,omitempty"`     // requests that wait for a thread
	First  float64 `json:"first_wait,omitempty"` // seconds that the first of them has waited
	// threads that do not count, because their handlers wait for long or have timed out
	Waiting int `json:"threads_waiting,omitempty"`
}

const (
	// state of a worker whose application has ended until a request needs it
	Asleep = "asleep"
	// state of a worker with a request that has waited for a thread for busyAfter seconds
	busy = "busy"

	busyAfter = 1
)

// StateOf returns the state of a worker that is otherwise in a state, such as "serving".
func (c *Counters) StateOf(state string) string {
	switch {
	case c.Asleep:
		return Asleep
	case c.First >= busyAfter:
		return busy
	}
	return state
}

// NotCounted are the Counters of a process that does not say them.
var NotCounted = Counters{Requests: -1}

// Server carries out a command, with a pattern that is checked for Purge. Reload returns when new code serves. The error is
// one line. A Server is safe for concurrent use.
type Server func(Command, cache.Pattern) (Answer, error)

// ErrUnknown is the error of a Server for another command.
var ErrUnknown = errors.New("unknown command")

// Answer carries out a command. Its error is in the Answer.
func (s Server) Answer(c Command, p cache.Pattern) Answer {
	a, err := s(c, p)
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// answer carries out one of the commands that are allowed.
func (s Server) answer(c Command, p cache.Pattern, allowed []Command) Answer {
	if !slices.Contains(allowed, c) {
		return Answer{Error: fmt.Sprintf("this server does not support %q", string(c))}
	}
	return s.Answer(c, p)
}

// AnswerPage carries out a command of the status page. It refuses others, because the page may be in a worker.
func (s Server) AnswerPage(c Command) Answer { return s.answer(c, cache.Pattern{}, pageCommands) }

const (
	// askWithin is how long a client may take to send its request, and to take the answer: it may
	// be a busy machine.
	askWithin = 30 * time.Second

	// atOnce is how many clients may be connected. When more come, the one that is silent and came last makes room.
	atOnce = 32

	longestRequest = 4 << 10
)

// Socket is a control socket.
type Socket struct {
	path   string
	ln     *net.UnixListener
	file   os.FileInfo // of path
	server Server

	mu      sync.Mutex
	clients []*client // the oldest first
}

// client is a connection. silent: its request has not arrived.
type client struct {
	*net.UnixConn
	silent bool
}

// Auto lets Listen choose the path; Off disables the socket.
const (
	Auto = "auto"
	Off  = "off"
)

// Listen answers for server on the socket at path until Close. Sockets that
// servers have left behind are removed.
func Listen(path string, server Server) (*Socket, error) {
	var ln *net.UnixListener
	var err error
	if path == Auto {
		uid := os.Geteuid()
		ln, path, err = bindInFirst(places(uid), uid)
	} else {
		ln, err = bind(path)
	}
	if err != nil {
		return nil, err
	}
	s := &Socket{path: path, ln: ln, server: server}
	s.file, _ = os.Lstat(path)
	go s.serve()
	return s, nil
}

func bind(path string) (*net.UnixListener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s is not a socket", path)
		}
		if answers(path) {
			return nil, fmt.Errorf("another server listens on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// The file gets the mode of the socket when it is made: by its path, it could be another file by then. The credentials of a
	// client keep others out, too.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, short(err)
	}
	ln := l.(*net.UnixListener)
	ln.SetUnlinkOnClose(false) // see Close
	return ln, nil
}

// SyscallConn implements syscall.Conn: it is the listener's.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return s.ln.SyscallConn() }

// Close removes the socket. Clients that wait for the end of the server do so
// on.
func (s *Socket) Close() {
	if c, err := s.ln.SyscallConn(); err == nil {
		// An application may have made the socket blocking: Close would wait until the next client ends accept.
		_ = c.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
	s.ln.Close()
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) { // else it is a successor's
		_ = os.Remove(s.path)
	}
}

func (s *Socket) serve() {
	for {
		c, err := s.ln.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // no descriptor is left, mostly
			continue
		}
		one := &client{c, true}
		if !s.admit(one) {
			c.Close()
			continue
		}
		go func() {
			s.talk(one)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.clients = slices.DeleteFunc(s.clients, func(other *client) bool { return other == one })
		}()
	}
}

// admit counts c among the clients, in place of a silent one if there are too many. It reports whether c may stay.
func (s *Socket) admit(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) >= atOnce {
		last := len(s.clients) - 1
		for ; last >= 0 && !s.clients[last].silent; last-- {
		}
		if last < 0 {
			return false
		}
		s.clients[last].Close()
		s.clients = slices.Delete(s.clients, last, last+1)
	}
	s.clients = append(s.clients, c)
	return true
}

// talk answers one client.
func (s *Socket) talk(c *client) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askWithin))
	if err := allowed(c.UnixConn, os.Geteuid(), 0); err != nil {
		reply(c, Answer{Error: err.Error()})
		return
	}
	var r request
	if json.NewDecoder(io.LimitReader(c, longestRequest)).Decode(&r) != nil {
		return
	}
	s.mu.Lock()
	c.silent = false
	s.mu.Unlock()
	_ = c.SetReadDeadline(time.Time{})
	if r.Command == Stop {
		reply(c, Answer{}) // first, because the process may end before it could answer
		_, _ = s.server(Stop, cache.Pattern{})
		_, _ = c.Read(make([]byte, 1)) // until the client leaves, or this process ends
		return
	}
	if err := r.Purge.Check(); r.Command == Purge && err != nil {
		reply(c, Answer{Error: err.Error()})
		return
	}
	reply(c, s.server.answer(r.Command, r.Purge, Commands))
}

func reply(c net.Conn, a Answer) {
	_ = c.SetWriteDeadline(time.Now().Add(askWithin))
	_ = json.NewEncoder(c).Encode(a) // a disconnected client needs no answer
}

// allowed says why the other side of c may not talk to us.
func allowed(c *net.UnixConn, uids ...int) error {
	if uid, _, err := peer(c); err != nil || !slices.Contains(uids, uid) {
		return fmt.Errorf("only the user of the server and root may do this")
	}
	return nil
}

// short returns the cause in an error of package net, without operation and address.
func short(err error) error {
	if op, ok := err.(*net.OpError); ok {
		if call, ok := op.Err.(*os.SyscallError); ok && call.Err == syscall.EINVAL { // unix(7)
			return fmt.Errorf("%s: the path is too long; the maximum for a socket is 107 bytes", op.Addr)
		} else if ok {
			return fmt.Errorf("%s: %w", op.Addr, call.Err)
		}
	}
	return err
}
