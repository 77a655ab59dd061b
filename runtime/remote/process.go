package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

// Descriptor is that of the socket in the process of an application.
const Descriptor = 3

// Message says what the server and the application tell each other beside requests. What the numbers mean is theirs.
type Message byte

// Options says how a Handler gets its application. All functions but Command are called from any goroutine, unless stated otherwise.
type Options struct {
	// Command makes the command that becomes the process of the application. It finds the socket at Descriptor.
	Command func() *exec.Cmd

	// Hear takes a message of the application. Messages and parts come in order. later is called on the event loop, before
	// it gets a part that was sent later; nil: there is nothing to do.
	Hear func(m Message, data []byte) (later func())

	// Greet returns messages for a process that has just been started, each as Tell sends it: its first byte is a Message.
	// It must not call the Handler.
	Greet func() [][]byte

	// Log writes a line to the error log.
	Log func(line string)

	// Killed returns why the kernel has killed a process (SIGKILL), "" if that is not known. Optional.
	Killed func() string

	// Lost is called when the process has ended unasked, or before it has answered that many requests.
	Lost func(how string, requests int)

	// Asleep is called when the process has ended because nothing needed it.
	Asleep func()

	// Changed is called when a process has loaded something else than the one that Open has started: the server has to begin again. No other
	// process is started: requests are told that the application is starting.
	Changed func()
}

// Serving is the settings that a Handler gets after it has been opened.
type Serving struct {
	Text  []byte // settings for the application
	Queue int    // maximum number of requests that wait for a process

	// StartWait is how long a request waits for a process that has to load the application; a browser that opens a page gets one
	// that refreshes itself before. IdleStop is after how long without a request the process ends until one needs it. Grace is how
	// long requests of a process that is to be replaced may still take, and EndWithin how long a process may take to end behind them.
	StartWait, IdleStop, Grace, EndWithin time.Duration
}

// LoadError is the error of Open when the application did not load. Its process has said why, unless it was killed: Code is -1
// then.
type LoadError struct {
	Code int // exit status
	line string
}

// Error implements error.
func (e *LoadError) Error() string { return e.line }

// Open starts the application and returns its description of what it has loaded. The error is a *LoadError or one line.
func Open(o Options) (h *Handler, loaded []byte, err error) {
	h = &Handler{o: o, calls: map[exchange.Ticket]*call{}, parts: map[uintptr]*delivery{}, asks: map[exchange.Ticket]question{}}
	p, loaded, err := startProcess(&h.o, h.took, h.lost)
	if err != nil {
		return nil, nil, err
	}
	h.loaded, h.sleep.ending = loaded, p
	return h, loaded, nil
}

// Serve has the application begin to serve, and returns when it can. The error is as of Open. Once, before Attach.
func (h *Handler) Serve(serving Serving) error {
	h.mu.Lock()
	p := h.sleep.ending
	h.serving, h.sleep.ending = serving, nil
	h.mu.Unlock()
	if err := p.serve(serving.Text); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.use(p)
}

// Tell sends a message to the application, and reports whether there is one.
func (h *Handler) Tell(m Message, data []byte, files ...int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.sleep.current
	if p == nil {
		closeFiles(files)
		return false
	}
	p.link.send(frame{kind: kindMessage, data: append([]byte{byte(m)}, data...), files: files})
	return true
}

// ErrAsleep is the error of Ask without a process.
var ErrAsleep = errors.New("the application is asleep")

// Ask asks the application, which does not wake it, and returns the answer.
func (h *Handler) Ask(ctx context.Context, text []byte) ([]byte, error) {
	h.mu.Lock()
	p := h.sleep.current
	if p == nil {
		h.mu.Unlock()
		return nil, ErrAsleep
	}
	h.asked++
	number, answer := h.asked, make(chan []byte, 1)
	h.asks[number] = question{p, answer}
	p.link.send(frame{kind: kindAsk, ticket: number, data: text})
	h.mu.Unlock()
	select {
	case text, ok := <-answer:
		if !ok {
			return nil, ErrAsleep
		}
		return text, nil
	case <-ctx.Done():
		h.mu.Lock()
		delete(h.asks, number)
		h.mu.Unlock()
		return nil, ctx.Err()
	}
}

// Pid returns the number of the process of the application, 0 without one.
func (h *Handler) Pid() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.sleep.current; p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// process is the process of an application, from its start to its end.
type process struct {
	o      *Options
	cmd    *exec.Cmd
	link   *link
	began  time.Time
	loaded chan []byte // gets the description of what was loaded
	ready  chan struct{}
	once   sync.Once     // of ready
	exited chan struct{} // closed when it has ended
	how    string        // how it has ended; after exited
}

// startProcess starts a process, and returns what it has loaded. took gets its frames; lost is called when it has ended after that.
func startProcess(o *Options, took func(*process, frame) error, lost func(*process)) (p *process, loaded []byte, err error) {
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "application")
	defer theirs.Close()
	p = &process{o: o, cmd: o.Command(), began: time.Now(), loaded: make(chan []byte, 1), ready: make(chan struct{}), exited: make(chan struct{})}
	if p.link, err = newLink(fds[0]); err != nil {
		return nil, nil, err
	}
	p.cmd.ExtraFiles = []*os.File{theirs}
	// Keys of a terminal are for the server, which ends the application by itself.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		p.link.close()
		return nil, nil, fmt.Errorf("cannot start the process of the application: %w", err)
	}
	go p.listen(took, lost)
	select {
	case loaded = <-p.loaded:
		return p, loaded, nil
	case <-p.exited:
		return nil, nil, p.ended()
	}
}

// listen reads what the process says, until it has ended.
func (p *process) listen(took func(*process, frame) error, lost func(*process)) {
	loaded := false
	err := p.link.read(func(f frame) error {
		switch {
		case f.kind == kindLoaded && !loaded:
			loaded = true
			p.loaded <- f.data
			return nil
		case f.kind == kindReady:
			p.once.Do(func() { close(p.ready) })
			return nil
		}
		return took(p, f)
	})
	p.link.close()
	if errors.Is(err, errGarbled) {
		_ = p.cmd.Process.Kill()
	}
	_ = p.cmd.Wait()
	p.how = p.ending()
	close(p.exited)
	lost(p)
}

// serve has the process serve, and returns when it can.
func (p *process) serve(settings []byte) error {
	p.link.send(frame{kind: kindServe, data: settings})
	select {
	case <-p.ready:
		return nil
	case <-p.exited:
		return p.ended()
	}
}

// ended returns the error of a process that has ended, else nil.
func (p *process) ended() error {
	select {
	case <-p.exited:
		return &LoadError{p.cmd.ProcessState.ExitCode(), p.how}
	default:
		return nil
	}
}

// end ends the process when it has answered its requests, for which it has that long. It returns then, or has killed it after d more.
func (p *process) end(grace, d time.Duration) {
	p.link.send(numberFrame(kindEnd, 0, int64(grace)))
	select {
	case <-p.exited:
	case <-time.After(grace + d):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// ending describes how the process has ended.
func (p *process) ending() string {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return fmt.Sprintf("the application exited with status %d", p.cmd.ProcessState.ExitCode())
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
	return fmt.Sprintf("the application was killed by signal %d (%v%s)", int(status.Signal()), status.Signal(), more)
}
