package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// A life is the phase of an application with processes of its own.
type life uint8

const (
	waiting  life = iota // the door exists, so workers can be built; the process was not started yet
	starting             // the process runs, but no worker of it serves yet
	up
	pausing  // the process ended by itself; another one is started after a pause
	stopping // the process was told to end
	down     // stopped by a command
	lives
)

func (l life) String() string {
	return [...]string{"waiting", "starting", "up", "pausing", "stopping", "down"}[l]
}

// nextLives contains, as bits, the lives that may follow each life.
var nextLives = [lives]uint8{
	waiting:  1<<starting | 1<<pausing,
	starting: 1<<up | 1<<pausing | 1<<stopping,
	up:       1<<pausing | 1<<stopping,
	pausing:  1<<starting | 1<<down,
	stopping: 1<<starting | 1<<pausing | 1<<down,
	down:     1<<starting | 1<<pausing,
}

// An application is a child process that serves an application behind a door. Its fields belong to the goroutine of
// pool.Pool.Run, except where methods say otherwise.
type application struct {
	*plan.Child
	p        *supervisor
	life     life
	pid      int // or 0
	restarts int
	began    time.Time     // start of the process
	pause    time.Duration // before the next start
	again    bool          // the process is stopped in order to be started again
	removed  bool          // the configuration no longer has the application
	files    doors
	kill     *time.Timer   // sends SIGKILL to a process that does not stop; nil if there is none
	nobody   *atomic.Bool  // set to end answerForNobody; nil if that goroutine does not run
	ended    chan struct{} // closed when the process has ended; nil without a process
}

// doors are the descriptors of an application that last over restarts and upgrades.
type doors struct {
	requests, commands             *os.File // the outsides of the doors
	requestsInside, commandsInside *os.File
	output, input                  *os.File // the pipe for the standard error of the processes, and its reading end
}

func (d *doors) all() []**os.File {
	return []**os.File{&d.requests, &d.requestsInside, &d.commands, &d.commandsInside, &d.output, &d.input}
}

func openDoors() (d doors, err error) {
	if d.requests, d.requestsInside, err = conn.NewDoor(); err != nil {
		return d, err
	}
	if d.commands, d.commandsInside, err = conn.NewDoor(); err != nil {
		return d, err
	}
	d.input, d.output, err = os.Pipe()
	return d, err
}

func (d *doors) close() {
	for _, f := range d.all() {
		(*f).Close()
	}
}

func (a *application) setLife(to life) {
	if a.life != to && nextLives[a.life]>>to&1 == 0 {
		a.p.log.Log(logfile.Error, fmt.Sprintf("bug: application %s is %s and must not become %s", a.Name, a.life, to))
	}
	a.life = to
}

// launch returns the command that serves a.
func (a *application) launch() *launch {
	const requests, commands = 3, 4 // launch.command passes the insides of the doors after standard error
	conf := &a.p.conf
	var further []string
	switch own := a.At.Set("user") || a.At.Set("group"); {
	case !own && conf.AllowRoot && conf.User == "":
		further = []string{"--allow-root"}
	case !own && conf.User != "":
		further = []string{"--user=" + conf.User}
	}
	if !a.At.Set("group") && conf.Group != "" && len(further) > 0 {
		further = append(further, "--group="+conf.Group)
	}
	if conf.Server.Sites.RequestID { // the application takes over the ids of the front
		further = append(further, "--request-id")
	}
	if conf.Server.Sites.Trace || conf.OTel {
		further = append(further, "--trace")
	}
	cmd := process.Again(true, a.Serving(requests, commands, further...)...)
	l := &launch{Name: a.Name, Path: cmd.Path, Args: cmd.Args, Env: a.Environment(conf.Channels), Stop: a.Stop}
	if a.Program != "" {
		l.Path, l.Args[0] = a.Program, a.Program
	}
	return l
}

// start starts the process of a.
func (a *application) start() {
	a.welcome()
	pid, err := a.execute()
	if err != nil {
		a.p.log.Log(logfile.Error, fmt.Sprintf("application %s: cannot be started: %v", a.Name, err))
		a.wait()
		return
	}
	a.runs(pid)
	a.setLife(starting)
	a.p.log.Log(logfile.Debug, fmt.Sprintf("application %s: process %d started", a.Name, a.pid))
	a.awaitUp()
}

// execute starts the process of a, by the starter if there is one.
func (a *application) execute() (pid int, err error) {
	l, files := a.launch(), []*os.File{a.files.requestsInside, a.files.commandsInside, a.files.output}
	switch s := a.p.applications.starter; {
	case a.p.applications.lost:
		return 0, errors.New("the process that starts applications as root has ended")
	case s != nil:
		return s.start(l, files)
	}
	cmd := l.command(files)
	if process.OnMain(func() { err = cmd.Start() }); err != nil {
		return 0, err
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release() // the supervisor reaps all processes
}

// signal sends a signal to the process of a, or to the group of this process.
func (a *application) signal(sig syscall.Signal, group bool) {
	switch s := a.p.applications.starter; {
	case a.pid == 0:
	case a.p.applications.lost: // this process may not send signals to processes of other users
		if sig == unix.SIGTERM {
			_, _ = ctl.AskThrough(a.files.commands, ctl.Stop, time.Second)
		}
	case s != nil:
		s.signal(a.Name, sig, group)
	case group:
		_ = unix.Kill(-a.pid, sig)
	default:
		_ = unix.Kill(a.pid, sig)
	}
}

func (a *application) runs(pid int) {
	a.pid, a.began, a.ended = pid, time.Now(), make(chan struct{})
}

func serves(r *ctl.Report) bool {
	return r != nil && slices.ContainsFunc(r.Workers, func(w ctl.Worker) bool {
		return w.State == "serving" || w.State == ctl.Asleep || w.State == "busy"
	})
}

// awaitUp changes the life of a to up when a worker of its process serves.
func (a *application) awaitUp() {
	pid, ended := a.pid, a.ended
	go func() {
		for pause := 20 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
			answer, err := ctl.AskThrough(a.files.commands, ctl.Status, time.Second)
			if err == nil && serves(answer.Status) {
				break
			}
			select {
			case <-ended:
				return
			case <-time.After(pause):
			}
		}
		a.p.pool.Do(func() {
			if a.pid == pid && a.life == starting {
				a.setLife(up)
				a.p.log.Log(logfile.Info, fmt.Sprintf("application %s is up: process %d", a.Name, pid))
			}
		})
	}()
}

const (
	steadyAfter  = time.Minute // how long a process must run so that the next pause is short again
	longestPause = time.Minute
)

// wait starts the process of a after a pause, which doubles with each failure. Without a pause, requests wait for the
// process; otherwise they get 503.
func (a *application) wait() {
	a.setLife(pausing)
	pause := a.pause
	if a.pause = min(2*max(a.pause, time.Second/2), longestPause); pause > 0 {
		a.refuse()
		a.p.log.Log(logfile.Warning, fmt.Sprintf("application %s is started again in %v", a.Name, pause))
	}
	time.AfterFunc(pause, func() {
		a.p.pool.Do(func() {
			if a.life == pausing && !a.removed {
				a.restarts++
				a.start()
			}
		})
	})
}

// dies is called when the process of a has ended.
func (a *application) dies(status unix.WaitStatus) {
	if a.kill != nil {
		a.kill.Stop()
		a.kill = nil
	}
	if a.p.applications.starter == nil {
		a.signal(unix.SIGKILL, true) // descendants that have not ended
	}
	close(a.ended)
	a.pid, a.ended = 0, nil
	if time.Since(a.began) > steadyAfter {
		a.pause = 0
	}
	switch {
	case a.removed:
		a.files.close()
	case a.life == stopping && a.again:
		a.pause = 0
		a.start()
	case a.life == stopping:
		a.setLife(down)
		a.p.log.Log(logfile.Info, fmt.Sprintf("application %s is stopped", a.Name))
		a.refuse()
	default:
		how := fmt.Sprintf("exited with status %d", status.ExitStatus())
		if status.Signaled() {
			how = "was killed by " + unix.SignalName(status.Signal())
		}
		a.p.log.Log(logfile.Error, fmt.Sprintf("application %s: process %s", a.Name, how))
		a.wait()
	}
}

// stop tells the process of a to end, and kills its group if it does not. If restart is true, a new process follows.
func (a *application) stop(restart bool) {
	switch {
	case a.life == stopping:
	case a.pid == 0 && restart:
		a.pause = 0
		a.start()
		return
	case a.pid == 0 && a.life != down:
		a.setLife(down)
		a.refuse()
		return
	case a.pid == 0:
		return
	default:
		a.setLife(stopping)
		pid := a.pid
		a.signal(unix.SIGTERM, false)
		a.kill = time.AfterFunc(a.Stop, func() {
			a.p.pool.Do(func() {
				if a.pid == pid {
					a.p.log.Log(logfile.Warning, fmt.Sprintf("application %s does not end within %v and is killed", a.Name, a.Stop))
					a.signal(unix.SIGKILL, true)
				}
			})
		})
	}
	a.again = restart
}

// refuse answers the requests that arrive at the door of a with 503, until welcome is called.
func (a *application) refuse() {
	if a.nobody == nil {
		own, err := unix.FcntlInt(a.files.requestsInside.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return // requests wait for the next process
		}
		a.nobody = new(atomic.Bool)
		go answerForNobody(own, a.nobody)
	}
}

func (a *application) welcome() {
	if a.nobody != nil {
		a.nobody.Store(true)
		a.nobody = nil
	}
}

// notRunning is the response of an application that an operator has stopped, or that does not start: the server's page,
// because it is sent before the request is read. It has no Retry-After, because the time of the next start is unknown.
var notRunning = sync.OnceValue(func() []byte {
	page := (&http1.ErrorPage{Status: 503, Text: "This application is not running."}).HTML()
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\n"+
		"Content-Security-Policy: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", http1.Policy(false), len(page), page)
})

// answerForNobody answers 503 to the connections that come through a door, until stop is set. It owns inside.
func answerForNobody(inside int, stop *atomic.Bool) {
	defer unix.Close(inside)
	for !stop.Load() {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(inside), Events: unix.POLLIN}}, 100)
		for !stop.Load() {
			fd, err := conn.Enter(inside)
			if err != nil {
				break
			}
			_, _ = unix.Write(fd, notRunning())
			_ = unix.Shutdown(fd, unix.SHUT_WR)
			// Closing now could discard the response while the other end still writes the request.
			time.AfterFunc(time.Second, func() { unix.Close(fd) })
		}
	}
}

// applications are all applications with processes of their own, in the order of the configuration file.
type applications struct {
	p    *supervisor
	list []*application
	// reload loads the code of all applications again, and returns when they serve; nil before the first reload
	reload func() error

	starter *starter // nil if this process starts the applications itself
	lost    bool     // the starter has ended, so the server ends with an error
}

func (s *applications) named(name string) *application {
	i := slices.IndexFunc(s.list, func(a *application) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return s.list[i]
}

// missing returns the error for a name that no application has.
func (s *applications) missing(name string) error {
	var names []string
	for _, a := range s.list {
		names = append(names, a.Name)
	}
	if len(names) == 0 {
		return fmt.Errorf("this server has no application %q, because its file has no table [application.NAME]", name)
	}
	hint := "."
	if near := settings.Nearest(name, names); near != "" {
		hint = ", did you mean " + near + "?"
	}
	return fmt.Errorf("this server has no application %q%s It has: %s", name, hint, strings.Join(names, ", "))
}

// prepare opens doors for new applications, so that workers can be built for them.
func (s *applications) prepare(children plan.Children) error {
	for _, c := range children {
		if s.named(c.Name) != nil {
			continue
		}
		files, err := openDoors()
		if err != nil {
			return process.ExitNotStarted("application %s: %v", c.Name, err)
		}
		a := &application{Child: c, p: s.p, files: files}
		s.list = append(s.list, a)
		go s.p.relayLines(a.Name, files.input)
	}
	return nil
}

// adopt starts the applications that are new in children, starts those again that have changed, and ends those that are
// missing. changed is false if there is none of them.
func (s *applications) adopt(children plan.Children) (changed bool) {
	byName := map[string]*plan.Child{}
	for _, c := range children {
		byName[c.Name] = c
	}
	for _, a := range s.list {
		switch c := byName[a.Name]; {
		case c == nil:
			changed, a.removed = true, true
			a.welcome()
			if a.pid == 0 {
				a.files.close()
			} else {
				a.stop(false)
			}
		case a.life == waiting:
			changed, a.Child = true, c
			a.start()
		case !a.Same(c):
			changed, a.Child = true, c
			a.stop(true)
		default:
			a.Child = c
		}
	}
	s.list = slices.DeleteFunc(s.list, func(a *application) bool { return a.removed && a.pid == 0 })
	return changed
}

// doors returns the files that workers inherit.
func (s *applications) doors() map[string]*os.File {
	doors := map[string]*os.File{}
	for _, a := range s.list {
		if !a.removed {
			doors[a.Name] = a.files.requests
		}
	}
	return doors
}

func (s *applications) reaped(pid int, status unix.WaitStatus) {
	for _, a := range s.list {
		if a.pid == pid {
			a.dies(status)
		}
	}
	s.list = slices.DeleteFunc(s.list, func(a *application) bool { return a.removed && a.pid == 0 })
}

// end stops all applications after the workers have ended. If now is true, it kills them.
func (s *applications) end(now bool) {
	until := time.Now()
	impatient := make(chan os.Signal, 1)
	signal.Notify(impatient, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(impatient)
	for _, a := range s.list {
		if now {
			a.signal(unix.SIGKILL, true)
		} else if a.pid != 0 {
			a.signal(unix.SIGTERM, false)
			until = time.Now().Add(max(time.Until(until), a.Stop))
		}
	}
	for s.running() {
		s.reap()
		if !now && (time.Now().After(until) || len(impatient) > 0) {
			s.end(true)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// reopenLogs makes all applications reopen their own log files.
func (s *applications) reopenLogs() {
	for _, a := range s.list {
		if a.life == up {
			a.signal(unix.SIGUSR1, false)
		}
	}
}

// reap records ended processes when the pool, which reaps them otherwise, has ended. A starter reaps its own children.
func (s *applications) reap() {
	for {
		if pid, _ := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 {
			break
		}
	}
	for _, a := range s.list {
		if a.pid != 0 && unix.Kill(a.pid, 0) == unix.ESRCH {
			a.pid = 0
		}
	}
}

func (s *applications) running() bool {
	return slices.ContainsFunc(s.list, func(a *application) bool { return a.pid != 0 })
}

// startAsRoot starts the process that stays root, if this process is going to give root up.
func (s *applications) startAsRoot() (err error) {
	if s.p.identity == nil || os.Geteuid() != 0 || len(s.list) == 0 {
		return nil
	}
	var commands []launch
	for _, a := range s.list {
		commands = append(commands, *a.launch())
	}
	if s.starter, err = startStarter(commands); err != nil {
		return process.ExitNotStarted("cannot start the process that starts applications as root: %v", err)
	}
	return nil
}

// listen passes on what the starter reports.
func (s *applications) listen() {
	if s.starter == nil {
		return
	}
	go func() {
		s.starter.listen(func(pid int, status unix.WaitStatus) {
			// Do waits for the goroutine of Run, which can wait for the starter, so it must not hold up messages.
			go s.p.pool.Do(func() { s.reaped(pid, status) })
		})
		s.p.pool.Do(func() {
			s.p.log.Log(logfile.Error, "the process that starts applications as root has ended; stopping")
			s.lost = true
		})
		if s.lost {
			s.p.pool.Stop()
		}
	}()
}
