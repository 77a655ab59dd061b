package upload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// publishEvery is the minimum interval between two events about an upload, except its beginning and end.
const publishEvery = 250 * time.Millisecond

const mostEnded = 8

type report struct {
	ID   string `json:"id"`
	Name string `json:"name"` // as named by the client; empty if not yet known
	// number of bytes of the body that were written or, for a form, processed
	Received int64  `json:"received"`
	Size     int64  `json:"size"` // size of the body in bytes; -1 if unknown
	State    string `json:"state"`
	Error    string `json:"error,omitempty"`
}

const (
	stateReceiving = "receiving"
	stateStored    = "stored"
	stateFailed    = "failed"
	statePaused    = "paused"
)

type progress struct {
	of     *Upload
	client string
	token  string // secret id with which the client can resume the upload
	// stops waiting for the body, so that another request can take over the upload; nil if the upload cannot be resumed
	interrupt func()
	report    report // report and received are guarded by Upload.mu
	received  time.Time
	ended     chan struct{}
	// time of the last event about the upload; used only on the upload's goroutine
	published time.Time
}

// begin registers an upload. A client gets at most half of the places for simultaneous uploads. The error is a
// *refusal.
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

func (p *progress) add(n int) {
	p.of.mu.Lock()
	p.report.Received += int64(n)
	p.received = time.Now()
	p.of.mu.Unlock()
	if time.Since(p.published) >= publishEvery {
		p.tell()
	}
}

func (p *progress) named(name string) {
	p.of.mu.Lock()
	p.report.Name = name
	p.of.mu.Unlock()
	p.tell()
}

// If an upload has received no bytes for the time silent, another request may take it over.
const silent = 2 * time.Second

// takeOver is called when a client resumes an upload on another connection. If the old connection delivers no bytes,
// takeOver ends its request and returns true.
func (u *Upload) takeOver(token string) bool {
	p := u.interrupt(token)
	if p != nil {
		<-p.ended
	}
	return p != nil
}

// interrupt ends the request of an upload that receives no bytes, and returns its progress, or nil.
func (u *Upload) interrupt(token string) *progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.active, func(p *progress) bool {
		return p.interrupt != nil && p.token == token && time.Since(p.received) > silent
	})
	if i < 0 {
		return nil
	}
	u.active[i].interrupt()
	return u.active[i]
}

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

// state is the outcome, and text is the reason for a failure.
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

func (u *Upload) list() []report {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := append([]report{}, u.ended...)
	for _, p := range u.active {
		all = append(all, p.report)
	}
	return all
}

// A Group contains each Upload of a process, and exchanges messages with the Groups of other processes, so that clients
// can watch and resume their uploads through any process. A Group is safe for concurrent use.
type Group struct {
	Publish func(channel, data string) // publishes an event; nil if there are no channels
	// Others calls the method Answer in all other processes, and returns the results that arrive within a short
	// timeout; nil if there are no other processes.
	Others func(question string) []string

	mu  sync.Mutex
	all []*Upload
}

// A request to other processes consists of one of these words, a blank, and the key of a mount. After opTakeOver, the
// id of an upload and a blank precede the key.
const (
	opList     = "list"
	opTakeOver = "take"
	opFinished = "done"
)

// add gives u a key that contains its position in g.all. Processes with the same configuration call add in the same
// order, so a mount has the same key in all of them.
func (g *Group) add(u *Upload) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u.key = fmt.Sprintf("%d %s", len(g.all), u.options.Path)
	g.all = append(g.all, u)
}

func (g *Group) find(key string) *Upload {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.all, func(u *Upload) bool { return u.key == key }); i >= 0 {
		return g.all[i]
	}
	return nil
}

func (g *Group) Answer(question string) string {
	word, key, _ := strings.Cut(question, " ")
	id := ""
	if word == opTakeOver {
		id, key, _ = strings.Cut(key, " ")
	}
	var answer any
	if u := g.find(key); u != nil {
		switch word {
		case opList:
			answer = u.list()
		case opTakeOver:
			answer = u.takeOver(id)
		case opFinished:
			answer = u.allFinished()
		}
	}
	text, _ := json.Marshal(answer)
	return string(text)
}

func (u *Upload) ask(question string) []string {
	if others := u.options.Group.Others; others != nil {
		return others(question + " " + u.key)
	}
	return nil
}

// askEvery is how long the reports of other processes are reused, so that many clients do not cause many requests to
// other processes.
const askEvery = publishEvery

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

// merge returns the reports of all processes, with active uploads last. merge omits a paused upload if another process
// has resumed it.
func merge(own, received []report) []report {
	all, active := slices.Concat(received, own), []report(nil)
	inactive := []report{} // not nil, because clients expect a list in JSON, not null
	for _, r := range all {
		goesOn := func(other report) bool { return other.ID == r.ID && other.State != statePaused }
		if r.State == stateReceiving {
			active = append(active, r)
		} else if r.State != statePaused || !slices.ContainsFunc(all, goesOn) {
			inactive = append(inactive, r)
		}
	}
	return append(inactive, active...)
}
