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

// scgiProcess is one loader, from its start to its end.
type scgiProcess struct {
	o       *LoaderOptions
	cmd     *exec.Cmd
	control *net.UnixConn
	exited  chan struct{} // closed by Loader.watch
	how     string        // how it has ended; after listen

	mu       sync.Mutex
	lastID   uint64
	children map[uint64]*child // nil: it has ended
}

// child is a process for one request, from the order to start it until it has ended.
type child struct {
	of       *scgiProcess
	id       uint64
	conn     net.Conn     // carries the request and the response
	errors   *os.File     // its standard error
	progress atomic.Int64 // when it made something of the response last, in ns since 1970

	about string // handler and request line
	since time.Time
	begun chan error    // gets nil when it runs, or why it cannot
	ended chan struct{} // closed when it has ended
	pid   int           // 0: it does not run yet. Written before begun, and guarded by scgiProcess.mu
	how   end           // guarded by scgiProcess.mu
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

// startProcess starts a loader and returns its message about the loaded application.
func startProcess(o *LoaderOptions) (_ *scgiProcess, loaded []byte, err error) {
	cmd := o.Command()
	p := &scgiProcess{o: o, cmd: cmd, exited: make(chan struct{}), children: map[uint64]*child{}}
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
	p.control = control.(*net.UnixConn)
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
		return nil, nil, &LoadError{cmd.ProcessState.ExitCode(), string(loaded), p.ended()}
	}
	return p, loaded, nil
}

// errGone says that the process has ended.
var errGone = errors.New("the loader of --fork exited")

// order orders a child with these descriptors, its socket and its standard error; without any it orders its end, and with one it
// passes another standard error for the loader.
func (p *scgiProcess) order(id uint64, files ...int) error {
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(stuckAfter))
	_, _, err := p.control.WriteMsgUnix(binary.NativeEndian.AppendUint64(nil, id), rights, nil)
	return err
}

// fork has a child made.
func (p *scgiProcess) fork(about string) (*child, error) {
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
	c := &child{of: p, conn: conn, errors: said, about: about, since: time.Now(), begun: make(chan error, 1), ended: make(chan struct{}),
		how: end{-1, "has closed its connection"}}
	stuck := time.AfterFunc(stuckAfter, p.kill)
	defer stuck.Stop()
	if err = p.add(c); err == nil {
		if p.order(c.id, sockets[1], int(stderr.Fd())) != nil {
			p.kill()
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
func (p *scgiProcess) add(c *child) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.children == nil {
		return errGone
	}
	p.lastID++
	c.id = p.lastID
	p.children[c.id] = c
	return nil
}

// kill kills the loader, which ends listen.
func (p *scgiProcess) kill() { _ = p.cmd.Process.Kill() }

// kill kills the child.
func (c *child) kill() { _ = c.of.order(c.id) }

// ending returns how the child has ended.
func (c *child) ending() end {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return c.how
}

// list describes the children that run, in the order in which they were started.
func (p *scgiProcess) list() (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(p.children)) {
		if c := p.children[id]; c.pid > 0 {
			lines = append(lines, fmt.Sprintf("process %d, for %.1f s: %s", c.pid, time.Since(c.since).Seconds(), c.about))
		}
	}
	return lines
}

// listen reads the reports of the loader, until it has ended.
func (p *scgiProcess) listen() {
	buf := make([]byte, binary.Size(report{}))
	for {
		n, err := p.control.Read(buf)
		if err != nil || n != len(buf) {
			break
		}
		var r report
		_, _ = binary.Decode(buf, binary.NativeEndian, &r)
		p.heard(r)
	}
	p.control.Close()
	_ = p.cmd.Wait()
	p.how = p.ended()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.children {
		p.over(c, errGone, end{-1, "has ended after its loader"})
	}
	p.children = nil
}

func (p *scgiProcess) heard(r report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.children[r.ID]
	switch {
	case c == nil:
	case r.PID <= 0:
		p.over(c, fmt.Errorf("cannot fork a process: %w", syscall.Errno(-r.PID)), end{})
	case r.Status >= 0:
		status := syscall.WaitStatus(r.Status)
		p.over(c, nil, end{status.ExitStatus(), p.ending(status)})
	case c.pid == 0: // a loader says so once, unless it was taken over
		c.pid = int(r.PID)
		c.begun <- nil
	}
}

// over notes that a child has ended, or was never started: fail says why. p.mu is held.
func (p *scgiProcess) over(c *child, fail error, how end) {
	delete(p.children, c.id)
	c.how = how
	if c.pid == 0 {
		c.begun <- fail
	}
	close(c.ended)
}

// ended describes how the loader has ended.
func (p *scgiProcess) ended() string {
	return "the loader of --fork " + p.ending(p.cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// ending describes how a process has ended.
func (p *scgiProcess) ending(status syscall.WaitStatus) string {
	if !status.Signaled() {
		return fmt.Sprintf("exited with status %d", status.ExitStatus())
	}
	more := ""
	if status.CoreDump() {
		more = ", core dumped"
	}
	if status.Signal() == syscall.SIGKILL {
		if why := p.o.Killed(); why != "" {
			more = ": " + why
		}
	}
	return fmt.Sprintf("was killed by signal %d (%v%s)", int(status.Signal()), status.Signal(), more)
}

// end ends the loader, and with it the children that are left: at once after d.
func (p *scgiProcess) end(d time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // one that was stopped can end, too
	_ = p.control.CloseWrite()                // listen continues, for the last reports
	select {
	case <-p.exited:
	case <-time.After(d):
		p.kill()
		<-p.exited
	}
}
