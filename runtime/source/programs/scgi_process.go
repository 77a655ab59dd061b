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

// stuckAfter is how long a process may take to fork, before it is killed.
const stuckAfter = 10 * time.Second

// scgiProcess is one loader, from its start to its end.
type scgiProcess struct {
	o       *LoaderOptions
	cmd     *exec.Cmd
	control *net.UnixConn
	exited  chan struct{} // closed by Loader.watch
	how     string        // how it has ended; after await

	mu       sync.Mutex
	children []*child // that run, in the order in which they were started
}

// child is a process for one request.
type child struct {
	of       *scgiProcess
	conn     net.Conn     // carries the request and the response
	errors   *os.File     // its standard error
	reports  *os.File     // has what the loader says of it
	progress atomic.Int64 // when it made something of the response last, in ns since 1970

	about string // handler and request line
	since time.Time
	pid   int
	ended chan struct{} // closed when it has ended
	how   end           // afterwards
}

// end is how a child has ended.
type end struct {
	status int // -1: it was killed, or is lost
	text   string
}

// startProcess starts a loader and returns its message about the loaded application.
func startProcess(o *LoaderOptions) (_ *scgiProcess, loaded []byte, err error) {
	cmd := o.Command()
	p := &scgiProcess{o: o, cmd: cmd, exited: make(chan struct{})}
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

// order orders a child with these descriptors, its socket, its standard error and the pipe for reports; without any it orders the end of
// the child pid, and with one it passes another standard error for the loader.
func (p *scgiProcess) order(pid int, files ...int) error {
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(stuckAfter))
	_, _, err := p.control.WriteMsgUnix(binary.NativeEndian.AppendUint32(nil, uint32(pid)), rights, nil)
	return err
}

// fork has a child made.
func (p *scgiProcess) fork(about string) (_ *child, err error) {
	c := &child{of: p, about: about, since: time.Now(), ended: make(chan struct{})}
	sockets, err := system.Socketpair(unix.SOCK_STREAM)
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
			c.errors.Close() // without a file, Close does nothing
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
	stuck := time.AfterFunc(stuckAfter, p.kill)
	defer stuck.Stop()
	if p.order(0, sockets[1], int(stderr.Fd()), int(reports.Fd())) != nil {
		p.kill()
	}
	reports.Close()
	if c.pid, err = c.report(); err == nil && c.pid < 0 {
		err = fmt.Errorf("cannot fork a process: %w", syscall.Errno(-c.pid))
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.children = append(p.children, c)
	p.mu.Unlock()
	go c.await()
	return c, nil
}

// report reads a number of the loader. The error is errGone: it has ended.
func (c *child) report() (int, error) {
	var number int32
	if binary.Read(c.reports, binary.NativeEndian, &number) != nil {
		return 0, errGone
	}
	return int(number), nil
}

// await notes the end of the child.
func (c *child) await() {
	c.how = end{-1, "has ended after its loader"}
	if number, err := c.report(); err == nil {
		status := syscall.WaitStatus(number)
		c.how = end{status.ExitStatus(), c.of.ending(status)}
	}
	c.reports.Close()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.children = slices.DeleteFunc(c.of.children, func(other *child) bool { return other == c })
	close(c.ended)
}

// kill kills the loader.
func (p *scgiProcess) kill() { _ = p.cmd.Process.Kill() }

// kill kills the child.
func (c *child) kill() { _ = c.of.order(c.pid) }

// list describes the children that run, in the order in which they were started.
func (p *scgiProcess) list() (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.children {
		lines = append(lines, fmt.Sprintf("process %d, for %.1f s: %s", c.pid, time.Since(c.since).Seconds(), c.about))
	}
	return lines
}

// await returns when the loader has ended.
func (p *scgiProcess) await() {
	_ = p.cmd.Wait()
	p.control.Close()
	p.how = p.ended()
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
	_ = p.control.CloseWrite()
	select {
	case <-p.exited:
	case <-time.After(d):
		p.kill()
		<-p.exited
	}
}
