package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/worker"
	"fapws/runtime/metrics"
)

// command executes a command about one application, on a goroutine of the control socket, and waits for the result.
func (s *applications) command(word ctl.Command, name string) error {
	var a *application
	var missing error
	var ended chan struct{}
	s.p.pool.Do(func() {
		if a = s.named(name); a == nil {
			missing = s.missing(name)
			return
		}
		ended = a.ended
		switch {
		case word == ctl.Stop:
			a.stop(false)
		case word == ctl.Restart:
			a.stop(true)
		case word == ctl.Start && a.pid == 0:
			a.pause = 0
			a.start()
		}
	})
	if a == nil {
		return missing
	}
	switch word {
	case ctl.Logs:
		return nil
	case ctl.Reload:
		return a.reload()
	}
	if ended != nil && word != ctl.Start {
		<-ended
	}
	if word == ctl.Stop {
		return nil
	}
	return a.comesUp()
}

// comesUp waits until a is up, and returns an error if its process ends before.
func (a *application) comesUp() (err error) {
	for over := false; !over; time.Sleep(20 * time.Millisecond) {
		err = errors.New("the server is stopping")
		over = true
		a.p.pool.Do(func() {
			err, over = nil, a.life == up
			if a.life == pausing || a.life == down {
				err, over = fmt.Errorf("application %s failed to start; see the error log", a.Name), true
			}
		})
	}
	return err
}

func (a *application) reload() error {
	if _, err := ctl.AskThrough(a.files.commands, ctl.Reload, 0); err != nil {
		return fmt.Errorf("application %s: %w", a.Name, err)
	}
	return nil
}

// reloaded adopts the applications in the configuration file after new workers serve. If they have not changed and
// upgrades is false, the applications load their code again. If upgrades is true, the next program upgrades them.
func (s *applications) reloaded(upgrades bool) {
	s.reload = nil
	children, known := s.p.readChildren()
	if known && s.adopt(children) || upgrades {
		return
	}
	var again []*application
	for _, a := range s.list {
		if a.life == up {
			again = append(again, a)
		}
	}
	done, errs := make(chan struct{}), make([]error, len(again))
	var loading sync.WaitGroup
	for i, a := range again {
		loading.Go(func() { errs[i] = a.reload() })
	}
	go func() {
		loading.Wait()
		close(done)
	}()
	s.reload = func() error {
		<-done
		return errors.Join(errs...)
	}
}

// awaitReload waits until the applications have loaded their code again after the latest reload. The error has one line.
func (s *applications) awaitReload() error {
	var wait func() error
	s.p.pool.Do(func() { wait = s.reload })
	if wait == nil {
		return nil
	}
	if err := wait(); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// readChildren returns the applications in the current configuration file. known is false if the file cannot be read;
// the workers then report why.
func (p *supervisor) readChildren() (children plan.Children, known bool) {
	if p.plan.File == nil {
		return nil, false
	}
	later, err := p.plan.Later()
	if err != nil {
		return nil, false
	}
	return later.Site.Children, true
}

// askApplication is longer than the limit of an application for its own workers.
const askApplication = 2 * worker.AnswerWithin

const askStatus = 2 * time.Second

// ask sends a command to all applications at once. The answers of those that do not reply are empty.
func (s *applications) ask(c ctl.Command) (list []ctl.ApplicationStatus, answers []ctl.Answer) {
	var running []*application
	s.p.pool.Do(func() {
		for _, a := range s.list {
			list = append(list, ctl.ApplicationStatus{Name: a.Name, State: a.life.String(), PID: a.pid, Restarts: a.restarts})
			running = append(running, a)
		}
	})
	limit := askApplication
	if c == ctl.Status {
		limit = askStatus
	}
	answers = make([]ctl.Answer, len(list))
	var asked sync.WaitGroup
	for i, a := range running {
		if list[i].PID != 0 {
			asked.Go(func() { answers[i], _ = ctl.AskThrough(a.files.commands, c, limit) })
		}
	}
	asked.Wait()
	for i := range list {
		if list[i].Report = answers[i].Status; list[i].State == starting.String() && serves(answers[i].Status) {
			list[i].State = up.String() // awaitUp will notice it soon
		}
	}
	return list, answers
}

// stack returns the active requests of all applications, with their stacks.
func (s *applications) stack() (text string) {
	list, answers := s.ask(ctl.Stack)
	for i, one := range answers {
		text += fmt.Sprintf("\napplication %s: %s\n%s", list[i].Name, list[i].State, one.Text)
	}
	return text
}

// metrics returns the metrics of all applications, with the label application.
func (s *applications) metrics() (groups [][]metrics.Family) {
	list, answers := s.ask(ctl.Metrics)
	for i, one := range answers {
		families := metrics.Sound(one.Families)
		for f := range families {
			families[f].Series = slices.Clone(families[f].Series)
			for k := range families[f].Series {
				one := &families[f].Series[k]
				one.Labels = strings.TrimLeft(one.Labels+","+metrics.Labels("application", list[i].Name), ",")
			}
		}
		groups = append(groups, families)
	}
	return groups
}

// left is the state of an application for the program that replaces this program. Its descriptors are those of doors, in
// the order of its method all.
type left struct {
	Name     string
	Life     life
	PID      int
	Restarts int
	Began    time.Time
}

// leftApplications is the state of all applications for the program that replaces this program.
type leftApplications struct {
	List    []left
	Starter bool // the first file is the channel of the starter
}

// leave returns the state of all applications, and their files.
func (s *applications) leave() (text json.RawMessage, files []syscall.Conn) {
	var list []left
	if s.starter != nil {
		files = append(files, s.starter.channel)
	}
	for _, a := range s.list {
		list = append(list, left{a.Name, a.life, a.pid, a.restarts, a.began})
		for _, f := range a.files.all() {
			files = append(files, *f)
		}
	}
	text, _ = json.Marshal(leftApplications{list, s.starter != nil})
	return text, files
}

// inherit restores what leave has returned, and returns the files that belong to others.
func (s *applications) inherit(text json.RawMessage, files []*os.File, children plan.Children) ([]*os.File, error) {
	var state leftApplications
	if len(text) == 0 {
		return files, nil
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return files, err
	}
	if state.Starter && len(files) > 0 {
		channel, err := pool.ChannelOf(files[0])
		if err != nil {
			return files, err
		}
		s.starter, files = &starter{channel: channel}, files[1:]
	}
	for _, one := range state.List {
		a := &application{p: s.p, life: one.Life, pid: one.PID, restarts: one.Restarts, began: one.Began,
			Child: &plan.Child{Name: one.Name}}
		if len(files) < len(a.files.all()) {
			return files, errors.New("the doors of the applications are missing")
		}
		for i, f := range a.files.all() {
			*f = files[i]
		}
		files = files[len(a.files.all()):]
		if i := slices.IndexFunc(children, func(c *plan.Child) bool { return c.Name == one.Name }); i >= 0 {
			a.Child = children[i]
		}
		if a.pid != 0 {
			a.ended = make(chan struct{})
		}
		s.list = append(s.list, a)
		go s.p.relayLines(a.Name, a.files.input)
	}
	return files, nil
}

// resume takes over the processes of applications from the previous program, and upgrades them.
func (s *applications) resume() {
	for _, a := range s.list {
		if a.pid != 0 && unix.Kill(a.pid, 0) == unix.ESRCH { // the starter has told the previous program
			a.dies(0)
			continue
		}
		switch a.life {
		case starting, up:
			a.signal(unix.SIGUSR2, false)
			if a.life == starting {
				a.awaitUp()
			}
		case stopping:
			a.signal(unix.SIGTERM, false)
		case pausing:
			a.start()
		case down:
			a.refuse()
		}
	}
}

// relayLines writes the lines of an application to the log of the server, with its name.
func (p *supervisor) relayLines(name string, output io.Reader) {
	lines := bufio.NewReaderSize(output, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			p.log.Relay(name, line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// openApplications opens the doors of the applications, or takes over those of the previous program.
func (p *supervisor) openApplications(text json.RawMessage, files []*os.File) (rest []*os.File, err error) {
	p.applications.p = p
	children := p.plan.Site.Children
	if rest, err = p.applications.inherit(text, files, children); err != nil {
		return rest, process.ExitNotStarted("applications of the previous program: %v", err)
	}
	if err = p.applications.prepare(children); err == nil && text == nil {
		err = p.applications.startAsRoot()
	}
	return rest, err
}
