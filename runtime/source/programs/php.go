package programs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
)

// PHPOptions describe a directory of PHP scripts.
type PHPOptions struct {
	// Command is the program, looked for in PATH unless it has a slash. "": php-cgi.
	Command string `key:"command" is:"program" short:"a program such as \"php-cgi\""`

	// Args are for the program: "-d", "memory_limit=64M".
	Args []string `key:"args"`

	// Root is the directory. Match are patterns for the names of scripts, none:
	// "*.php"; Index those that answer for a directory, none: "index.php".
	ScriptOptions
	Common // DocumentRoot "": Root

	// Front is a script below Root that answers for all paths that no script is
	// found for: "/index.php". "": 404.
	Front string `key:"front"`

	// EachOne starts a process for each request.
	EachOne bool `key:"mode" is:"one fastcgi cgi"`

	// Children is how many processes there may be. They are started as requests
	// need them, and end when they have been idle. 0: 4.
	Children int `key:"children" range:"1-1000"`

	// MaxRequests is after how many requests a process is replaced. 0: 500.
	MaxRequests int `key:"max-requests" range:"1-1000000000"`

	// Idle is after how long a process that does nothing is ended. 0: 5 minutes.
	Idle time.Duration `key:"idle"`

	// Env is as in CGIOptions.
	Env []string `key:"env" is:"pairs"`
}

// Defaults of PHPOptions.
const (
	DefaultCommand     = "php-cgi"
	defaultChildren    = 4
	defaultMaxRequests = 500
	defaultIdle        = 5 * time.Minute
)

// PHP is a backend.Responder.
type PHP struct {
	o       PHPOptions
	answers backend.Responder
	fast    *FastCGI // nil with EachOne
	manager *manager
}

// NewPHP opens the directory. The error is one line. A missing program is
// none: see Missing.
func NewPHP(o PHPOptions) (*PHP, error) {
	defaults(&o)
	scripts, err := NewScripts(o.ScriptOptions)
	if err != nil {
		return nil, err
	}
	o.DocumentRoot = cmp.Or(o.DocumentRoot, scripts.directory)
	var front *Script
	if o.Front != "" {
		found, err := scripts.Find(o.Front)
		if err != nil {
			return nil, fmt.Errorf("front %q in %s: %w", o.Front, o.Root, err)
		}
		front = &found
	}
	p := &PHP{o: o}
	if o.EachOne {
		p.answers, err = NewCGI(CGIOptions{
			ScriptOptions: o.ScriptOptions,
			Common:        o.Common,
			Runner:        p.o.command,
			Fallback:      front,
			Env:           append(slices.Clone(o.Env), redirectStatus),
			Gate:          NewGate(o.Children, DefaultWaiting),
		})
		return p, err
	}
	p.manager = &manager{
		o:       &p.o,
		env:     append(Environment(), append(slices.Clone(o.Env), "PHP_FCGI_MAX_REQUESTS=0")...),
		gate:    NewGate(o.Children, o.Children),
		running: map[*phpProcess]bool{},
	}
	p.fast, err = NewFastCGI(FastCGIOptions{
		Dial:        p.manager.dial,
		Scripts:     scripts,
		Fallback:    front,
		Common:      o.Common,
		Params:      append(slices.Clone(o.Env), redirectStatus),
		Connections: o.Children,
		Idle:        o.Idle,
		MaxRequests: o.MaxRequests,
	})
	p.answers = p.fast
	return p, err
}

// redirectStatus tells php-cgi that a server has chosen the script, not the client
// (cgi.force_redirect).
const redirectStatus = "REDIRECT_STATUS=200"

func defaults(o *PHPOptions) {
	if dir := os.Getenv("TMPDIR"); dir != "" { // opcache does not look there by itself
		o.Args = append([]string{"-d", "opcache.lockfile_path=" + dir}, o.Args...)
	}
	o.Command = cmp.Or(o.Command, DefaultCommand)
	if len(o.Match) == 0 {
		o.Match = []string{"*.php"}
	}
	if len(o.Index) == 0 {
		o.Index = []string{"index.php"}
	}
	o.Children = cmp.Or(o.Children, defaultChildren)
	o.MaxRequests = cmp.Or(o.MaxRequests, defaultMaxRequests)
	o.Idle = cmp.Or(o.Idle, defaultIdle)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
}

// command looks for the program, and returns its argument list. It may be installed at any time.
func (o *PHPOptions) command() ([]string, error) {
	path, err := exec.LookPath(o.Command)
	if err == nil {
		return append([]string{path}, o.Args...), nil
	}
	text := o.Command + " is not installed"
	if o.Command == DefaultCommand {
		text += ": apt-get install php-cgi"
	}
	return nil, Unavailable(text)
}

// Missing says in one line that the program is not there, "" if it is.
func (p *PHP) Missing() string {
	if _, err := p.o.command(); err != nil {
		return err.Error()
	}
	return ""
}

// Respond implements backend.Responder.
func (p *PHP) Respond(w *backend.Response, r *backend.Request) { p.answers.Respond(w, r) }

// Idle returns the number of connections to children that wait for a request. It is safe for concurrent use.
func (p *PHP) Idle() int {
	if p.fast == nil {
		return 0
	}
	return p.fast.Idle()
}

// Close ends the processes; those that are in the middle of a request have grace. It is safe for concurrent use.
func (p *PHP) Close(grace time.Duration) {
	if p.fast != nil {
		p.fast.Close()
		p.manager.close(grace)
	}
}

// manager starts processes of php-cgi, one for each link: a request that hangs is
// ended with its process and holds up no other, and none is in the middle of one
// when a process has served its number.
type manager struct {
	o    *PHPOptions
	env  []string
	gate *Gate // for processes, also those that are ending

	mu      sync.Mutex
	running map[*phpProcess]bool // nil: closed
	fails   int                  // processes in a row that ended before they had ever answered
	pause   time.Time            // none is started before
}

// phpProcess is one php-cgi.
type phpProcess struct {
	*process
	answered bool // guarded by manager.mu
}

// pause follows processes that ended at once: a request in that time is answered
// without trying.
const pause = time.Second

var errClosed = errors.New("the server is shutting down")

// dial implements FastCGIOptions.Dial.
func (m *manager) dial(ctx context.Context) (*Link, error) {
	argv, err := m.o.command()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	wait := time.Until(m.pause)
	m.mu.Unlock()
	if wait > 0 {
		return nil, Unavailable(m.o.Command + " exits right after its start; see the error log")
	}
	if err := m.gate.Enter(ctx, ""); err != nil {
		return nil, err
	}
	l, err := m.start(argv)
	if err != nil {
		m.gate.Leave("")
		return nil, fmt.Errorf("%s cannot be started: %w", m.o.Command, err)
	}
	return l, nil
}

// start starts a process and connects to it.
func (m *manager) start(argv []string) (l *Link, err error) {
	listener, conn, err := privateSocket()
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running == nil {
		return nil, errClosed
	}
	started, err := start(argv, m.env, "/", listener) // §2.2: descriptor 0 listens
	if err != nil {
		return nil, err
	}
	p := &phpProcess{process: started}
	m.running[p] = true
	log := func(line string) { m.o.Log("", m.o.Command+": "+line) }
	go logLines(p.out, log)
	go logLines(p.err, log)
	go m.await(p)
	heard := func() {
		m.mu.Lock()
		p.answered, m.fails = true, 0
		m.mu.Unlock()
	}
	return &Link{Conn: conn, Heard: heard, Drop: func(hangs bool) {
		conn.Close()
		if hangs {
			p.kill()
		} else { // after the request that it runs, as php-cgi ends between two; a script may wait for a program
			p.terminate(m.o.Timeout)
		}
	}}, nil
}

// privateSocket returns a listening socket to which no other process can connect, and the one connection to it: its
// name is gone before the program has it.
func privateSocket() (listener *os.File, conn net.Conn, err error) {
	dir, err := privateDirectory()
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "s")})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if conn, err = net.Dial("unix", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if listener, err = l.File(); err == nil {
		listener.Fd() // has it block, as programs expect
	}
	return listener, conn, err
}

// privateDirectory makes a directory that only this user can enter. It need not last.
func privateDirectory() (dir string, err error) {
	for _, parent := range []string{os.TempDir(), os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		const room = 70 // the path of a socket has 107 bytes at most
		if parent == "" || len(parent) > room {
			continue
		}
		if dir, err = os.MkdirTemp(parent, "fapws-php-"); err == nil {
			return dir, nil
		}
	}
	if err == nil {
		err = errors.New("found no directory with a short name for temporary files")
	}
	return "", err
}

// await notes the end of a process.
func (m *manager) await(p *phpProcess) {
	state, told := p.await()
	m.mu.Lock()
	delete(m.running, p)
	// One that ends by itself may be told to all the same: its connection breaks first.
	alone := !told || failed(state)
	if alone && !p.answered {
		m.fails++
		if m.fails > 1 { // one alone may have died of its request
			m.pause = time.Now().Add(pause)
		}
	}
	m.mu.Unlock()
	m.gate.Leave("")
	if alone && state != nil {
		m.o.Log("", fmt.Sprintf("%s exited unexpectedly: %v", m.o.Command, state))
	}
}

// failed tells whether a process ended otherwise than one that is told to: php-cgi
// then has the status 0.
func failed(state *os.ProcessState) bool {
	if state == nil {
		return false
	}
	status := state.Sys().(syscall.WaitStatus)
	return status.Exited() && status.ExitStatus() != 0 ||
		status.Signaled() && status.Signal() != unix.SIGTERM && status.Signal() != unix.SIGKILL
}

// close ends all processes and waits for that; those that do not end by
// themselves in grace are killed.
func (m *manager) close(grace time.Duration) {
	m.mu.Lock()
	all := slices.Collect(maps.Keys(m.running))
	m.running = nil
	m.mu.Unlock()
	for _, p := range all {
		p.terminate(m.o.Timeout)
		late := time.AfterFunc(grace, p.kill)
		defer late.Stop()
	}
	for _, p := range all {
		<-p.ended
	}
}
