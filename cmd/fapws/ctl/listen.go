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
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/metrics"
	"fapws/runtime/source/cache"
	"fapws/runtime/system"
)

// A request is sent as one line of JSON.
type request struct {
	Command Command
	Purge   cache.Pattern `json:",omitzero"`
}

type Command string

const (
	Stack  Command = "stack" // active requests and their stacks
	Status Command = "status"
	Purge  Command = "purge"
	Reload Command = "reload"
	Rotate Command = "rotate"
	Stop   Command = "stop"
	CA     Command = "ca" // the machine's own authority (part of Status)

	Metrics Command = "metrics"
	Top     Command = "top"

	Logs Command = "logs" // last lines of the error log

	// Start and Restart are followed by a space and the name of an application; Reload, Stop and Logs can be.
	Start   Command = "start"
	Restart Command = "restart"

	Profile Command = "profile" // stacks of Python during ProfileTime, for the status page
)

var Commands = []Command{Stack, Status, Top, Metrics, Logs, Reload, Restart, Start, Purge, Rotate, Stop, CA}

// NamedCommands can be followed by the name of an application.
var NamedCommands = []Command{Logs, Reload, Restart, Start, Stop}

var pageCommands = []Command{Top, Metrics, Logs, Stack, Reload, Profile}

// An Answer is sent as one line of JSON. After the Answer to the command Stop, the connection stays open until the
// server process ends.
type Answer struct {
	Error    string           `json:",omitempty"`
	Text     string           `json:",omitempty"`
	Pages    int              `json:",omitempty"`
	Status   *Report          `json:",omitempty"`
	Families []metrics.Family `json:",omitempty"` // for the commands Metrics and Top: sums over all workers
	Active   []Active         `json:",omitempty"` // for the command Top; oldest first
	Lines    []Line           `json:",omitempty"`
	Stacks   []StatusStack    `json:",omitempty"`

	// Later means that this is not the answer: the program that replaces this program answers (Socket.Leave).
	Later bool `json:"-"`
}

type Report struct {
	PID int `json:"pid"` // ID of the process that takes signals
	// the application as written on the command line, or the served directory, or the configuration file
	App       string   `json:"app"`
	Site      string   `json:"site"` // absolute path of the configuration file, or of what the command line names
	Version   string   `json:"version"`
	Python    string   `json:"python"` // version; "" for a site without an application
	Mode      string   `json:"mode"`   // "inline", "up to 8 threads"
	Addresses []string `json:"addresses"`
	Uptime    float64  `json:"uptime"`            // seconds
	Counted   float64  `json:"counted"`           // seconds since the counting of requests began: Uptime if at the start
	Failure   string   `json:"failure,omitempty"` // error of the last reload
	Cache     *Cache   `json:"cache,omitempty"`   // nil without a cache, or before a worker has replied
	CA        *OwnCA   `json:"ca,omitempty"`      // nil without --tls auto
	Workers   []Worker `json:"workers"`           // the process itself if there is no supervisor

	Applications []ApplicationStatus `json:"applications,omitempty"`
}

// An ApplicationStatus is the state of an application with processes of its own.
type ApplicationStatus struct {
	Name     string  `json:"name"`
	State    string  `json:"state"`
	PID      int     `json:"pid,omitempty"`
	Restarts int     `json:"restarts"`         // after it ended by itself
	Report   *Report `json:"report,omitempty"` // for the command Status
	Top      *Answer `json:"top,omitempty"`    // for the command Top
	View     *View   `json:"view,omitempty"`   // the result of Compare
}

type OwnCA struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // fingerprint of the certificate: "AB:CD:..."
}

type Worker struct {
	PID   int     `json:"pid"`
	State string  `json:"state"`
	Age   float64 `json:"age"` // seconds
	RSS   int64   `json:"rss"` // resident bytes; 0 means unknown
	CPU   float64 `json:"cpu"` // processor time since the start, in seconds
	Counters

	// Application is set in the merged table of "fapws ctl top" only: the application of the worker, or "".
	Application string `json:"-"`
}

type Counters struct {
	// number of requests; -1 if the process did not report, and then all other fields are 0
	Requests int64 `json:"requests"`
	Counted  int64 `json:"requests_counted"` // requests since the process began to count (Report.Counted)
	// bytes of responses that this process has queued and not yet passed to the kernel
	Unsent int64 `json:"unsent"`
	Cut    int64 `json:"cut"` // responses aborted because of too many queued bytes

	// the application is not loaded until a request needs it (setting `idle-stop`)
	Asleep bool `json:"asleep,omitempty"`

	Queued int     `json:"queued,omitempty"`
	First  float64 `json:"first_wait,omitempty"` // wait of the oldest queued request in seconds
	// number of threads that do not count toward --threads, because their handlers have been waiting for a long time or
	// have timed out
	Waiting int `json:"threads_waiting,omitempty"`
}

const (
	Asleep = "asleep"
	// state of a worker in which a request has waited for a free thread for at least busyAfter seconds
	busy = "busy"

	busyAfter = 1
)

// StateOf returns Asleep or busy if the counters show one of these states. Otherwise it returns its argument, such as
// "serving".
func (c *Counters) StateOf(state string) string {
	switch {
	case c.Asleep:
		return Asleep
	case c.First >= busyAfter:
		return busy
	}
	return state
}

// NotCounted is the Counters value for a process that did not report.
var NotCounted = Counters{Requests: -1}

// An Executor is a function that executes a command. Only the command Purge uses the cache.Pattern. The command Reload
// returns when the new code serves requests. The text of the error has only one line. An Executor must be safe for
// concurrent use.
type Executor func(Command, cache.Pattern) (Answer, error)

var ErrUnknown = errors.New("unknown command")

// A failure of the command is part of the returned Answer.
func (s Executor) Answer(c Command, p cache.Pattern) Answer {
	a, err := s(c, p)
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func (s Executor) answer(c Command, p cache.Pattern, allowed []Command) Answer {
	word, _, named := strings.Cut(string(c), " ")
	if !slices.Contains(allowed, Command(word)) || named && !slices.Contains(NamedCommands, Command(word)) {
		return Answer{Error: fmt.Sprintf("this server does not support %q", string(c))}
	}
	return s.Answer(c, p)
}

// AnswerPage refuses commands that the status page does not send, because an attacker may control the worker that
// serves the page.
func (s Executor) AnswerPage(c Command) Answer { return s.answer(c, cache.Pattern{}, pageCommands) }

const (
	// time limit for receiving a request and for sending the response
	askWithin = 30 * time.Second

	// maximum number of connected clients. At the limit, a new client replaces the most recent client that has not sent
	// a request.
	atOnce = 32

	longestRequest = 4 << 10
)

type Socket struct {
	path   string
	ln     *net.UnixListener
	file   os.FileInfo
	inside *os.File // the inside of a door; nil if clients connect to path
	server Executor

	mu      sync.Mutex
	clients []*client // oldest first
}

type client struct {
	*net.UnixConn
	silent  bool
	trusted bool // the client came through a door
	waits   bool // the client waits for a reload, so the program that replaces this program may have to answer
}

const (
	Auto = "auto"
	Off  = "off"
)

// Listen creates the control socket, and removes the sockets of ended servers from its directory.
func Listen(path string, server Executor) (*Socket, error) {
	if strings.HasPrefix(path, Inherited) {
		return listenInside(path, server)
	}
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
	switch stale, err := checkPath(path); {
	case err != nil:
		return nil, err
	case stale:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// Set the mode before bind creates the file: afterwards, a different file could be at the path.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, short(err)
	}
	ln := l.(*net.UnixListener)
	ln.SetUnlinkOnClose(false) // Close removes the file
	return ln, nil
}

// checkPath returns an error if the control socket cannot be created at path, because a server listens there or because
// the file is not a socket. stale is true if the socket of an ended server is at path.
func checkPath(path string) (stale bool, err error) {
	st, err := os.Lstat(path)
	switch {
	case err != nil:
		return false, nil
	case st.Mode()&os.ModeSocket == 0:
		return false, fmt.Errorf("%s is not a socket", path)
	case answers(path):
		return false, fmt.Errorf("another server listens on %s", path)
	}
	return true, nil
}

// MayListen returns the error that Listen would return for path, and changes nothing. A socket of a server that serves
// site (Report.Site) is no error.
func MayListen(path, site string) error {
	if _, err := checkPath(path); err != nil {
		if site != "" && siteAt(path) == site {
			return nil
		}
		return err
	}
	if len(path) > maxPath {
		return tooLong(path)
	}
	if err := system.MayCreate(path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (s *Socket) SyscallConn() (syscall.RawConn, error) {
	if s.inside != nil {
		return s.inside.SyscallConn()
	}
	return s.ln.SyscallConn()
}

// Clients that wait for the end of the server stay connected.
func (s *Socket) Close() {
	if s.inside != nil {
		return // it ends with this process, because serveInside waits for its descriptor
	}
	if c, err := s.ln.SyscallConn(); err == nil {
		// Shutdown makes a waiting accept return, even if an application has made the socket blocking.
		_ = c.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
	s.ln.Close()
	// a different server may have created a new socket at the path
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
		_ = os.Remove(s.path)
	}
}

// Leave returns copies of the connections whose clients wait for the program that replaces this program. The new program
// passes these descriptors to AnswerLeft.
func (s *Socket) Leave() (fds []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		if raw, err := c.SyscallConn(); err == nil && c.waits {
			_ = raw.Control(func(fd uintptr) {
				if fd, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3); err == nil {
					fds = append(fds, fd)
				}
			})
		}
	}
	return fds
}

// AnswerLeft answers the clients that the previous program of this process has left (Socket.Leave).
func AnswerLeft(fds []int) {
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "control socket")
		if c, err := net.FileConn(f); err == nil {
			reply(c, Answer{})
			c.Close()
		}
		f.Close()
	}
}

func (s *Socket) serve() {
	for {
		c, err := s.ln.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // accept has probably failed because the process has no free descriptor
			continue
		}
		one := &client{UnixConn: c, silent: true}
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

func (s *Socket) talk(c *client) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(askWithin))
	if err := allowed(c.UnixConn, os.Geteuid(), 0); err != nil && !c.trusted {
		reply(c, Answer{Error: err.Error()})
		return
	}
	var r request
	if json.NewDecoder(io.LimitReader(c, longestRequest)).Decode(&r) != nil {
		return
	}
	s.mu.Lock()
	c.silent, c.waits = false, strings.HasPrefix(string(r.Command), string(Reload))
	s.mu.Unlock()
	_ = c.SetReadDeadline(time.Time{})
	if r.Command == Stop {
		reply(c, Answer{}) // respond first, because the process can end at any time
		_, _ = s.server(Stop, cache.Pattern{})
		// Read returns when the client disconnects; the connection also ends when this process ends
		_, _ = c.Read(make([]byte, 1))
		return
	}
	if err := r.Purge.Check(); r.Command == Purge && err != nil {
		reply(c, Answer{Error: err.Error()})
		return
	}
	a := s.server.answer(r.Command, r.Purge, Commands)
	if !a.Later {
		reply(c, a)
		return
	}
	_, _ = c.Read(make([]byte, 1)) // returns when the client disconnects
}

func reply(c net.Conn, a Answer) {
	_ = c.SetWriteDeadline(time.Now().Add(askWithin))
	_ = json.NewEncoder(c).Encode(a) // an error means that the client has disconnected
}

func allowed(c *net.UnixConn, uids ...int) error {
	if uid, _, err := peer(c); err != nil || !slices.Contains(uids, uid) {
		return fmt.Errorf("only the user of the server and root may do this")
	}
	return nil
}

const maxPath = 107 // in bytes, without the final NUL (unix(7))

func tooLong(path string) error {
	return fmt.Errorf("%s: the path is too long; the maximum for a socket is %d bytes", path, maxPath)
}

// short returns the cause of an error from package net, without the operation and the address.
func short(err error) error {
	if op, ok := err.(*net.OpError); ok {
		if call, ok := op.Err.(*os.SyscallError); ok && call.Err == syscall.EINVAL { // the path is too long
			return tooLong(op.Addr.String())
		} else if ok {
			return fmt.Errorf("%s: %w", op.Addr, call.Err)
		}
	}
	return err
}
