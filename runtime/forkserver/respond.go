package forkserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/source/cgi"
	"fapws/runtime/source/refusal"
)

// Mount is the backend.Responder of one mount of the application.
type Mount struct {
	Server *Server
	Index  int    // among the mounts of the application
	Name   string // of its handler, for log lines
}

var errTruncated = errors.New("the process exited before its response was complete")

// Respond implements backend.Responder.
func (m *Mount) Respond(w *backend.Response, r *backend.Request) {
	s := m.Server
	switch err := s.serving.Gate.Enter(r.Context); {
	case errors.Is(err, cgi.ErrBusy):
		refuse(w, "too many requests are waiting")
		return
	case err != nil:
		return // the response is not wanted any more
	}
	s.occupied(1)
	line, number, client := requestLine(r), r.Log, r.Client()
	ctx, cancel := context.WithTimeout(r.Context, s.patience(r))
	p, run, c, err := s.fork(ctx, line+" in handler "+m.Name)
	cancel()
	if err != nil {
		s.occupied(-1)
		s.serving.Gate.Leave()
		switch {
		case r.Context.Err() != nil:
		case errors.Is(err, context.DeadlineExceeded):
			s.starting(w, r)
		case errors.Is(err, errAsleep):
			refuse(w, err.Error())
		default:
			m.log(r, fmt.Sprintf("cannot fork a process: %v", err))
			refuse(w, "")
		}
		return
	}
	go func() {
		<-run.ended
		s.occupied(-1)
		s.serving.Gate.Leave()
	}()
	r.OnOverdue(func(took time.Duration) {
		s.serving.Log(number, client, fmt.Sprintf("%s timed out after %v in handler %s; killing process %d; stack:", line, took.Round(100*time.Millisecond), m.Name, run.pid))
		_ = p.order(opKill, run.id, -1)
	})
	stop := make(chan struct{})
	go func() {
		select {
		case <-r.Context.Done():
			c.conn.Close() // wakes the reader, and the child
		case <-stop:
		}
	}()
	err = m.pass(w, r, c)
	close(stop)
	switch {
	case err == nil:
		go s.hearOut(c)
		return
	case r.Context.Err() == nil:
		<-run.ended
		if errors.Is(err, errEnded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTruncated
		}
		m.log(r, fmt.Sprintf("process %d %s in handler %s, %s: %v", run.pid, run.how, m.Name, line, err))
		if w.Started() {
			w.Fail()
		} else {
			w.Refuse(500, "")
		}
	}
	c.conn.Close()
}

// patience is how long a request waits for a fork server.
func (s *Server) patience(r *backend.Request) time.Duration {
	if loadsPage(r) {
		return min(s.serving.StartWait, refusal.PageWait)
	}
	return s.serving.StartWait
}

// loadsPage reports whether a browser asks for a page, which it can ask for again.
func loadsPage(r *backend.Request) bool {
	return r.Method() == "GET" && refusal.WantsHTML(r.Parsed, r.Head)
}

// starting answers a request for which there is no fork server in time.
func (s *Server) starting(w *backend.Response, r *backend.Request) {
	if !loadsPage(r) {
		refuse(w, "the application is starting")
		return
	}
	s.mu.Lock()
	since := time.Since(s.idle.since)
	s.mu.Unlock()
	page := refusal.Starting(since)
	w.Start(exchange.Head{Status: page.Status, Length: int64(len(page.Body)), ContentType: page.Type, Fields: page.Fields})
	w.Write(page.Body)
}

// refuse answers a client that may try again soon.
func refuse(w *backend.Response, reason string) {
	w.Start(exchange.Head{Status: 503, Length: -1, Refusal: true, Reason: []byte(reason), Fields: []byte("Retry-After: 1\r\n")})
}

// pass sends the request to the child and its response to the client.
func (m *Mount) pass(w *backend.Response, r *backend.Request, c *child) error {
	all, spool, err := encode(r, m.Index, m.Server.serving.LogPath(r.Log))
	if err != nil {
		return err
	}
	if err := c.send(all, spool); err != nil {
		return err
	}
	for {
		p, err := c.next()
		if err != nil {
			return err
		}
		if p.Flags&messages != 0 {
			if err := m.Server.hear(c, &p); err != nil {
				return err
			}
			continue
		}
		head, err := c.head(&p)
		if err != nil {
			return err
		}
		if p.Flags&first != 0 {
			w.Start(head)
		}
		if err := passBody(w, c, &p); err != nil {
			return err
		}
		if p.Flags&last != 0 {
			if p.Flags&failed != 0 {
				w.Fail()
			}
			return nil
		}
		if err := w.Flush(); err != nil { // PEP 3333: a chunk is not kept until the next one
			return err
		}
	}
}

// passBody sends the bytes of p, and those of the file that came with it.
func passBody(w *backend.Response, c *child, p *part) error {
	file := c.file
	c.file = nil
	if _, err := io.CopyN(w, c.conn, p.Body); err != nil {
		if file != nil {
			file.Close()
		}
		return err
	}
	switch {
	case file == nil:
		return nil
	case p.Flags&last != 0:
		w.Last(file, p.Offset, p.Count)
		return nil
	}
	return w.File(file, p.Offset, p.Count)
}

// maxMessages is the maximum of the messages that a child sends at once, in bytes.
const maxMessages = 64 << 20

// hear takes the messages in p.
func (s *Server) hear(c *child, p *part) error {
	if p.Body < 0 || p.Body > maxMessages {
		return fmt.Errorf("messages of %d bytes", p.Body)
	}
	raw := make([]byte, p.Body)
	if _, err := io.ReadFull(c.conn, raw); err != nil {
		return err
	}
	s.serving.Messages(raw)
	return nil
}

// hearOut takes the messages of a child after its response, from deferred calls and threads.
func (s *Server) hearOut(c *child) {
	defer c.conn.Close()
	for {
		p, err := c.next()
		if err != nil || p.Flags&messages == 0 || s.hear(c, &p) != nil {
			return
		}
	}
}

func (m *Mount) log(r *backend.Request, line string) {
	m.Server.serving.Log(r.Log, r.Client(), line)
}

func requestLine(r *backend.Request) string {
	return fmt.Sprintf("%s %s %s", r.Method(), r.Target(), r.Parsed.Version)
}
