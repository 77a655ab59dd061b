package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/cage"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/orphan"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/presence"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/workqueue"
)

// Parent is the supervisor as its worker sees it.
type Parent struct {
	channel   *pool.Channel
	died      <-chan os.Signal          // of the supervisor, as the kernel tells
	over      sync.Once                 // of lost
	todo      *workqueue.Queue[message] // what the supervisor has sent, for obey
	listeners map[int]net.Listener      // by the ID of their sockets; of listen's goroutine
	stderr    int                       // what standard error is to be once the application has loaded; -1: as it is
	standIn   bool                      // there is no application to load
	cage      string                    // to enter when it has loaded; "": none

	mu        sync.Mutex
	answers   map[string]func(about string) string
	purges    *workqueue.Queue[string] // patterns in JSON, for sendPurges
	epoch     string                   // of the numbers of events
	events    *channelRelay
	successor atomic.Pointer[pool.Channel] // another worker, which gets the listeners; nil: there is none
}

// TakeParent returns the supervisor that has started this process, or nil. It
// removes from the environment what says so: it is not meant for the children.
func TakeParent() (*Parent, error) {
	text := os.Getenv(pool.Variable)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(pool.Variable)
	p := &Parent{listeners: map[int]net.Listener{}, stderr: -1, answers: map[string]func(string) string{}}
	err := p.take(text)
	if err != nil {
		return nil, exit.Usage(fmt.Errorf("%s=%s in the environment is not from a supervisor: %w", pool.Variable, text, err))
	}
	// The supervisor starts /proc/self/exe, after which the kernel has named us.
	_ = os.WriteFile("/proc/thread-self/comm", []byte("fapws"), 0)
	return p, nil
}

// Run serves as a worker until told to stop, and returns the exit code. It has to be
// called on the main thread.
func (p *Parent) Run(what *plan.Plan, stderr io.Writer) (code int, err error) {
	s := &service{plan: what, front: &presence.Presence{}, stderr: stderr, parent: p}
	if p.stderr < 0 { // else the supervisor hears what this process writes, and logs it
		s.errors.OpenAsWorker(&what.Conf)
	}
	if p.standIn {
		return s.standIn()
	}
	code, err = s.run()
	p.failing(err)
	return code, err
}

// take reads the value of pool.Variable.
func (p *Parent) take(text string) error {
	parts := strings.Split(text, ",")
	fd, err := strconv.Atoi(parts[0])
	if err != nil || len(parts) != 3 {
		return errors.New("it has another form")
	}
	if parts[1] != "" {
		if p.stderr, err = strconv.Atoi(parts[1]); err != nil {
			return err
		}
		unix.CloseOnExec(p.stderr)
	}
	p.standIn = parts[2] == pool.StandIn
	if p.cage = os.Getenv(cage.Variable); p.cage != "" {
		os.Unsetenv(cage.Variable)
		if err := cage.KeepZone(); err != nil {
			return err
		}
	}
	if p.channel, err = pool.NewChannel(fd); err != nil {
		return err
	}
	if p.died, err = orphan.Watch(loadEnd); err != nil {
		return err
	}
	p.purges = workqueue.New(p.sendPurges)
	p.events = newChannelRelay(p.channel)
	p.epoch = os.Getenv(pool.EpochVariable)
	os.Unsetenv(pool.EpochVariable)
	return pybridge.KeepFromChildren(p.channel)
}

// restoreStderr ends that the supervisor hears what is written to standard error.
func (p *Parent) restoreStderr() {
	if p.stderr >= 0 {
		_ = unix.Dup3(p.stderr, 2, 0) // failing, it stays as it is
		unix.Close(p.stderr)
		p.stderr = -1
	}
}

// present says that this process could serve, after the request that has to be
// answered before. On a goroutine of its own.
func (p *Parent) present(s *service) {
	if s.conf.ReloadCheck != "" {
		ctx, cancel := context.WithTimeout(context.Background(), s.conf.LoadTimeout)
		defer cancel()
		if err := checkSelf(ctx, s.server, s.conf.ReloadCheck); err != nil {
			code := s.report(exit.NotStarted("reload check: %v", err))
			s.signals.end(shutdownRequest{how: quickly, code: code}, code)
			return
		}
	}
	p.events.join()
	p.restoreStderr()
	p.loaded(s, s.plan.Served(s.contents, &s.conf))
}

// loaded says so; what is served is for people.
func (p *Parent) loaded(s *service, served string) {
	text, err := json.Marshal(Settled{
		Config:   s.conf,
		BindFrom: s.plan.Settings.Source("bind"),
		Python:   s.plan.Python(),
		Served:   served,
	})
	if err == nil {
		err = p.channel.Send(&pool.Message{Kind: pool.Loaded, Loaded: &pool.Settled{
			Protocol: pool.Protocol,
			Grace:    s.conf.GracefulTimeout,
			Settings: text,
		}})
	}
	if err != nil { // listen sees the end of the channel
		s.log.Log(runtime.LevelDebug, fmt.Sprintf("cannot tell the supervisor: %v", err))
	}
}

// message is a message of the supervisor with its descriptors.
type message struct {
	*pool.Message
	files []*os.File
}

// listen does what the supervisor says, on its own goroutine. It always goes on to read,
// as the supervisor takes a worker for broken that sleeps over its messages.
func (p *Parent) listen(s *service) {
	go func() {
		<-p.died
		p.lost(s, nil)
	}()
	p.todo = workqueue.New(func(all []message) {
		for _, h := range all {
			p.obey(s, h.Message, h.files)
			for _, f := range h.files {
				f.Close()
			}
		}
	})
	for {
		m, files, err := p.channel.Receive()
		switch {
		case err != nil:
			p.lost(s, err)
			return
		case m.Kind == pool.Check:
			go p.check(s)
		default:
			p.todo.Add(message{m, files})
		}
	}
}

// check tells the supervisor whether requests can be answered here. Neither a busy loop nor
// a slow machine matters.
func (p *Parent) check(s *service) {
	m := &pool.Message{Kind: pool.Checked}
	if err := s.server.Intact(); err != nil {
		m.Text = err.Error()
	}
	_ = p.channel.Send(m) // listen sees the end of the channel
}

// loadEnd is how long a worker may live without its supervisor before it serves, and endMargin
// what it gets beyond the graceful timeout afterwards: its end has bounds of its own, which are shorter.
const (
	loadEnd   = 5 * time.Second
	endMargin = 7 * time.Second
)

// lost ends this process because the supervisor has died, or has closed the channel. The kernel
// sees to it in case that this fails.
func (p *Parent) lost(s *service, err error) {
	p.over.Do(func() {
		orphan.End()
		logged := make(chan struct{})
		go func() { // standard error may be a pipe that is full
			defer close(logged)
			if err != nil && !errors.Is(err, io.EOF) {
				s.log.Log(runtime.LevelError, err.Error())
			}
			s.log.Log(runtime.LevelWarning, fmt.Sprintf("worker %d: stopping, because its supervisor has died", os.Getpid()))
		}()
		select {
		case <-logged:
		case <-time.After(time.Second):
		}
		s.signals.end(shutdownRequest{how: gracefully}, exit.Failed)
	})
}

func (p *Parent) obey(s *service, m *pool.Message, files []*os.File) {
	switch m.Kind {
	case pool.Listen:
		p.accept(s, m.Sockets, files)
	case pool.Retire:
		p.inherit(files)
		s.signals.end(shutdownRequest{how: quietly, grace: m.Grace}, exit.OK)
	case pool.Stop:
		s.signals.end(shutdownRequest{how: gracefully, grace: m.Grace}, exit.OK)
	case pool.Quit:
		s.signals.end(shutdownRequest{how: quickly}, exit.OK)
	case pool.Reopen:
		s.reopenLog(files...)
	case pool.Notice:
		s.server.SetNotice(500, []byte(m.Text))
	case pool.Events:
		p.events.arrived(m)
	case pool.Counts:
		for name, n := range m.Counts {
			pybridge.CountListeners(name, true, n)
		}
	case pool.Recount:
		p.events.recount()
	case pool.Give:
		p.events.give(files)
	case pool.Take:
		p.events.take(m.Text, files)
	case pool.Purge:
		purgeSoon(s, m.Text)
	case pool.Ask:
		go p.answer(m)
	}
}

// accept makes the server accept on the sockets and on no others.
func (p *Parent) accept(s *service, sockets []pool.Socket, files []*os.File) {
	wanted := map[int]bool{}
	for _, socket := range sockets {
		wanted[socket.ID] = true
		if !socket.New || len(files) == 0 {
			continue
		}
		ln, err := runtime.FromFile(files[0])
		files = files[1:]
		if err == nil {
			err = keepFromChildren([]net.Listener{ln})
		}
		if err != nil {
			s.log.Log(runtime.LevelError, fmt.Sprintf("worker %d cannot listen on %s: %v", os.Getpid(), socket.Address, err))
			s.signals.end(shutdownRequest{how: gracefully, code: exit.NoStart}, exit.NoStart)
			return
		}
		p.listeners[socket.ID] = ln
		s.server.Accept(ln)
	}
	for id, ln := range p.listeners {
		if !wanted[id] {
			s.server.Forgo(ln)
			delete(p.listeners, id)
		}
	}
}

// aliveWithin is how long the supervisor waits for the answer to AskAlive.
const aliveWithin = 10 * time.Second

// alive answers AskAlive: the loop serves, if it takes what it is given.
func alive(server *runtime.Server) string {
	ctx, cancel := context.WithTimeout(context.Background(), aliveWithin)
	defer cancel()
	if server.Ping(ctx) != nil {
		return ""
	}
	return Alive
}

// onAsk sets what answers a question of the supervisor. Any goroutine.
func (p *Parent) onAsk(question string, answer func() string) {
	p.onAskAbout(question, func(string) string { return answer() })
}

// onAskAbout is onAsk for a question that says more behind a space.
func (p *Parent) onAskAbout(question string, answer func(about string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[question] = answer
}

func (p *Parent) answer(m *pool.Message) {
	p.mu.Lock()
	question, about, _ := strings.Cut(m.Text, " ")
	answer := p.answers[question]
	p.mu.Unlock()
	text := ""
	if answer != nil {
		text = answer(about)
	}
	_ = p.channel.SendAnswer(m.ID, text) // listen sees the end of the channel
}

// recycle asks for another process in the place of this one. why follows
// "worker N" in the log. Any goroutine.
func (p *Parent) recycle(why string) {
	_ = p.channel.Send(&pool.Message{Kind: pool.Worn, Text: why}) // listen sees the end of the channel
}

// closed says that nothing is accepted here any more.
func (p *Parent) closed() {
	_ = p.channel.Send(&pool.Message{Kind: pool.Closed}) // listen sees the end of the channel
}

// failing tells the supervisor why this process ends, if err says so. p may be nil.
func (p *Parent) failing(err error) {
	if p != nil && err != nil && err.Error() != "" {
		line, _, _ := strings.Cut(err.Error(), "\n")
		_ = p.channel.Send(&pool.Message{Kind: pool.Failing, Text: line}) // listen sees the end of the channel
	}
}

// onMaxRequests is runtime.Config.Worn.
func (p *Parent) onMaxRequests() { p.recycle("has served its number of requests") }

// onTerm is for a TERM that was meant for this process alone.
func (p *Parent) onTerm() { p.recycle("was told to end") }

// onStuck is pybridge.RunConfig.Stuck.
func (p *Parent) onStuck(why string) { p.recycle("is stuck (" + why + ")") }

// withJitter adds by chance up to jitter to n; 0 stays.
func withJitter(n, jitter int) int {
	if n == 0 || jitter == 0 {
		return n
	}
	return n + rand.IntN(jitter+1)
}
