package programs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

type LoaderMount struct {
	Loader *Loader
	Index  int
	Name   string // name of the handler, for log lines
}

const (
	// stackWithin is how long a child that has exceeded its timeout may continue before it is killed. The child needs
	// this time to write its stack.
	stackWithin = 5 * time.Second

	// endedWithin is how long the server waits for the exit status of a child that has closed its socket.
	endedWithin = 2 * time.Second

	// maxObject limits the length of an object that a child logs, in bytes.
	maxObject = 1 << 20

	// reported is the exit status of a child that has logged why it failed.
	reported = 70
)

var errTruncated = errors.New("the process exited before its response was complete")

func (m *LoaderMount) Respond(w *backend.ResponseWriter, r *backend.Request) {
	s, began := &m.Loader.serving, time.Now()
	w.Spools()
	switch err := s.Places.Enter(r.Context, r.Account()); {
	case errors.Is(err, ErrBusy):
		refuse(w, "too many requests are waiting")
		return
	case err != nil:
		return
	}
	line, number, about := fmt.Sprintf("%s %s %s", r.Method(), r.Target(), r.Parsed.Version), r.ErrorLog, r.About(r.Parsed)
	about.Handler = m.Name
	log := func(text string) { s.Log(number, about.Name(), text) }
	c, err := m.Loader.fork(line, m.Name)
	if err != nil {
		m.Loader.leave(r.Account())
		log(fmt.Sprintf("%s in handler %s: %v", line, m.Name, err))
		refuse(w, "the application is not available")
		return
	}
	go func() {
		<-c.ended
		m.Loader.leave(r.Account())
		// set a deadline, because processes that the child has started may hold the pipe open
		c.errors.SetReadDeadline(time.Now().Add(endedWithin))
	}()
	longest := maxLine
	if s.Objects {
		longest = maxObject
	}
	go logLines(c.errors, longest, func(text string) {
		about := about
		if o, ok := logfile.ParseObject(text); ok && s.Objects {
			about.Exception = o.Exception
			s.Log(number, about.Name(), o.Text)
			return
		}
		log(m.Name + ": " + text)
	})
	c.progress.Store(began.UnixNano())
	late := func() bool {
		return s.Timeout > 0 && time.Since(time.Unix(0, c.progress.Load())) >= s.Timeout
	}
	// the child and the server both measure the timeout, so both may report it; log it once
	var overdue sync.Once
	timedOut := func(took time.Duration) {
		overdue.Do(func() {
			log(fmt.Sprintf("%s timed out after %v in handler %s; ending process %d; stack:", line,
				took.Round(100*time.Millisecond), m.Name, c.pid))
		})
	}
	r.OnOverdue(timedOut)
	stop := context.AfterFunc(r.Context, func() {
		if late() {
			select {
			case <-c.ended:
			case <-time.After(stackWithin):
				c.kill()
			}
		}
		c.conn.Close()
	})
	err = m.pass(w, r, c, m.variables(r, s.Timeout-time.Since(began)))
	if stop() {
		c.conn.Close()
	}
	if err == nil || r.Context.Err() != nil {
		return
	}
	if err == errNoResponse { // the handler has failed, and the child has logged the reason
		w.Refuse(500, "")
		return
	}
	report := func() {
		result := exitResult{-1, "has closed its connection"}
		select {
		case <-c.ended:
			result = c.result
		case <-time.After(endedWithin):
		}
		if late() {
			timedOut(time.Since(began))
		} else if result.status != reported {
			log(fmt.Sprintf("process %d %s in handler %s, %s: %v", c.pid, result.text, m.Name, line, err))
		}
	}
	if w.Started() {
		w.Fail()
		go report() // report may wait for the end of the child, which may still be sending data
		return
	}
	report()
	if late() {
		w.Refuse(504, "")
	} else {
		w.Refuse(500, "")
	}
}

func (m *LoaderMount) pass(w *backend.ResponseWriter, r *backend.Request, c *child, head []byte) error {
	sent := send(c.conn, len(head), r, func(writer *bufio.Writer) error {
		_, _ = writer.Write(head)
		if _, err := io.Copy(writer, r.Body()); err != nil {
			return err
		}
		_ = writer.WriteByte(',')
		if err := writer.Flush(); err != nil {
			return err
		}
		// tells the child that the client has disconnected (_Child.disconnected in _fork.py)
		r.OnClose(func() { _ = c.conn.(*net.UnixConn).CloseWrite() })
		return nil
	})
	// The error is ignored, because it means that the child did not need the rest of the request, or that the response
	// was aborted.
	defer func() { _ = sent() }()
	a := &Forwarder{W: w, R: r, Plain: true}
	buf := make([]byte, 32<<10)
	const atOnce, forever = time.Nanosecond, 1 << 62 // a chunk must not wait for the next chunk (PEP 3333)
	return a.passAll(atOnce, forever, func(wait time.Duration) error {
		c.conn.SetReadDeadline(time.Now().Add(wait))
		n, err := c.conn.Read(buf)
		if n > 0 {
			c.progress.Store(time.Now().UnixNano())
			return a.Write(buf[:n])
		}
		if err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) {
			err = errTruncated
		}
		return err
	})
}

func (m *LoaderMount) variables(r *backend.Request, remaining time.Duration) []byte {
	var text []byte
	set := func(name, value string) {
		text = append(append(append(append(text, name...), 0), value...), 0)
	}
	set("CONTENT_LENGTH", strconv.FormatInt(r.Size, 10))
	set("SCGI", "1")
	serving := &m.Loader.serving
	Variables(r, &serving.SiteVariables, &Script{Info: r.Path[r.Script:], Base: r.Script}, func(name, value string) {
		switch name {
		case "CONTENT_LENGTH", "REQUEST_URI", "SERVER_NAME":
		// omit CGI variables that are not part of WSGI
		case "GATEWAY_INTERFACE", "DOCUMENT_ROOT", "PATH_TRANSLATED", "REMOTE_HOST", "REQUEST_SCHEME":
		default:
			set(name, value)
		}
	})
	set("SERVER_NAME", r.Peer.ServerName)
	set("REQUEST_URI", r.Target())
	set("RAW_URI", r.Target())
	if r.Path[r.Script:] == "" {
		set("PATH_INFO", "")
	}
	id := http1.OwnIdentity(r.Head, r.Parsed, r.Own)
	if id.Request != "" {
		set("fapws.request_id", id.Request)
	}
	if trace := id.Trace.String(); trace != "" {
		set("fapws.trace_id", trace)
	}
	set("fapws.id", r.About(r.Parsed).Request) // of a failed request
	set("fapws.mount", strconv.Itoa(m.Index))
	set("fapws.has_length", map[bool]string{true: "1"}[r.Parsed.Body != http1.NoBody])
	set("fapws.timeout", strconv.FormatFloat(max(remaining, 0).Seconds(), 'f', 3, 64))
	return append(append(append(strconv.AppendInt(nil, int64(len(text)), 10), ':'), text...), ',')
}
