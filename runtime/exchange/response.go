package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Response tracks the framing of a response and counts its sent bytes. The zero value is a response that has not begun.
type Response struct {
	Status int // 0 before the response begins
	Sent   int64
	Framed int64 // number of sent bytes outside the body: head and framing
	Left   int64 // number of unsent body bytes, by Content-Length; 0 without one

	Framing http1.Framing
	Begun   bool
	cut     bool // the handler's body was longer than its Content-Length

	trailers bool // the client accepts trailers (see http1.Request.Trailers)
}

// Begin records that the response has begun.
func (r *Response) Begin() { r.Begun = true }

// AddFraming adds n to Framed.
func (r *Response) AddFraming(n int) { r.Framed += int64(n) }

// Trailers returns the trailers to send after p. It returns nil if p has no trailers, if the client does not accept
// trailers, or if the response has no body. An HTTP/1 connection must send trailers only after a chunked body.
func (r *Response) Trailers(p *Part) []byte {
	if p.Trailers == nil || p.End != Complete || p.First || !r.trailers || r.Framing == http1.NoBody {
		return nil
	}
	return *p.Trailers
}

func (x *Exchange) Send(p *Part) {
	if p.Op == OpCredit {
		x.Outstanding.Credit(p.Number)
		if x.Stream != nil {
			x.Stream.WantMore(x)
		}
		x.Release(p)
		return
	}
	c := x.Stream
	switch {
	// there is no client, or the client does not understand interim responses (HTTP/1.0, subrequests)
	case c == nil, p.Interim && (x.Version < http1.HTTP11 || x.client.Subrequest()):
		x.Release(p)
	default:
		c.Write(x, p)
	}
}

// Take returns the bytes of p that may be sent: nothing if the response has no body, and otherwise no more than its
// Content-Length. The result body is from p.Body, and count is the number of bytes to send from p.File. The result
// broken is true if p is the last part and the body is incomplete. Take logs a wrong Content-Length.
func (x *Exchange) Take(p *Part) (body []byte, count int64, broken bool) {
	r := &x.Out
	if r.Framing != http1.NoBody {
		if body = p.Body; p.File != nil {
			count = p.File.Count
		}
	}
	if r.Framing == http1.Sized {
		if int64(len(body))+count > r.Left {
			if !r.cut {
				x.Log(logfile.Warning, "truncated a response that exceeds its Content-Length")
			}
			r.cut = true
			body = body[:min(int64(len(body)), r.Left)]
			count = r.Left - int64(len(body))
		}
		r.Left -= int64(len(body)) + count
	}
	r.Sent += int64(len(body)) + count
	if p.End == Complete && p.Takeover == nil && r.Left > 0 {
		x.Log(logfile.Warning, fmt.Sprintf("a response was %d bytes shorter than its Content-Length", r.Left))
		return body, count, true
	}
	return body, count, p.End == Incomplete
}

// Heads makes the heads of all responses that an event loop sends.
type Heads struct {
	// Fields is memory for the fields of a response, which callers can reuse after AppendHead has returned.
	Fields []byte

	*http1.Template
	edited []byte
}

// AppendHead appends the head of r to dst as an HTTP/1 head, and sets the framing of the body in x.Out. Over HTTP/2,
// the caller must count the head as it is sent (Response.AddFraming).
func (x *Exchange) AppendHead(dst []byte, r *http1.ResponseHead) []byte {
	h, before := &x.s.Heads, len(dst)
	if len(x.rules.headers) > 0 || x.renewal != nil {
		edits := x.rules.headers
		if !x.from.HTTPS {
			edits = edits[:x.rules.plain]
		}
		if r.Status >= 400 && http1.HasPolicy(r.Fields, x.s.Config.Details != nil || x.s.Set.Debug >= 1) {
			edits = edits.Without("Content-Security-Policy")
		}
		if x.renewal != nil {
			edits = append(edits[:len(edits):len(edits)], x.renewal)
		}
		h.edited = edits.Apply(h.edited, r)
	}
	dst = h.Template.AppendHead(dst, r)
	if x.ID.Request != "" && !http1.HasField(r.Fields, requestID) {
		dst = append(append(append(dst[:len(dst)-2], "X-Request-Id: "...), x.ID.Request...), "\r\n\r\n"...)
	}
	if e := x.Record; e != nil {
		if e.Times != nil {
			dst = x.s.noteHead(dst, e, r.Fields)
		}
		e.NoteResponse(dst[before:])
	}
	if x.Out.Begun, x.Out.Status, x.Out.Framing = true, r.Status, r.Body; r.Body == http1.Sized {
		x.Out.Left = r.Length
	}
	if !x.Version.Has(http1.FramesItself) {
		x.Out.Framed += int64(len(dst) - before)
	}
	x.KeepAlive = x.KeepAlive && r.KeepAlive
	return dst
}

var crlf, requestID = []byte("\r\n"), []byte("X-Request-Id")

const upgradeField, upgradeConnection = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"

// AppendHeadOf calls AppendHead for the head of p, unless p is interim. keepAlive says whether the connection can stay
// open after the response.
func (x *Exchange) AppendHeadOf(dst []byte, p *Part, keepAlive bool) []byte {
	s, h, before := x.s, &p.Head, len(dst)
	if p.Interim {
		dst = append(append(http1.AppendStatusLine(dst, h.Status, h.Reason), h.Fields...), crlf...)
		if !x.Version.Has(http1.FramesItself) {
			x.Out.AddFraming(len(dst) - before)
		}
		return dst
	}
	if x.Carrier != nil {
		x.refuseCarrier()
	}
	r := http1.ResponseHead{Version: x.Version, Head: x.IsHead, Status: h.Status, Reason: h.Reason, Fields: h.Fields,
		Length: h.Length, Type: h.Type, HasDate: h.HasDate, HasServer: h.HasServer}
	// A 426 must have an Upgrade field (RFC 9110 §15.5.22), which handlers cannot set.
	if r.Status == 426 {
		r.Fields = append(r.Fields[:len(r.Fields):len(r.Fields)], upgradeConnection...)
		if http1.FieldValue(h.Fields, []byte("upgrade")) == "" {
			r.Fields = append(r.Fields, upgradeField...)
		}
	}
	// If the last response is a 1xx, close the connection, because clients expect a final response after a 1xx.
	r.KeepAlive = keepAlive && !h.Close && r.Status >= 200
	if r.Length < 0 && p.End == Complete {
		if size := p.Size(); size > 0 || !x.IsHead {
			r.Length = size
		}
	}
	vary := ""
	if m := x.Choice; m != nil && m.Compress && !x.client.Subrequest() && s.Compressor.Varies(x, p) {
		vary = "Vary: Accept-Encoding\r\n"
	}
	if x.Fields != nil || vary != "" {
		s.Heads.Fields = append(append(append(s.Heads.Fields[:0], r.Fields...), x.Fields...), vary...)
		r.Fields = s.Heads.Fields
	}
	return x.AppendHead(dst, &r)
}

func (x *Exchange) Hold(p *Part) {
	if x.Stream == nil || x.client.Subrequest() {
		x.Held.Put(p)
	} else {
		x.Held.hold(x.s.Set, x, p)
	}
}

// PartWaits implements PartOwner. Parts of a subrequest are counted for the client that gets the whole page.
func (x *Exchange) PartWaits(p *Part, unsent int) *conn.Unsent {
	if x.Stream == nil || x.client.Subrequest() {
		return x.Held.unsent
	}
	return x.Held.Count(x.s.Set, x, p, unsent)
}

func (x *Exchange) PartSent(p *Part, err error) {
	if err != nil {
		x.Out.Left++ // not all of p was written
		if p.Last() {
			x.Detach() // the connection closes only when PartSent has returned
		}
		x.LogShort(err)
	}
	x.Release(p)
}

// LogShort logs err if reading a file failed, for example because the file was shorter than announced.
func (x *Exchange) LogShort(err error) {
	if errors.As(err, new(*conn.FileError)) {
		x.Log(logfile.Warning, "response aborted: "+err.Error())
	}
}

func (x *Exchange) Reply(r Reply) {
	s, c := x.s, x.Conn()
	if c == nil {
		x.End()
		return
	}
	if s.Set.Debug >= 1 {
		s.tracef("%s gets %d: %s", c, r.Status, r.Text)
	}
	if r.Status == 413 || r.Status == 414 || r.Status == 431 {
		text, _, _ := strings.Cut(r.Text, atMost)
		x.NoteLimit(fmt.Sprintf("sent %d: %s", r.Status, cmp.Or(text, http1.StatusText(r.Status))), r.Limit)
	}
	if x.details && r.Limit.Setting != "" { // only a developer can change the limit
		r.Text = fmt.Sprintf("%s (%s)", cmp.Or(r.Text, http1.StatusText(r.Status)), r.Limit.Setting)
	}
	if r.Status == http.StatusNotFound && x.details && r.Details == "" {
		r.Details = x.rules.site.paths()
	}
	x.refuseCarrier()
	x.req, x.Check = nil, nil
	if x.Record != nil {
		x.Record.Overridden = r.Override
	}
	x.Stream.Replace(x, x, r.Close)
	x.enter(answering, nothing)
	x.Req, x.Source, x.Fields = nil, Memory{}, nil
	if pages := x.rules.site.Pages; pages != nil {
		pages(x, r)
	} else {
		x.SendReply(&r)
	}
}

// Refuse answers x with r, without a source. The routing of x must not be complete.
func (x *Exchange) Refuse(r Reply) {
	if !r.Close {
		x.Stream.Read(x)
	}
	x.Sink.Reply(r)
}

// FailWith replaces the response of x by r. The client gets r in a new exchange, and the handler of x continues without
// a client. p is the part of x that r replaces, or nil.
func (x *Exchange) FailWith(r Reply, p *Part) {
	y := x.s.New(x.client, x.Stream)
	x.Stream.Replace(x, y, false)
	y.identity = x.identity
	x.Record, x.began = nil, 0
	x.enter(x.state, nothing)
	x.Detach()
	if p == nil || !p.Last() {
		x.Abandon()
	}
	if p != nil {
		x.Release(p)
	}
	y.Reply(r)
}

// Stop ends the response of x after the parts that were already sent. If failed is true, the client sees that the rest
// is missing. Otherwise the response ends normally, and the connection closes.
func (x *Exchange) Stop(failed bool) {
	x.Source, x.KeepAlive = Memory{}, x.KeepAlive && failed
	end := Complete
	if failed {
		end = Incomplete
	}
	x.Sink.Send(&Part{End: end})
}

const (
	TextType = "text/plain; charset=utf-8"
	htmlType = "text/html; charset=utf-8"
)

// SendReply answers x with r as it is, without an error page of the site.
func (x *Exchange) SendReply(r *Reply) {
	p := Part{First: true, End: Complete}
	p.Body = fillHead(&p.Head, r, x)
	x.Sink.Send(&p)
}

// fillHead sets the head h for r and returns the body, in HTML for a browser.
func fillHead(h *Head, r *Reply, x *Exchange) (body []byte) {
	h.Status, h.Fields, h.HasDate, h.HasServer = r.Status, r.Fields, r.Date, r.Server
	h.Close = r.Close
	switch {
	case r.Body != nil || r.Whole || r.Length > 0:
		body, h.Type = r.Body, r.Type
	case x.html:
		page := http1.ErrorPage{Status: r.Status, Text: r.Text, Home: x.Prefix, Details: r.Details, Note: x.note(r.Status)}
		body, h.Type = page.HTML(), htmlType
		h.Fields = fmt.Appendf(slices.Clip(h.Fields), "Content-Security-Policy: %s\r\n", http1.Policy(x.details))
	default:
		text := cmp.Or(r.Text, http1.StatusText(r.Status))
		for _, more := range [...]string{r.Details, x.note(r.Status)} {
			if more != "" {
				text += "\n\n" + strings.TrimSuffix(more, "\n")
			}
		}
		body, h.Type = append([]byte(text), '\n'), TextType
	}
	h.Length = max(int64(len(body)), r.Length)
	return body
}

// note returns the small print of a page: the id and the time under which the log has a failed request.
func (x *Exchange) note(status int) string {
	if status < 500 {
		return ""
	}
	return "Request " + x.requestID() + ", " + time.Now().Format("2006-01-02 15:04:05 -0700")
}

// pageWait is how long a browser's request waits for a loading application before it gets the page from Starting.
const pageWait = time.Second

// Starting returns a page that reloads itself after a second. The application has been loading for the duration start.
func Starting(start time.Duration) Reply {
	seconds := "1 second"
	if n := int(start.Seconds()); n > 1 {
		seconds = fmt.Sprintf("%d seconds", n)
	}
	page := http1.Page("Starting", `<progress aria-label="starting"></progress><p>This site has been starting for `+
		seconds+`. It opens here by itself as soon as it is ready.</p>`,
		`<meta http-equiv="refresh" content="1"><style>progress{width:100%}</style>`)
	return Reply{Status: 503, Body: page, Type: htmlType, Fields: startingFields, Whole: true, Override: true}
}

var startingFields = []byte("Retry-After: 1\r\nCache-Control: no-store\r\n")

// Malformed returns the reply to an invalid head. received is the invalid input.
func Malformed(limits *http1.Limits, err *http1.StatusError, received []byte) Reply {
	r := Reply{Status: err.Status, Text: err.Text, Close: true}
	if err.Setting == "" {
		return r
	}
	limit, size := err.Sizes(limits, received)
	r.Limit = Limit{Setting: "--" + err.Setting, Max: int64(limit), Size: int64(size)}
	return r
}

// NoteLimit logs, at most once a minute per limit, that a client has exceeded l. sent describes the response.
func (x *Exchange) NoteLimit(sent string, l Limit) {
	last := x.s.limitWarnings[l.Setting]
	if last == nil {
		last = new(logfile.Seldom)
		x.s.limitWarnings[l.Setting] = last
	}
	if !last.Once(time.Minute) {
		return
	}
	if l.Setting != "" {
		sent += fmt.Sprintf(": size %d or more, limit %d (%s)", l.Size, l.Max, l.Setting)
	}
	x.Log(logfile.Warning, sent)
}

// ChangeProtocol gives the connection of x to its Carrier, and makes sink the Sink of x. For r and the results, see
// Stream.SwitchProtocols.
func (x *Exchange) ChangeProtocol(sink Sink, r *http1.ResponseHead) (c *conn.Conn, head []byte) {
	x.Sink = sink
	if r == nil && !x.Out.Begun { // the new protocol sends its own response
		x.Out.Status = http.StatusSwitchingProtocols
	}
	c, head = x.Stream.SwitchProtocols(x, r)
	if x.from == x.client.peer {
		x.from, x.client.peer = nil, nil
	}
	return c, head
}

// PassOn gives the connection or stream of x to another protocol, after the response was written or gathered. That
// protocol must write the line for the access log.
func (x *Exchange) PassOn(to Takeover) {
	log, sent, framed := x.TakeRecord(), x.Out.Sent, x.Out.Framed
	c, _ := x.Stream.SwitchProtocols(x, nil)
	to(c, log, sent, framed)
}
