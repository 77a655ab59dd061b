package programs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

const stuckAfter = 10 * time.Second // maximum time of a fork; after it, the loader is killed

type LoaderOptions struct {
	// Killed returns the probable reason why SIGKILL has ended a process, or "", and is called on any goroutine.
	Killed func() string

	// Died is called on a separate goroutine if the loader process ends before Close is called. The process that has
	// started the Loader should then be replaced.
	Died func(ending string)
}

type Serving struct {
	SiteVariables
	Places  *Places       // limits the number of children, and of requests that wait for a child
	Timeout time.Duration // runtime.Config.Timeout; 0 means no timeout

	// Log writes a line about a client's request to an error log.
	Log     func(number int, client, line string)
	Objects bool // messages of children are objects (logfile.ParseObject)
}

// A Loader is a process that has loaded the application and forks a child to answer each request. Its methods are safe
// for concurrent use.
type Loader struct {
	o       LoaderOptions
	serving Serving
	cmd     *exec.Cmd
	control *net.UnixConn
	exited  chan struct{}
	closed  atomic.Bool
	used    atomic.Int64 // time when the last request ended, in nanoseconds since 1970

	mu       sync.Mutex
	children []*child // running children, the oldest first
}

type child struct {
	loader   *Loader
	conn     net.Conn
	errors   *os.File
	reports  *os.File
	progress atomic.Int64

	request, handler string
	started          time.Time
	pid              int
	ended            chan struct{}
	result           exitResult
}

type exitResult struct {
	// exit status; -1 if the process was killed or its status is unknown
	status int
	text   string
}

// LoadError is the error of OpenLoader if the application did not load. Code is the exit status of the process, or -1
// if the process was killed; the process has logged the reason.
type LoadError struct {
	Code int
	// first line of the text that the process has sent instead of a description of the application
	Reason string
	how    string
}

func (e *LoadError) Error() string { return e.how }

// OpenLoader starts the loader process with cmd, and returns its description of the application. After the ExtraFiles
// of cmd, the process gets two descriptors: the socket for orders, and a pipe. When the application is loaded, the
// process writes the description to the pipe, a JSON object, and closes the pipe. Any other text is the reason why the
// application did not load. The error is a *LoadError or has one line.
func OpenLoader(cmd *exec.Cmd, o LoaderOptions) (_ *Loader, loaded []byte, err error) {
	l := &Loader{o: o, cmd: cmd, exited: make(chan struct{})}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	defer theirs.Close()
	control, err := system.Conn(fds[0], "fork")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			control.Close()
		}
	}()
	l.control = control.(*net.UnixConn)
	from, to, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer from.Close()
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs, to)
	// In its own process group, the loader gets no signals from the keyboard, because the server itself ends the
	// loader.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	to.Close()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot start the loader of --fork: %w", err)
	}
	if loaded, err = io.ReadAll(from); err != nil || !bytes.HasPrefix(loaded, []byte("{")) {
		_ = cmd.Wait()
		return nil, nil, &LoadError{cmd.ProcessState.ExitCode(), string(loaded), l.exitReason()}
	}
	go l.await()
	return l, loaded, nil
}

// Serve configures the Loader for requests, and must be called once, before the first request.
func (l *Loader) Serve(serving Serving) {
	l.serving = serving
	l.used.Store(time.Now().UnixNano())
}

// FollowStderr must be called after the error log was rotated.
func (l *Loader) FollowStderr() { _ = l.sendOrder(0, 2) }

// Unused returns the time since the last request ended, or 0 while a request is running or waiting.
func (l *Loader) Unused() time.Duration {
	if l.serving.Places.Active() > 0 {
		return 0
	}
	return time.Since(time.Unix(0, l.used.Load()))
}

func (l *Loader) leave(client string) {
	l.used.Store(time.Now().UnixNano())
	l.serving.Places.Leave(client)
}

var errGone = errors.New("the loader of --fork exited")

// sendOrder sends an order to the loader; the number of files selects the order. With three files, the loader forks a
// child with this socket, standard error and pipe for reports. One file becomes the loader's standard error. Without
// files, the loader kills the child pid or, if pid is negative, ends within -pid milliseconds.
func (l *Loader) sendOrder(pid int, files ...int) error {
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(stuckAfter))
	_, _, err := l.control.WriteMsgUnix(binary.NativeEndian.AppendUint32(nil, uint32(pid)), rights, nil)
	return err
}

func (l *Loader) fork(request, handler string) (_ *child, err error) {
	c := &child{loader: l, request: request, handler: handler, started: time.Now(), ended: make(chan struct{})}
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(sockets[1])
	if c.conn, err = system.Conn(sockets[0], "fork"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.conn.Close()
			c.errors.Close() // Close has no effect if c.errors is nil
			c.reports.Close()
		}
	}()
	var stderr, reports *os.File
	if c.errors, stderr, err = pipe(); err != nil {
		return nil, err
	}
	defer stderr.Close()
	if c.reports, reports, err = pipe(); err != nil {
		return nil, err
	}
	stuck := time.AfterFunc(stuckAfter, l.kill)
	defer stuck.Stop()
	if l.sendOrder(0, sockets[1], int(stderr.Fd()), int(reports.Fd())) != nil {
		l.kill()
	}
	reports.Close()
	if c.pid, err = c.report(); err == nil && c.pid < 0 {
		err = fmt.Errorf("cannot fork a process: %w", syscall.Errno(-c.pid))
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.children = append(l.children, c)
	l.mu.Unlock()
	go c.await()
	return c, nil
}

// report reads a number from the loader, or returns errGone if the loader has ended.
func (c *child) report() (int, error) {
	var number int32
	if binary.Read(c.reports, binary.NativeEndian, &number) != nil {
		return 0, errGone
	}
	return int(number), nil
}

func (c *child) await() {
	c.result = exitResult{-1, "has ended after its loader"}
	if number, err := c.report(); err == nil {
		status := syscall.WaitStatus(number)
		c.result = exitResult{status.ExitStatus(), c.loader.describeExit(status)}
	}
	c.reports.Close()
	c.loader.mu.Lock()
	defer c.loader.mu.Unlock()
	c.loader.children = slices.DeleteFunc(c.loader.children, func(other *child) bool { return other == c })
	close(c.ended)
}

func (l *Loader) kill() { _ = l.cmd.Process.Kill() }

func (c *child) kill() { _ = c.loader.sendOrder(c.pid) }

// Running is a child that works on a request.
type Running struct {
	PID     int
	Request string // request line
	Handler string
	Age     time.Duration
}

// Running returns the running children, the oldest first.
func (l *Loader) Running() (running []Running) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.children {
		running = append(running, Running{c.pid, c.request, c.handler, time.Since(c.started)})
	}
	return running
}

func (l *Loader) await() {
	_ = l.cmd.Wait()
	l.control.Close()
	close(l.exited)
	if !l.closed.Load() {
		l.o.Died(l.exitReason())
	}
}

func (l *Loader) exitReason() string {
	return "the loader of --fork " + l.describeExit(l.cmd.ProcessState.Sys().(syscall.WaitStatus))
}

func (l *Loader) describeExit(status syscall.WaitStatus) string {
	if !status.Signaled() {
		return fmt.Sprintf("exited with status %d", status.ExitStatus())
	}
	more := ""
	if status.CoreDump() {
		more = ", core dumped"
	}
	if status.Signal() == syscall.SIGKILL {
		if why := l.o.Killed(); why != "" {
			more = ": " + why
		}
	}
	return fmt.Sprintf("was killed by signal %d (%v%s)", int(status.Signal()), status.Signal(), more)
}

// Close ends the loader process, which has the duration d to end its children and threads and to call its atexit
// functions, and is then killed.
func (l *Loader) Close(d time.Duration) {
	l.closed.Store(true)
	_ = l.cmd.Process.Signal(syscall.SIGCONT) // continue a stopped process, so that it can end
	_ = l.sendOrder(-int(d.Milliseconds()))
	_ = l.control.CloseWrite()
	select {
	case <-l.exited:
	case <-time.After(d):
		l.kill()
		<-l.exited
	}
}
