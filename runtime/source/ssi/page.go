package ssi

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// session is the state that a page shares with the pages that it includes.
type session struct {
	vars  *variables
	left  atomic.Int64 // bytes that may still be sent
	lines atomic.Int32 // that were logged
}

// maxLines is the maximum number of log lines of one request.
const maxLines = 20

// page is a page while it is being made.
type page struct {
	s   *Pages
	w   *backend.Response
	r   *backend.Request
	f   *file
	ctx context.Context

	*session
	cancel context.CancelFunc

	timefmt, errmsg, echomsg string
	bytes                    bool // config sizefmt="bytes"

	// Of if: whether text is shown, whether the branch of the innermost if that
	// is true was found, and how many ifs began where nothing is shown.
	printing, found bool
	hidden          int

	element  *element // being carried out
	text     string   // that the last regular expression with groups was tried on
	captured []int    // where that was and its groups are in it; nil: it did not match

	buf     []byte
	stopped bool
}

// bufferSize is how much of a page is held back; a page that ends before has a
// Content-Length.
const bufferSize = 64 << 10

func (s *Pages) newPage(w *backend.Response, r *backend.Request, f *file) *page {
	p := &page{s: s, w: w, r: r, f: f, timefmt: s.opt.TimeFormat, errmsg: s.opt.ErrorMessage,
		echomsg: s.opt.UndefinedEcho, printing: true, found: true}
	p.ctx, p.cancel = context.WithTimeout(r.Context, s.opt.Timeout)
	if outer, ok := r.Value.(*session); ok {
		p.session = outer
		if q := r.Query(); q != "" {
			p.vars.putQuery(q)
		}
	} else {
		p.session = &session{vars: newVariables(r, f, &s.opt, time.Now())}
		p.left.Store(s.opt.MaxOutput)
	}
	r.Share(p.session)
	return p
}

func (p *page) close() { p.cancel() }

// run makes the page.
func (p *page) run() {
	for _, n := range p.f.doc.nodes {
		if p.stopped {
			break
		}
		p.element = n.element
		if n.element == nil {
			if p.printing {
				p.write(n.text)
			}
			continue
		}
		if p.ctx.Err() != nil {
			p.stop("timed out")
			break
		}
		p.carryOut(n.element)
	}
	if !p.printing && !p.stopped {
		p.log("missing endif")
	}
	p.finish()
}

// write adds to the page.
func (p *page) write(text string) {
	if p.stopped || text == "" {
		return
	}
	if p.left.Add(-int64(len(text))) < 0 {
		p.stop("the output is too large")
		return
	}
	p.buf = append(p.buf, text...)
	if len(p.buf) >= bufferSize {
		p.start(-1)
		p.send()
	}
}

// start sends the head. The dependencies of a page of more than bufferSize are known of its beginning only.
func (p *page) start(length int64) {
	contentType := "text/html"
	if p.s.opt.Charset != "off" {
		contentType += "; charset=" + p.s.opt.Charset
	}
	fields := "Content-Type: " + contentType + "\r\n"
	if vary := p.vars.varies(); vary != "" {
		fields += "Vary: " + vary + "\r\n"
	}
	p.w.Start(exchange.Head{Status: 200, Fields: []byte(fields), Length: length})
}

func (p *page) send() {
	if _, err := p.w.Write(p.buf); err != nil {
		p.stopped = true
	}
	p.buf = p.buf[:0]
}

// stop ends the page here.
func (p *page) stop(why string) {
	if p.stopped {
		return
	}
	p.stopped = true
	if p.r.Context.Err() == nil { // else the client has disconnected
		p.log(why)
	}
	p.buf = append(p.buf, p.errmsg...)
}

// finish sends the rest. A page that has begun and cannot be completed is broken off, so that its client notices.
func (p *page) finish() {
	broken := p.stopped && p.w.Started()
	p.start(int64(len(p.buf)))
	p.send()
	if broken {
		p.w.Fail()
	}
}

// log writes an error about the page.
func (p *page) log(format string, args ...any) {
	switch n := p.lines.Add(1); {
	case n > maxLines:
		return
	case n == maxLines:
		format, args = "more errors of this request are not shown", nil
	}
	line := 0
	if p.element != nil {
		line = p.element.line
	}
	where := p.s.opt.Root + p.f.name
	if line > 0 {
		where = fmt.Sprintf("%s:%d", where, line)
	}
	p.s.opt.Log(p.r.Client(), "SSI: "+where+": "+printable(fmt.Sprintf(format, args...)))
}

// printable escapes text that may come from a client for a log line.
func printable(s string) string {
	const limit = 500
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0xfffd {
			return '?'
		}
		return c
	}, s)
}

// fail writes the error message in the place of the element, and a line to the
// log.
func (p *page) fail(format string, args ...any) {
	p.log(format, args...)
	p.write(p.errmsg)
}

// match compares a text with a regular expression and keeps the captures.
func (p *page) match(re *regexp.Regexp, text string) bool {
	p.text, p.captured = text, re.FindStringSubmatchIndex(text)
	return p.captured != nil
}

// capture returns $n. There is none for a group that was not needed.
func (p *page) capture(n int) (string, bool) {
	if 2*n >= len(p.captured) || p.captured[2*n] < 0 {
		return "", false
	}
	return p.text[p.captured[2*n]:p.captured[2*n+1]], true
}

// variable returns the value of a variable, or of $0 ... $9.
func (p *page) variable(name string) (string, bool) {
	if len(name) == 1 && isDigit(name[0]) {
		return p.capture(int(name[0] - '0'))
	}
	return p.vars.get(name, p.timefmt)
}

// substitute replaces $name and ${name} in a value. \$ is a dollar sign;
// other backslashes stay.
func (p *page) substitute(s string) string { return p.expand(s, false) }

// expand is substitute, which may leave the names of missing variables.
func (p *page) expand(s string, leaveNames bool) string {
	if !strings.ContainsAny(s, `\$`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() <= maxVariables; {
		c := s[i]
		if c == '\\' && i+1 < len(s) && s[i+1] == '$' {
			b.WriteByte('$')
			i += 2
			continue
		}
		if c != '$' {
			b.WriteByte(c)
			i++
			continue
		}
		name, n := "", 0
		if strings.HasPrefix(s[i+1:], "{") {
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				p.log("a } is missing in %q", s)
				break
			}
			name, n = s[i+2:i+end], end+1
		} else {
			n = 1 + nameLen(s[i+1:])
			name = s[i+1 : i+n]
		}
		if name == "" {
			b.WriteByte('$')
			i++
			continue
		}
		if value, ok := p.variable(name); ok {
			b.WriteString(value)
		} else if leaveNames {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}
