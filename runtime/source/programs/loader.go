package programs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
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

// stuckAfter is how long a process may take to fork, before it is killed.
const stuckAfter = 10 * time.Second

// LoaderOptions are what a Loader has to know of the program that it is in.
type LoaderOptions struct {
	// Killed returns why the kernel has killed a process (SIGKILL), "" if that is not known. It is called
	// from any goroutine.
	Killed func() string

	// Died is called, on a separate goroutine, when the process has ended while the Loader was open: the caller replaces this process. how
	// says how it has ended.
	Died func(how string)
}

// Serving is the settings that a Loader gets after it has been opened.
type Serving struct {
	Site
	Gate    *Gate         // bounds the children, and the requests that wait for one
	Timeout time.Duration // runtime.Config.Timeout; 0: none

	// Log writes a line about a client's request to the error log with that number
	// (exchange.Request.ErrorLog).
	Log func(number int, client, line string)
}

// Loader has requests answered by children of a process that has loaded the application, from its start to its end. Its methods are safe for
// concurrent use.
type Loader struct {
	o       LoaderOptions
	serving Serving // set by Serve
	cmd     *exec.Cmd
	control *net.UnixConn
	exited  chan struct{} // closed when the process has ended
	closed  atomic.Bool   // its end is wanted
	used    atomic.Int64  // when a request has ended last, in ns since 1970

	mu       sync.Mutex
	lastID   uint64
	children map[uint64]*child // nil: it has ended
}

// child is a process for one request, from the order to start it until it has ended.
type child struct {
	of       *Loader
	id       uint64
	conn     net.Conn     // carries the request and the response
	errors   *os.File     // its standard error
	progress atomic.Int64 // when it made something of the response last, in ns since 1970

	about string // handler and request line
	since time.Time
	begun chan error    // gets nil when it runs, or why it cannot
	ended chan struct{} // closed when it has ended
	pid   int           // 0: it does not run yet. Written before begun, and guarded by Loader.mu
	how   end           // guarded by Loader.mu
}

// end is how a child has ended.
type end struct {
	status int // -1: it was killed, or is lost
	text   string
}

// report is a message of a loader; an order has the first field only.
type report struct {
	ID     uint64
	PID    int32 // or -errno
	Status int32 // as of waitpid(2); -1: it has started
}

// LoadError is the error of OpenLoader when the application did not load. The process has
// said why, unless it was killed: Code is -1 then.
type LoadError struct {
	Code   int    // exit status
	Reason string // its first line, if the process has sent it in the place of the description
	how    string
}

// Error implements error.
func (e *LoadError) Error() string { return e.how }

// OpenLoader starts the process by cmd, and returns its description of the loaded application. The process finds the socket for orders behind
// the ExtraFiles of cmd, and a pipe behind that, to which it writes the description, a JSON object, and which it closes before it
// serves. What begins otherwise is the reason why it did not load. The error is a *LoadError or one line.
func OpenLoader(cmd *exec.Cmd, o LoaderOptions) (_ *Loader, loaded []byte, err error) {
	l := &Loader{o: o, cmd: cmd, exited: make(chan struct{}), children: map[uint64]*child{}}
	fds, err := system.Socketpair(unix.SOCK_SEQPACKET)
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
	// Keys of a terminal are for the server, which ends the loader by itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	to.Close()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot start the loader of --fork: %w", err)
	}
	if loaded, err = io.ReadAll(from); err != nil || !bytes.HasPrefix(loaded, []byte("{")) {
		_ = cmd.Wait()
		return nil, nil, &LoadError{cmd.ProcessState.ExitCode(), string(loaded), l.ended()}
	}
	go l.listen()
	return l, loaded, nil
}

// Serve makes the Loader ready for requests. Once, before the first.
func (l *Loader) Serve(serving Serving) {
	l.serving = serving
	l.used.Store(time.Now().UnixNano())
}

// FollowStderr gives the process the descriptor 2 that this process has now, after
// the error log was rotated.
func (l *Loader) FollowStderr() { _ = l.order(0, 2) }

// Unused returns for how long no request has needed the process; 0: one does.
func (l *Loader) Unused() time.Duration {
	if l.serving.Gate.Active() > 0 {
		return 0
	}
	return time.Since(time.Unix(0, l.used.Load()))
}

// leave gives back the place of a request that has entered Serving.Gate.
func (l *Loader) leave() {
	l.used.Store(time.Now().UnixNano())
	l.serving.Gate.Leave()
}

// errGone says that the process has ended.
var errGone = errors.New("the loader of --fork exited")

// order orders a child with these descriptors, its socket and its standard error; without any it orders its end, and with one it
// passes another standard error for the loader.
func (l *Loader) order(id uint64, files ...int) error {
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(stuckAfter))
	_, _, err := l.control.WriteMsgUnix(binary.NativeEndian.AppendUint64(nil, id), rights, nil)
	return err
}

// fork has a child made.
func (l *Loader) fork(about string) (*child, error) {
	sockets, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer unix.Close(sockets[1])
	conn, err := system.Conn(sockets[0], "fork")
	if err != nil {
		return nil, err
	}
	said, stderr, err := pipe()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer stderr.Close()
	c := &child{of: l, conn: conn, errors: said, about: about, since: time.Now(), begun: make(chan error, 1), ended: make(chan struct{}),
		how: end{-1, "has closed its connection"}}
	stuck := time.AfterFunc(stuckAfter, l.kill)
	defer stuck.Stop()
	if err = l.add(c); err == nil {
		if l.order(c.id, sockets[1], int(stderr.Fd())) != nil {
			l.kill()
		}
		err = <-c.begun
	}
	if err != nil {
		conn.Close()
		said.Close()
		return nil, err
	}
	return c, nil
}

// add gives a child its number.
func (l *Loader) add(c *child) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.children == nil {
		return errGone
	}
	l.lastID++
	c.id = l.lastID
	l.children[c.id] = c
	return nil
}

// kill kills the loader, which ends listen.
func (l *Loader) kill() { _ = l.cmd.Process.Kill() }

// kill kills the child.
func (c *child) kill() { _ = c.of.order(c.id) }

// ending returns how the child has ended.
func (c *child) ending() end {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return c.how
}

// Running describes each child that runs in a line, the oldest first.
func (l *Loader) Running() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(l.children)) {
		if c := l.children[id]; c.pid > 0 {
			lines = append(lines, fmt.Sprintf("process %d, for %.1f s: %s", c.pid, time.Since(c.since).Seconds(), c.about))
		}
	}
	return lines
}

// listen reads the reports of the loader, until it has ended.
func (l *Loader) listen() {
	buf := make([]byte, binary.Size(report{}))
	for {
		n, err := l.control.Read(buf)
		if err != nil || n != len(buf) {
			break
		}
		var r report
		_, _ = binary.Decode(buf, binary.NativeEndian, &r)
		l.heard(r)
	}
	l.control.Close()
	_ = l.cmd.Wait()
	close(l.exited)
	if !l.closed.Load() {
		go l.o.Died(l.ended())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.children {
		l.over(c, errGone, end{-1, "has ended after its loader"})
	}
	l.children = nil
}

func (l *Loader) heard(r report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.children[r.ID]
	switch {
	case c == nil:
	case r.PID <= 0:
		l.over(c, fmt.Errorf("cannot fork a process: %w", syscall.Errno(-r.PID)), end{})
	case r.Status >= 0:
		status := syscall.WaitStatus(r.Status)
		l.over(c, nil, end{status.ExitStatus(), l.ending(status)})
	case c.pid == 0: // a loader says so once, unless it was taken over
		c.pid = int(r.PID)
		c.begun <- nil
	}
}

// over notes that a child has ended, or was never started: fail says why. l.mu is held.
func (l *Loader) over(c *child, fail error, how end) {
	delete(l.children, c.id)
	c.how = how
	if c.pid == 0 {
		c.begun <- fail
	}
	close(c.ended)
}

// ended describes how the loader has ended.
func (l *Loader) ended() string {
	return "the loader of --fork " + l.ending(l.cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// ending describes how a process has ended.
func (l *Loader) ending(status syscall.WaitStatus) string {
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

// Close ends the process, and with it the children that are left. It returns when
// the process has ended, which it is made to after d.
func (l *Loader) Close(d time.Duration) {
	l.closed.Store(true)
	_ = l.cmd.Process.Signal(syscall.SIGCONT) // one that was stopped can end, too
	_ = l.control.CloseWrite()                // listen continues, for the last reports
	select {
	case <-l.exited:
	case <-time.After(d):
		l.kill()
		<-l.exited
	}
}
