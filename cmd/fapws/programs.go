package main

import (
	"fmt"
	"sync"

	"fapws/runtime"
	"fapws/runtime/backend"
	"fapws/runtime/cgi"
)

// programs are the CGI programs that Python names (CGIApplication): those of
// PATHS, and those that a handler lets answer.
type programs struct {
	gate *cgi.Gate
	log  func(level runtime.Level, client, line string)

	mu  sync.Mutex
	all map[string]*cgi.CGI // of handlers, by their options
}

// maxPrograms bounds how many of handlers are remembered. An application has a
// few; one that makes up new ones all the time pays with reopening them.
const maxPrograms = 64

// open makes a Responder of the options of a CGIApplication. The error is one
// line. Any goroutine.
func (p *programs) open(options string) (*cgi.CGI, error) {
	o, err := cgi.ParseOptions(options)
	if err != nil {
		return nil, err
	}
	o.Software = "fapws/" + version
	o.Gate = p.gate
	o.Log = func(client, line string) { p.log(runtime.LevelError, client, line) }
	return cgi.New(o)
}

// Respond implements backend.Responder for programs that handlers name.
func (p *programs) Respond(w *backend.Response, r *backend.Request) {
	p.mu.Lock()
	program := p.all[r.Options]
	p.mu.Unlock()
	if program == nil {
		var err error
		if program, err = p.open(r.Options); err != nil {
			p.log(runtime.LevelError, r.Client(), fmt.Sprintf("a handler let a program answer that cannot: %v", err))
			w.Refuse(500, "")
			return
		}
		p.mu.Lock()
		if p.all == nil || len(p.all) >= maxPrograms {
			p.all = map[string]*cgi.CGI{}
		}
		p.all[r.Options] = program
		p.mu.Unlock()
	}
	program.Respond(w, r)
}

// handler is runtime.Config.Programs.
func (p *programs) handler() (runtime.Handler, int) {
	const most = 1024 // requests at the same time, nearly all of which wait
	pool := backend.New(most, func(line string) { p.log(runtime.LevelError, "", line) })
	return pool, pool.Add(p)
}
