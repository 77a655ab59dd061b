package upload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Group is the Uploads of a process, of which each knows those that answer the same mount in other processes: clients see the progress of
// their uploads, and continue them, whichever process answers. Its methods are safe for concurrent use.
type Group struct {
	Publish func(channel, data string)     // an event; nil: there are no channels
	Others  func(question string) []string // returns the Answers of other processes, soon; nil: there are none

	mu  sync.Mutex
	all []*Upload
}

// Questions, which are followed by the key of a mount. That of opTakeOver has the id of an upload before the key.
const (
	opList     = "list "
	opTakeOver = "take "
)

// add makes u one of the group. Processes with the same configuration add theirs in the same order, so the same key is for the same mount.
func (g *Group) add(u *Upload) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u.peers = peers{group: g, key: fmt.Sprintf("%d %s", len(g.all), u.options.Path)}
	g.all = append(g.all, u)
}

// find returns the Upload of a key, or nil.
func (g *Group) find(key string) *Upload {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.all, func(u *Upload) bool { return u.peers.key == key }); i >= 0 {
		return g.all[i]
	}
	return nil
}

// Answer answers a question of Others in another process: with JSON, or "" if there is nothing to say.
func (g *Group) Answer(question string) string {
	var answer any
	if key, ok := strings.CutPrefix(question, opList); ok {
		if u := g.find(key); u != nil {
			answer = u.uploads.list()
		}
	} else if rest, ok := strings.CutPrefix(question, opTakeOver); ok {
		id, key, _ := strings.Cut(rest, " ")
		u := g.find(key)
		answer = u != nil && u.uploads.takeOver(id)
	}
	text, _ := json.Marshal(answer)
	return string(text)
}

// peers are the Uploads of other processes for one mount. The zero value has none.
type peers struct {
	group *Group
	key   string

	mu    sync.Mutex // held while they are asked
	at    time.Time
	known []report
}

// askEvery is for how long an answer of other processes is good: many clients cost no more than one.
const askEvery = publishEvery

// list returns their reports.
func (p *peers) list() []report {
	if p.group == nil || p.group.Others == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < askEvery {
		return p.known
	}
	p.known = nil
	for _, text := range p.group.Others(opList + p.key) {
		var some []report
		if json.Unmarshal([]byte(text), &some) == nil {
			p.known = append(p.known, some...)
		}
	}
	p.at = time.Now()
	return p.known
}

// takeOver is uploads.takeOver in other processes.
func (p *peers) takeOver(id string) bool {
	return p.group != nil && p.group.Others != nil && slices.Contains(p.group.Others(opTakeOver+id+" "+p.key), "true")
}

// merge returns reports of all processes, those of uploads that are under way last. One that was paused in a process may go on in another.
func merge(own, others []report) []report {
	all := append(append([]report{}, others...), own...) // in JSON not null
	for i := 0; i < len(all); i++ {
		goesOn := func(other report) bool { return other.ID == all[i].ID && other.State != statePaused }
		if all[i].State == statePaused && slices.ContainsFunc(all, goesOn) {
			all = slices.Delete(all, i, i+1)
			i--
		}
	}
	slices.SortStableFunc(all, func(a, b report) int { return underWay(a) - underWay(b) })
	return all
}

func underWay(r report) int {
	if r.State == stateReceiving {
		return 1
	}
	return 0
}
