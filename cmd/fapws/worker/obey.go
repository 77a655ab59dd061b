package worker

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
)

// listen handles messages from the supervisor on a separate goroutine. listen must never stop reading, because the
// supervisor kills a worker that sleeps and leaves messages unread.
func (p *Parent) listen() {
	go func() {
		<-p.died
		p.lost(nil)
	}()
	todo := eventloop.NewQueue(runAll)
	for {
		m, files, err := p.channel.Receive()
		switch {
		case err != nil:
			p.lost(err)
			return
		case m.Kind == pool.Check:
			go p.check()
		default:
			todo.Add(func() {
				p.obey(m, files)
				pool.CloseFiles(files)
			})
		}
	}
}

// check reports to the supervisor whether this process can serve requests. A process whose event loop is busy counts as
// able to serve.
func (p *Parent) check() {
	s := p.s
	m := &pool.Message{Kind: pool.Checked}
	if err := s.server.Intact(); err != nil {
		m.Text = err.Error()
	} else if s.python.unused(s.plan.Conf.IdleStop) {
		m.Kind = pool.Unused
	}
	if h := s.python.running(); h != nil {
		h.CheckGIL()
	}
	p.tell(m)
}

// After the supervisor has died, the kernel kills a worker that does not end by itself: after loadEnd if the worker
// does not serve yet, otherwise endMargin after the graceful timeout. Every single step of the shutdown has a shorter
// time limit.
const (
	loadEnd   = 5 * time.Second
	endMargin = 7 * time.Second
)

// lost ends this process because the supervisor has died or has closed the channel. If this process does not end in
// time, the kernel kills it.
func (p *Parent) lost(err error) {
	s := p.s
	p.over.Do(func() {
		process.EndOrphan()
		logged := make(chan struct{})
		go func() { // on a separate goroutine, because writing blocks if standard error is a full pipe
			defer close(logged)
			if err != nil && !errors.Is(err, io.EOF) {
				s.log.Log(logfile.Error, err.Error())
			}
			s.logAsWorker(logfile.Warning, ": stopping, because its supervisor has died")
		}()
		select {
		case <-logged:
		case <-time.After(time.Second):
		}
		s.signals.end(shutdownRequest{how: gracefully}, process.Failed)
	})
}

func (p *Parent) obey(m *pool.Message, files []*os.File) {
	s := p.s
	switch m.Kind {
	case pool.Listen:
		p.accept(m, files)
	case pool.Retire:
		p.inherit(files)
		s.signals.end(shutdownRequest{how: quietly, grace: m.Grace, parent: p}, process.OK)
	case pool.Depart:
		p.depart()
	case pool.Stop:
		p.giveUp()
		s.signals.end(shutdownRequest{how: gracefully, grace: m.Grace}, process.OK)
	case pool.Quit:
		p.giveUp()
		s.signals.end(shutdownRequest{how: quickly}, process.OK)
	case pool.Reopen:
		s.reopenLog(files...)
	case pool.Notice:
		s.server.Override(&exchange.Override{Status: 500, Page: m.Raw, Text: []byte(m.Text),
			Local: s.conf.Dev && !s.conf.DevAnywhere})
		s.refresh.Failed()
		if s.python.is(appFailed) {
			s.server.GiveUp()
		}
	case pool.Events:
		s.relay.arrived(m)
	case pool.Counts:
		for name, n := range m.Counts {
			pybridge.CountSubscribers(name, true, n)
		}
	case pool.Give:
		s.relay.give(files)
	case pool.Take:
		s.relay.take(m, files)
	case pool.Purge:
		// The worker that sent the pattern has already validated it.
		if pattern, err := cache.ParsePattern(m.Text); err == nil {
			s.relay.purged.Add(pattern)
		}
	case pool.Certificates:
		p.takeCertificates(m)
	case pool.Ask:
		go p.answer(m)
	case pool.Answer:
		p.questions.Answered(m)
	}
}

// accept handles a Listen message: the server accepts connections on the attached sockets. If the server does not serve
// yet, served makes it accept later.
func (p *Parent) accept(m *pool.Message, files []*os.File) {
	s := p.s
	if m.Text == pool.Instead {
		p.unlisten()
	}
	for i, f := range files {
		ln, err := conn.ListenerFromFile(f)
		if err == nil {
			SetSecure(ln, m.Addresses[i])
			err = pybridge.KeepFromChildren(ln)
		}
		if err != nil {
			s.logAsWorker(logfile.Error, " cannot listen on %s: %v", m.Addresses[i], err)
			s.signals.end(shutdownRequest{how: gracefully, code: process.NoStart}, process.NoStart)
			return
		}
		p.add(ln)
	}
}

// add makes the server accept connections of ln, now or when it serves.
func (p *Parent) add(ln *conn.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners = append(p.listeners, ln); p.serves {
		p.s.server.Accept(ln)
	}
}

func (p *Parent) served() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serves = true
	for _, ln := range p.listeners {
		p.s.server.Accept(ln)
	}
}

func (p *Parent) giveUp() {
	p.mu.Lock()
	early := p.serves
	p.mu.Unlock()
	if early && !p.s.python.is(appRunning) {
		p.s.giveUp()
	}
}

func (p *Parent) unlisten() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ln := range p.listeners {
		if p.serves {
			p.s.server.Unlisten(ln)
		} else {
			ln.Close()
		}
	}
	p.listeners = nil
}

const aliveWithin = 10 * time.Second

func (p *Parent) loopRuns(limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return p.s.server.Ping(ctx) == nil
}

// The text of the message is the name of the request, optionally followed by a space and arguments. The supervisor
// sends requests only to workers that have loaded.
func (p *Parent) answer(m *pool.Message) {
	s, text := p.s, ""
	question, about, _ := strings.Cut(m.Text, " ")
	switch question {
	case AskAlive:
		if p.loopRuns(aliveWithin) {
			text = Alive
		}
	case AskUploads:
		if g := s.uploads.Load(); g != nil {
			text = g.Answer(about)
		}
	default:
		pattern, _ := cache.ParsePattern(about) // the supervisor has already validated the pattern of Purge
		text = string(asJSON(ctl.Executor(s.command).Answer(ctl.Command(question), pattern)))
	}
	p.tell(&pool.Message{Kind: pool.Answer, ID: m.ID, Raw: []byte(text)})
}

// recycle asks the supervisor to replace this worker. In the log, reason follows "worker N". recycle is safe for
// concurrent use.
func (p *Parent) recycle(reason string) { p.tell(&pool.Message{Kind: pool.Recycle, Text: reason}) }

// Failing reports err to the supervisor as the reason why this process ends, unless p is nil or err is without text.
func (p *Parent) Failing(err error) {
	if p != nil {
		tellFailing(p, err)
	}
}

func tellFailing(r role, err error) {
	if err != nil && err.Error() != "" {
		line, _, _ := strings.Cut(err.Error(), "\n")
		r.tell(&pool.Message{Kind: pool.Failing, Text: line})
	}
}

const hungWithin = 2 * time.Second

// onStuck implements pybridge.RunConfig.Stuck. onStuck must not wait for the event loop, because an inline handler may
// be blocking it.
func (p *Parent) onStuck(reason string, _ bool) {
	hung := p.s.conf.Threads == 0 && !p.loopRuns(hungWithin)
	p.tell(&pool.Message{Kind: pool.Recycle, Text: "stuck (" + reason + ")", Hung: hung})
}
