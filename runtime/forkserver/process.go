package forkserver

import (
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
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// process is one fork server, from its start to its end.
type process struct {
	o       *Options
	cmd     *exec.Cmd
	control *net.UnixConn
	exited  chan struct{} // closed when it has ended
	how     string        // how it has ended; after exited

	send sync.Mutex // orders leave one at a time

	mu       sync.Mutex
	lastID   uint64
	children map[uint64]*running
}

// running is a child, from the order to start it until it has ended.
type running struct {
	id    uint64
	pid   int           // after begun
	begun chan struct{} // closed when it runs, or cannot
	ended chan struct{} // closed when it has ended
	fail  error         // why it could not be started; after begun
	how   string        // how it has ended; after ended

	about string // handler and request line
	since time.Time
}

// loadError says that a fork server has ended before it served. It has said why
// unless it was killed.
type loadError struct {
	code int // exit status, -1 if it was killed
	how  string
}

// Error implements error.
func (e *loadError) Error() string { return e.how }

// startProcess starts a fork server and returns its message about the loaded application.
func startProcess(o *Options) (p *process, loaded []byte, err error) {
	cmd := o.Command()
	p = &process{o: o, cmd: cmd, exited: make(chan struct{}), children: map[uint64]*running{}}
	fds, err := system.Socketpair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	defer theirs.Close()
	if p.control, err = unixConn(fds[0]); err != nil {
		return nil, nil, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		p.control.Close()
		return nil, nil, err
	}
	defer from.Close()
	cmd.ExtraFiles = []*os.File{theirs, to}
	// Keys of a terminal are for the server, which ends the fork server by itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	to.Close()
	if err != nil {
		p.control.Close()
		return nil, nil, fmt.Errorf("cannot start the fork server: %w", err)
	}
	if loaded, err = io.ReadAll(from); err != nil || len(loaded) == 0 {
		p.control.Close()
		_ = cmd.Wait()
		return nil, nil, &loadError{cmd.ProcessState.ExitCode(), p.ended()}
	}
	return p, loaded, nil
}

// unixConn makes a connection of a socket, which belongs to it from then on.
func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "fork")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// order sends an order, with a descriptor unless file is -1.
func (p *process) order(op uint32, id uint64, file int) error {
	var rights []byte
	if file >= 0 {
		rights = unix.UnixRights(file)
	}
	text, err := binary.Append(nil, binary.NativeEndian, order{Op: op, ID: id})
	if err != nil {
		return err
	}
	p.send.Lock()
	defer p.send.Unlock()
	_, _, err = p.control.WriteMsgUnix(text, rights, nil)
	return err
}

// errGone says that the fork server has exited.
var errGone = errors.New("the fork server exited")

// fork asks for a child that has the other end of the socket returned. about is for
// lists of processes, such as that of ps.
func (p *process) fork(about string) (*running, *child, error) {
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fds[1])
	conn, err := unixConn(fds[0])
	if err != nil {
		return nil, nil, err
	}
	run := &running{about: about, since: time.Now(), begun: make(chan struct{}), ended: make(chan struct{})}
	p.mu.Lock()
	p.lastID++
	run.id = p.lastID
	p.children[run.id] = run
	p.mu.Unlock()
	if p.order(opStart, run.id, fds[1]) != nil {
		p.mu.Lock()
		p.over(run, errGone, "")
		p.mu.Unlock()
	}
	<-run.begun
	if run.fail != nil {
		conn.Close()
		return nil, nil, run.fail
	}
	return run, &child{conn: conn}, nil
}

// list describes the children that run, in the order in which they were started.
func (p *process) list() (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(p.children)) {
		run := p.children[id]
		select {
		case <-run.begun:
			lines = append(lines, fmt.Sprintf("process %d, for %.1f s: %s", run.pid, time.Since(run.since).Seconds(), run.about))
		default:
		}
	}
	return lines
}

// listen reads the messages of the fork server, until it has ended.
func (p *process) listen() {
	buf := make([]byte, binary.Size(order{}))
	for {
		n, err := p.control.Read(buf)
		if err != nil || n != len(buf) {
			break
		}
		var o order
		_, _ = binary.Decode(buf, binary.NativeEndian, &o)
		p.heard(o)
	}
	_ = p.cmd.Wait()
	p.how = p.ended()
	p.mu.Lock()
	for _, run := range p.children {
		p.over(run, errGone, "lost the fork server")
	}
	p.mu.Unlock()
	p.control.Close()
	close(p.exited)
}

func (p *process) heard(o order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	run := p.children[o.ID]
	if run == nil {
		return
	}
	switch o.Op {
	case opStarted:
		select {
		case <-run.begun: // it says so once, unless it was taken over
		default:
			run.pid = int(o.Value)
			close(run.begun)
		}
	case opFailedTo:
		p.over(run, fmt.Errorf("fork: %w", syscall.Errno(o.Value)), "")
	case opEnded:
		p.over(run, nil, p.ending(syscall.WaitStatus(o.Value)))
	}
}

// over notes that a child has ended, or was never started. p.mu is held.
func (p *process) over(run *running, fail error, how string) {
	if p.children[run.id] != run {
		return
	}
	delete(p.children, run.id)
	run.how = how
	select {
	case <-run.begun:
	default:
		run.fail = fail
		close(run.begun)
	}
	close(run.ended)
}

// ended describes how the fork server has ended.
func (p *process) ended() string {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return "the fork server " + p.cmd.ProcessState.String()
	}
	return "the fork server " + p.ending(status)
}

// ending describes how a process has ended.
func (p *process) ending(status syscall.WaitStatus) string {
	if !status.Signaled() {
		return fmt.Sprintf("exited with status %d", status.ExitStatus())
	}
	more := ""
	if status.CoreDump() {
		more = ", core dumped"
	}
	if status.Signal() == syscall.SIGKILL && p.o.Killed != nil {
		if why := p.o.Killed(); why != "" {
			more = ": " + why
		}
	}
	return fmt.Sprintf("was killed by signal %d (%v%s)", int(status.Signal()), status.Signal(), more)
}

// end ends the fork server, and with it the children that are left: at once after d.
func (p *process) end(d time.Duration) {
	// listen continues, for the last messages.
	if raw, err := p.control.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
	select {
	case <-p.exited:
	case <-time.After(d):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}
