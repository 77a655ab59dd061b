package upload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// publishEvery is the shortest time between two events about one upload, but for its beginning and its end.
const publishEvery = 250 * time.Millisecond

// mostEnded is how many uploads are shown that have ended.
const mostEnded = 8

// report is the state of an upload, for clients.
type report struct {
	ID       string `json:"id"`
	Name     string `json:"name"`     // as the client calls it; "": not yet known
	Received int64  `json:"received"` // bytes of the body that were written, or, of a form, dealt with
	Size     int64  `json:"size"`     // of the body; -1: not known
	State    string `json:"state"`
	Error    string `json:"error,omitempty"`
}

// The states of a report.
const (
	stateReceiving = "receiving"
	stateStored    = "stored"
	stateFailed    = "failed"
	statePaused    = "paused" // the client may go on
)

// progress is that of one upload.
type progress struct {
	of        *Upload
	client    string    // see backend.Request.Account
	token     string    // with which its client continues it
	interrupt func()    // ends the wait for more, so that it can; nil: it cannot
	report    report    // guarded by Upload.mu, as is the next one
	received  time.Time // when bytes have arrived
	ended     chan struct{}
	published time.Time // of the goroutine
}

// begin adds an upload, of which its client may have half. The error is a *refusal: too many are under way.
func (u *Upload) begin(p *progress) error {
	p.of, p.report.State, p.received, p.ended = u, stateReceiving, time.Now(), make(chan struct{})
	u.mu.Lock()
	defer u.mu.Unlock()
	same := 0
	for _, other := range u.active {
		if p.client != "" && other.client == p.client {
			same++
		}
	}
	if most := u.options.MaxActive; len(u.active) >= most || same >= (most+1)/2 {
		return refuse(503, "too many uploads at the same time")
	}
	u.active = append(u.active, p)
	return nil
}

// add counts bytes that were received.
func (p *progress) add(n int) {
	p.of.mu.Lock()
	p.report.Received += int64(n)
	p.received = time.Now()
	p.of.mu.Unlock()
	if time.Since(p.published) >= publishEvery {
		p.tell()
	}
}

// named notes the name of the file that is being received.
func (p *progress) named(name string) {
	p.of.mu.Lock()
	p.report.Name = name
	p.of.mu.Unlock()
	p.tell()
}

// silent is how long an upload has no sign of life before another request may take it over.
const silent = 2 * time.Second

// takeOver ends the upload of a token if no bytes of it arrive: its client has lost the connection, and continues it over another one. It
// reports whether it has ended.
func (u *Upload) takeOver(token string) bool {
	u.mu.Lock()
	i := slices.IndexFunc(u.active, func(p *progress) bool {
		return p.interrupt != nil && p.token == token && time.Since(p.received) > silent
	})
	if i < 0 {
		u.mu.Unlock()
		return false
	}
	p := u.active[i]
	p.interrupt()
	u.mu.Unlock()
	<-p.ended // when it has written the bytes that have arrived
	return true
}

// tell publishes an event.
func (p *progress) tell() {
	o := &p.of.options
	if o.Channel == "" || o.Group.Publish == nil {
		return
	}
	p.published = time.Now()
	p.of.mu.Lock()
	data, _ := json.Marshal(p.report)
	p.of.mu.Unlock()
	o.Group.Publish(o.Channel, string(data))
}

// end removes the upload from those that are under way. state is its outcome, and text the reason of a failure.
func (p *progress) end(state, text string) {
	u := p.of
	u.mu.Lock()
	p.report.State, p.report.Error = state, text
	u.active = slices.DeleteFunc(u.active, func(other *progress) bool { return other == p })
	u.ended = append(u.ended, p.report)
	if len(u.ended) > mostEnded {
		u.ended = slices.Delete(u.ended, 0, 1)
	}
	u.mu.Unlock()
	close(p.ended)
	p.tell()
}

// list returns the reports of all uploads, those that have ended first.
func (u *Upload) list() []report {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := append([]report{}, u.ended...)
	for _, p := range u.active {
		all = append(all, p.report)
	}
	return all
}

// Group is the Uploads of a process, of which each knows those that answer the same mount in other processes: clients see the progress of
// their uploads, and continue them, whichever process answers. Its methods are safe for concurrent use.
type Group struct {
	Publish func(channel, data string)     // an event; nil: there are no channels
	Others  func(question string) []string // returns the Answers of other processes, soon; nil: there are none

	mu  sync.Mutex
	all []*Upload
}

// Questions, which are followed by the key of a mount. Those of opTakeOver and opFinished have the id of an upload before the key.
const (
	opList     = "list "
	opTakeOver = "take "
	opFinished = "done "
)

// add makes u one of the group. Processes with the same configuration add theirs in the same order, so the same key is for the same mount.
func (g *Group) add(u *Upload) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u.key = fmt.Sprintf("%d %s", len(g.all), u.options.Path)
	g.all = append(g.all, u)
}

// find returns the Upload of a key, or nil.
func (g *Group) find(key string) *Upload {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.all, func(u *Upload) bool { return u.key == key }); i >= 0 {
		return g.all[i]
	}
	return nil
}

// Answer answers a question of Others in another process: with JSON, or "" if there is nothing to say.
func (g *Group) Answer(question string) string {
	var answer any
	if key, ok := strings.CutPrefix(question, opList); ok {
		if u := g.find(key); u != nil {
			answer = u.list()
		}
	} else if rest, ok := strings.CutPrefix(question, opTakeOver); ok {
		id, key, _ := strings.Cut(rest, " ")
		u := g.find(key)
		answer = u != nil && u.takeOver(id)
	} else if rest, ok := strings.CutPrefix(question, opFinished); ok {
		id, key, _ := strings.Cut(rest, " ")
		if u := g.find(key); u != nil {
			answer = u.ownLength(id)
		}
	}
	text, _ := json.Marshal(answer)
	return string(text)
}

// ask asks the Uploads of other processes for the same mount.
func (u *Upload) ask(question string) []string {
	if others := u.options.Group.Others; others != nil {
		return others(question + u.key)
	}
	return nil
}

// askEvery is for how long an answer of other processes is good: many clients cost no more than one.
const askEvery = publishEvery

// others returns the reports of other processes.
func (u *Upload) others() []report {
	u.asking.Lock()
	defer u.asking.Unlock()
	if time.Since(u.asked) < askEvery {
		return u.answered
	}
	u.answered = nil
	for _, text := range u.ask(opList) {
		var some []report
		if json.Unmarshal([]byte(text), &some) == nil {
			u.answered = append(u.answered, some...)
		}
	}
	u.asked = time.Now()
	return u.answered
}

// merge returns reports of all processes, those of uploads that are under way last. One that was paused in a process may go on in another.
func merge(own, others []report) []report {
	all := slices.Concat(others, own)
	shown := append([]report{}, all...) // in JSON not null
	shown = slices.DeleteFunc(shown, func(r report) bool {
		goesOn := func(other report) bool { return other.ID == r.ID && other.State != statePaused }
		return r.State == statePaused && slices.ContainsFunc(all, goesOn)
	})
	slices.SortStableFunc(shown, func(a, b report) int { return underWay(a) - underWay(b) })
	return shown
}

func underWay(r report) int {
	if r.State == stateReceiving {
		return 1
	}
	return 0
}
