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

type PHPOptions struct {
	// Command is the PHP program: a path, or the name of a program in PATH. "" means php-cgi.
	Command string `key:"command" is:"program" short:"a program such as \"php-cgi\""`

	Args []string `key:"args"`

	// Root is the directory of the scripts. Match contains patterns for the names of scripts, by default "*.php". Index
	// contains the names of the scripts that respond for a directory.
	ScriptOptions
	Common

	// Front is a script below Root that handles all paths without a script, such as "/index.php". "" means a response
	// with status 404.
	Front string `key:"front"`

	// EachOne starts a process for each request.
	EachOne bool `key:"mode" is:"one fastcgi cgi"`

	// Children is the maximum number of processes. Processes start on demand, and end after the time Idle without
	// requests. 0 means 4.
	Children int `key:"children" range:"1-1000"`

	// MaxRequests is the number of requests after which a process is replaced. 0 means 500.
	MaxRequests int `key:"max-requests" range:"1-1000000000"`

	// Idle is the time without requests after which a process ends. 0 means 5 minutes.
	Idle time.Duration `key:"idle"`

	Env []string `key:"env" is:"pairs"`
}

const DefaultCommand = "php-cgi"

type PHP struct {
	o       PHPOptions
	answers backend.Responder
	fast    *FastCGI
	manager *manager
}

// NewPHP returns a responder for PHP scripts, even if the program is missing (see Missing).
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
	variables := append(slices.Clone(o.Env), redirectStatus)
	if o.EachOne {
		p.answers, err = NewCGI(CGIOptions{ScriptOptions: o.ScriptOptions, Common: o.Common, Runner: p.o.command,
			Fallback: front, Env: variables, Places: NewPlaces(o.Children, DefaultWaiting)})
		return p, err
	}
	p.manager = &manager{o: &p.o, places: NewPlaces(o.Children, o.Children), running: map[*phpProcess]bool{},
		env: slices.Concat(Environment(), o.Env, []string{"PHP_FCGI_MAX_REQUESTS=0"})}
	p.fast, err = NewFastCGI(FastCGIOptions{Dial: p.manager.dial, Scripts: scripts, Fallback: front, Common: o.Common,
		Params: variables, Connections: o.Children, Idle: o.Idle, MaxRequests: o.MaxRequests})
	p.answers = p.fast
	return p, err
}

// redirectStatus tells php-cgi that the server, not the client, has chosen the script, because otherwise php-cgi runs
// no script (cgi.force_redirect).
const redirectStatus = "REDIRECT_STATUS=200"

func defaults(o *PHPOptions) {
	if dir := os.Getenv("TMPDIR"); dir != "" { // opcache ignores TMPDIR
		o.Args = append([]string{"-d", "opcache.lockfile_path=" + dir}, o.Args...)
	}
	o.Command = cmp.Or(o.Command, DefaultCommand)
	if len(o.Match) == 0 {
		o.Match = []string{"*.php"}
	}
	o.Children = cmp.Or(o.Children, 4)
	o.MaxRequests = cmp.Or(o.MaxRequests, 500)
	o.Idle = cmp.Or(o.Idle, 5*time.Minute)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
}

// command searches each time for the program, which may be installed later, and returns its argument list.
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

func (p *PHP) Missing() string {
	if _, err := p.o.command(); err != nil {
		return err.Error()
	}
	return ""
}

func (p *PHP) Respond(w *backend.ResponseWriter, r *backend.Request) { p.answers.Respond(w, r) }

// Idle returns the number of PHP processes that wait for a request.
func (p *PHP) Idle() int {
	if p.fast == nil {
		return 0
	}
	return p.fast.Idle()
}

// A process with a request may continue for the duration grace. Close is safe for concurrent use.
func (p *PHP) Close(grace time.Duration) {
	if p.fast != nil {
		p.fast.Close()
		p.manager.close(grace)
	}
}

// A manager starts php-cgi processes, one for each link. If a request hangs, the manager kills its process, which no
// other request uses. A process that has served its maximum number of requests ends between two requests.
type manager struct {
	o      *PHPOptions
	env    []string
	places *Places // limits the processes, including processes that are ending

	mu      sync.Mutex
	running map[*phpProcess]bool // nil after close
	fails   int                  // number of consecutive processes that ended before responding to a request
	pause   time.Time
}

type phpProcess struct {
	*process
	// the PHP process has responded to a request; guarded by manager.mu
	answered bool
}

// pause is how long requests are rejected after two consecutive processes have ended without a response to a request.
const pause = time.Second

var errClosed = errors.New("the server is shutting down")

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
	if err := m.places.Enter(ctx, ""); err != nil {
		return nil, err
	}
	l, err := m.start(argv)
	if err != nil {
		m.places.Leave("")
		return nil, fmt.Errorf("%s cannot be started: %w", m.o.Command, err)
	}
	return l, nil
}

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
	started, err := start(argv, m.env, "/", listener) // descriptor 0 is the listener (§2.2)
	if err != nil {
		return nil, err
	}
	p := &phpProcess{process: started}
	m.running[p] = true
	log := func(line string) { m.o.Log("", m.o.Command+": "+line) }
	go logLines(p.out, maxLine, log)
	go logLines(p.err, maxLine, log)
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
			// SIGTERM makes php-cgi end after its current request. Do not kill it at once, because the script may be
			// waiting for a program.
		} else {
			p.terminate(m.o.Timeout)
		}
	}}, nil
}

// privateSocket returns a listening socket and a connection to the socket. No other connection is possible, because the
// name of the socket is removed before the program starts.
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
		listener.Fd() // Fd makes the socket blocking, as programs expect
	}
	return listener, conn, err
}

func privateDirectory() (dir string, err error) {
	for _, parent := range []string{os.TempDir(), os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		const room = 70 // a socket's path has at most 107 bytes
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

func (m *manager) await(p *phpProcess) {
	state, told := p.await()
	// When a process crashes, its connection breaks first, and the server may send a signal before the process has
	// ended. Therefore the exit status must be checked even if the result told is true.
	alone := !told || failed(state)
	m.mu.Lock()
	delete(m.running, p)
	if alone && !p.answered {
		m.fails++
		// Pause only after two failures, because a single process may have crashed because of its request.
		if m.fails > 1 {
			m.pause = time.Now().Add(pause)
		}
	}
	m.mu.Unlock()
	m.places.Leave("")
	if alone && state != nil {
		m.o.Log("", fmt.Sprintf("%s exited unexpectedly: %v", m.o.Command, state))
	}
}

// failed reports whether a process ended with an error, or by a signal other than SIGTERM and SIGKILL, which the server
// sends.
func failed(state *os.ProcessState) bool {
	if state == nil {
		return false
	}
	status := state.Sys().(syscall.WaitStatus)
	return status.Exited() && status.ExitStatus() != 0 ||
		status.Signaled() && status.Signal() != unix.SIGTERM && status.Signal() != unix.SIGKILL
}

// close ends all processes, and kills those that do not end within grace.
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
