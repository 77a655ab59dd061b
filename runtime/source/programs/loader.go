package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

// LoaderOptions says how a Loader gets its process.
type LoaderOptions struct {
	// Command makes the command that becomes the process. It finds the socket for orders behind the ExtraFiles of the command, and a pipe
	// behind that, to which it writes a description of the loaded application, a JSON object, and which it closes before it
	// serves. What begins otherwise is the reason why it did not load.
	Command func() *exec.Cmd

	// Log writes a line to the error log of the server, from any goroutine: the process has ended while the Loader was open.
	Log func(line string)

	// Killed returns why the kernel has killed a process (SIGKILL), "" if that is not known. It is called
	// from any goroutine.
	Killed func() string

	// Failed is called once, on a separate goroutine, when no other process can take the place of one that has ended, because
	// the application is another one by now. line says so.
	Failed func(line string)

	// Asleep is called, from any goroutine, when the process has ended because no request needed it.
	Asleep func()
}

// Serving is the settings that a Loader gets after it has been opened.
type Serving struct {
	Site
	Gate    *Gate         // bounds the children, and the requests that wait for one
	Timeout time.Duration // runtime.Config.Timeout; 0: none

	// Log writes a line about a client's request to the error log with that number
	// (exchange.Request.ErrorLog).
	Log func(number int, client, line string)

	// StartWait is how long a request waits for a process that has to load the application; a browser that opens a page gets
	// one that refreshes itself before. IdleStop is after how long without children the process ends until a request needs
	// it; 0: never.
	StartWait, IdleStop time.Duration

	// Replace is called, on a separate goroutine, when the process has ended and this one cannot start another one, since it
	// is in a sandbox: the caller replaces this process. nil: it can.
	Replace func(why string)
}

// Loader has requests answered by children of a process that has loaded the application. Any goroutine may use it.
type Loader struct {
	o       LoaderOptions
	serving Serving // set by Serve
	loaded  []byte  // what each process must have loaded

	mu       sync.Mutex
	closed   bool
	current  *scgiProcess  // nil: the next request starts one
	starting chan struct{} // closed when that has been done; nil: none is being started
	since    time.Time     // when the last start began
	failed   time.Time     // when it failed
	asleep   bool          // there is none because no request needed it
	idle     *time.Timer   // ends the process when no request has needed it for Serving.IdleStop; nil: it stays
}

const (
	// sleepWithin is in which time a process without children has to end.
	sleepWithin = 5 * time.Second

	// failedFor is how long requests are refused after a failed start, so that each of them does not cause another one.
	failedFor = time.Second
)

// errNotLoaded says that the application could not be loaded again.
var errNotLoaded = errors.New("the application failed to load")

// LoadError is the error of Open when the application did not load. The process has
// said why, unless it was killed: Code is -1 then.
type LoadError struct {
	Code   int    // exit status
	Reason string // its first line, if the process has sent it in the place of the description
	how    string
}

// Error implements error.
func (e *LoadError) Error() string { return e.how }

// OpenLoader starts the process and returns its description of the loaded application. The error is a *LoadError or one
// line.
func OpenLoader(o LoaderOptions) (l *Loader, loaded []byte, err error) {
	p, loaded, err := startProcess(&o)
	if err != nil {
		return nil, nil, err
	}
	l = &Loader{o: o, loaded: loaded, current: p}
	go l.watch(p)
	return l, loaded, nil
}

// Serve makes the Loader ready for requests. Once, before the first.
func (l *Loader) Serve(serving Serving) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = serving
	if serving.IdleStop > 0 {
		l.idle = time.AfterFunc(serving.IdleStop, l.sleep)
	}
}

// FollowStderr gives the process the descriptor 2 that this process has now, after
// the error log was rotated.
func (l *Loader) FollowStderr() {
	if p := l.now(); p != nil {
		_ = p.order(0, 2)
	}
}

// Running describes each child that runs in a line, the oldest first.
func (l *Loader) Running() []string {
	if p := l.now(); p != nil {
		return p.list()
	}
	return nil
}

// now returns the process that runs, or nil.
func (l *Loader) now() *scgiProcess {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// Asleep reports whether there is no process because no request has needed it.
func (l *Loader) Asleep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asleep
}

func (l *Loader) loadingSince() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// leave gives back the place of a request that has entered Serving.Gate.
func (l *Loader) leave() {
	l.serving.Gate.Leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest()
}

// rest has the process end after some time without requests. l.mu is held.
func (l *Loader) rest() {
	if l.idle != nil {
		l.idle.Reset(l.serving.IdleStop)
	}
}

// sleep ends the process, unless a request has come meanwhile.
func (l *Loader) sleep() {
	l.mu.Lock()
	p := l.current
	if l.closed || p == nil || l.serving.Gate.Active() > 0 {
		l.mu.Unlock()
		return
	}
	l.current, l.asleep = nil, true
	l.mu.Unlock()
	p.end(sleepWithin)
	l.o.Asleep()
}

// fork makes a child for a request, which waits for a place and for the process, up to wait. about is for lists of processes. The caller
// has to leave when the child has ended.
func (l *Loader) fork(ctx context.Context, wait time.Duration, about string) (c *child, err error) {
	if err := l.serving.Gate.Enter(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		p, err := l.process(ctx)
		if err == nil {
			c, err = p.fork(about)
		}
		switch {
		case err == nil:
			return c, nil
		case p == nil || !errors.Is(err, errGone):
			l.leave()
			return nil, err
		}
		<-p.exited
	}
}

// process returns the process, which it starts if there is none.
func (l *Loader) process(ctx context.Context) (*scgiProcess, error) {
	for {
		l.mu.Lock()
		p, closed := l.current, l.closed
		if p == nil && !closed && l.starting == nil {
			if time.Since(l.failed) < failedFor {
				l.mu.Unlock()
				return nil, errNotLoaded
			}
			l.starting, l.since = make(chan struct{}), time.Now()
			go l.start()
		}
		starting := l.starting
		l.mu.Unlock()
		switch {
		case closed:
			return nil, errGone
		case p != nil:
			return p, nil
		}
		select {
		case <-starting:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// start starts another process.
func (l *Loader) start() {
	p, loaded, err := startProcess(&l.o)
	changed := err == nil && !bytes.Equal(loaded, l.loaded)
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.starting)
	l.starting = nil
	switch {
	case err != nil:
		l.failed = time.Now()
		l.o.Log(fmt.Sprintf("cannot load the application again: %v; the next request tries it once more", err))
	case changed, l.closed:
		go l.watch(p)
		go p.end(0)
		if !l.closed {
			l.closed = true
			go l.o.Failed("the application has changed while it was served")
		}
	default:
		l.current, l.asleep = p, false
		l.rest()
		go l.watch(p)
	}
}

// watch notes the end of p.
func (l *Loader) watch(p *scgiProcess) {
	defer close(p.exited)
	p.await()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.current != p { // its end was wanted
		return
	}
	l.current = nil
	if l.serving.Replace != nil {
		l.closed = true
		go l.serving.Replace(p.how)
		return
	}
	l.o.Log(p.how + "; the next request starts it again")
}

// Close ends the process, and with it the children that are left. It returns when
// the process has ended, which it is made to after d. Once.
func (l *Loader) Close(d time.Duration) {
	l.mu.Lock()
	p := l.current
	l.closed = true
	l.mu.Unlock()
	if p != nil {
		p.end(d)
	}
}
