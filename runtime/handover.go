package runtime

import (
	"bytes"
	"fmt"
	"sync"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/source/static"
)

// maxRoots bounds the document roots that handlers have named. An application
// has a few; one that makes up new ones all the time pays with reopening them.
const maxRoots = 64

// roots are the document roots that handlers have handed requests over to, by
// their options. Any goroutine may use them.
type roots struct {
	mu    sync.Mutex
	files map[string]*static.Files
}

// get opens a root, without some files, unless it is open. It may block.
func (r *roots) get(options string, private *static.Private) (*static.Files, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if files := r.files[options]; files != nil {
		return files, nil
	}
	o, err := static.ParseOptions(options)
	if err != nil {
		return nil, err
	}
	o.Private = private
	files, err := static.New(o)
	if err != nil {
		return nil, err
	}
	if len(r.files) >= maxRoots || r.files == nil {
		r.files = make(map[string]*static.Files) // jobs still use the old ones: the collector closes them
	}
	r.files[options] = files
	return files, nil
}

// handedOver is what a handler said when it let files answer.
type handedOver struct {
	options   string
	fields    []byte
	hasDate   bool
	hasServer bool
	file      *sentFile // instead of options
	client    string    // as the error log calls it
}

// handOver makes x, whose handler lets files answer (exchange.Head.Static) or
// has one sent (SendFile), a request for a file. The handler has done its part with that.
func (l *loop) handOver(x *Exchange, p *exchange.Part) {
	if p.Head.Program {
		l.handToProgram(x, p)
		return
	}
	job := &fileJob{
		rules: x.rules,
		resp:  l.responseTo(x),
		from: &handedOver{
			options:   string(p.Head.Static),
			fields:    bytes.Clone(p.Head.Fields),
			hasDate:   p.Head.HasDate,
			hasServer: p.Head.HasServer,
		},
	}
	job.resp.KeepAlive = job.resp.KeepAlive && !p.Head.Close
	if x.conn != nil {
		job.from.client = x.conn.clientText()
	}
	if x.extra != nil { // of a handler that has let this one answer
		job.from.fields = (&handedOver{fields: x.extra}).with(job.from.fields)
	}
	if len(p.Head.SendFile) > 0 {
		job.from.file = &sentFile{
			value:  string(bytes.TrimSpace(p.Head.SendFile)),
			accel:  p.Head.Accel,
			status: p.Head.Status,
			reason: bytes.Clone(p.Head.Reason),
		}
	}
	head := bytes.Clone(p.Head.Request)
	parsed := new(http1.Request)
	if _, err := parsed.Parse(head, &l.cfg.Limits); err != nil {
		l.s.logf(loglevel.Error, "bug: a handler gave back another request: %v", err)
		job.from.options = ""
	}
	job.req = static.Request{Path: bytes.Clone(p.Head.StaticPath), Prefix: x.Prefix, Head: head, Parsed: parsed}
	x.file, x.Source = job, handedFiles
	x.handler.Release(p) // the ticket stays taken until the file is sent
}

// openHanded is open for a request that was handed over.
func (j *fileJob) openHanded(s *Server) {
	files, err := s.roots.get(j.from.options, s.cfg.Private)
	if err == nil {
		files.Open(&j.req, &j.res)
		return
	}
	j.logClient(s, loglevel.Error, "a handler let files answer that cannot: %v", err)
	j.fail(500)
}

// logClient logs a line about what a handler wanted. Any goroutine.
func (j *fileJob) logClient(s *Server, level loglevel.Level, format string, args ...any) {
	log := s.cfg.LogClient
	if j.rules != nil && j.rules.errors != nil {
		log = j.rules.errors
	}
	log(level, j.from.client, fmt.Sprintf(format, args...))
}

// with adds the handler's fields to those of the file. What the file says of
// itself counts, but the handler knows better who may keep the answer.
func (h *handedOver) with(file []byte) []byte {
	out := make([]byte, 0, len(file)+len(h.fields))
	for line := range bytes.Lines(file) {
		if name := header.Name(line); !bytes.EqualFold(name, cacheControl) || !header.Has(h.fields, name) {
			out = append(out, line...)
		}
	}
	for line := range bytes.Lines(h.fields) {
		name := header.Name(line)
		if bytes.EqualFold(name, cacheControl) || bytes.EqualFold(name, vary) || bytes.EqualFold(name, setCookie) || !header.Has(file, name) {
			out = append(out, line...)
		}
	}
	return out
}

var cacheControl, vary, setCookie = []byte("Cache-Control"), []byte("Vary"), []byte("Set-Cookie")
