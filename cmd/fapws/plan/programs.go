package plan

import (
	"fmt"
	"sync"

	"fapws/cmd/fapws/process"
	"fapws/runtime/backend"
	"fapws/runtime/logfile"
	"fapws/runtime/source/app"
	"fapws/runtime/source/programs"
)

// Programs are the CGI programs that Python names (CGIApplication): those of
// PATHS, and those that a handler lets answer.
type Programs struct {
	Gate  *programs.Gate
	Sends backend.Sends
	Log   func(number int, level logfile.Level, client, line string) // to an error log, see LogFiles.Client

	mu  sync.Mutex
	all map[namedProgram]*programs.CGI
}

// namedProgram is one as handlers name it, for hosts that have the same error log.
type namedProgram struct {
	options string
	log     int
}

// maxPrograms bounds how many of handlers are remembered. An application has a
// few; one that makes up new ones all the time pays with reopening them.
const maxPrograms = 64

// open makes a program of the options of a CGIApplication. The error is one
// line. It is safe for concurrent use.
func (p *Programs) open(n namedProgram) (*programs.CGI, error) {
	o, err := programs.ParseCGIOptions(n.options)
	if err != nil {
		return nil, err
	}
	o.Software = process.Software()
	o.Gate = p.Gate
	o.Log = func(client, line string) { p.Log(n.log, logfile.Error, client, line) }
	return programs.NewCGI(o)
}

// mounted returns a Responder for one of PATHS. The error is one line, with check also about a program that cannot run.
func (p *Programs) mounted(options string, check bool) (backend.Responder, error) {
	program, err := p.open(namedProgram{options: options})
	if err == nil && check {
		err = program.Check()
	}
	if err != nil {
		return nil, err
	}
	return backend.Func(func(w *backend.Response, r *backend.Request) {
		if r.Options = options; r.Log != 0 {
			p.Respond(w, r)
		} else {
			program.Respond(w, r)
		}
	}), nil
}

// Respond implements backend.Responder for programs that handlers name.
func (p *Programs) Respond(w *backend.Response, r *backend.Request) {
	n := namedProgram{r.Options, r.Log}
	p.mu.Lock()
	program := p.all[n]
	p.mu.Unlock()
	if program == nil {
		var err error
		if program, err = p.open(n); err != nil {
			p.Log(r.Log, logfile.Error, r.Client(), fmt.Sprintf("a handler returned a program that cannot run: %v", err))
			w.Refuse(500, "")
			return
		}
		p.mu.Lock()
		if p.all == nil || len(p.all) >= maxPrograms {
			p.all = map[namedProgram]*programs.CGI{}
		}
		p.all[n] = program
		p.mu.Unlock()
	}
	program.Respond(w, r)
}

// Handler is runtime.Config.Programs.
func (p *Programs) Handler() (app.Handler, int) {
	const most = 1024 // requests at the same time, nearly all of which wait
	pool := backend.New(most, func(line string) { p.Log(0, logfile.Error, "", line) })
	pool.Sends = p.Sends
	return pool, pool.Add(p)
}
