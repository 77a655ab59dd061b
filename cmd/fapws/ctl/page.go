package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"fapws/runtime/auth"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
)

const StatusChannel = "fapws.status"

const (
	ViewEvery   = time.Second // interval of events while a status page is open
	ProfileTime = 5 * time.Second
)

type Line struct {
	At   int64  `json:"at"` // nanoseconds since 1970
	Text string `json:"text"`
}

const (
	within   = 10 * time.Second
	slowly   = 2 * time.Minute        // time limit for a reload
	fresh    = 900 * time.Millisecond // time for which a result is reused for all viewers
	history  = 60                     // number of request rates that the page shows as a curve
	logLines = 50
)

type Page struct {
	source   func(context.Context, Command) (Answer, error)
	log      func(level logfile.Level, client, line string)
	refusals logfile.Seldom

	mu     sync.Mutex // the method look holds mu even while it waits for the function source
	before *Answer
	at     time.Time
	view   *View
	lines  []Line
	rates  []float64
}

// source queries the server and must be safe for concurrent use. log writes a line about a client to the error log.
func NewPage(source func(context.Context, Command) (Answer, error),
	log func(level logfile.Level, client, line string)) *Page {
	return &Page{source: source, log: log}
}

// ask sends a command to the server, and returns an error in the Answer as err.
func (p *Page) ask(ctx context.Context, c Command) (Answer, error) {
	a, err := p.source(ctx, c)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

const fields = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n" +
	"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-%s'; connect-src " +
	"'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'\r\n"

func (p *Page) Respond(w *backend.ResponseWriter, r *backend.Request) {
	if why := refused(r); why != "" {
		p.refuse(w, r, why)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context, within)
	defer cancel()
	path := r.Path[r.Script:]
	switch r.Method() {
	case "GET", "HEAD":
		p.get(ctx, w, r, path)
	case "POST":
		p.post(w, r, path)
	default:
		w.Start(exchange.Head{Status: 405, Length: -1, Then: exchange.Refusal{},
			Fields: []byte("Allow: GET, HEAD, POST\r\n")})
	}
}

func (p *Page) get(ctx context.Context, w *backend.ResponseWriter, r *backend.Request, path string) {
	switch path {
	case "":
		// Do not redirect to the path that the client has sent: in a path such as "//_fapws/", browsers would take
		// _fapws for a host.
		there := &url.URL{Path: r.Path + "/"}
		w.Start(exchange.Head{Status: 308, Length: 0, Fields: []byte("Location: " + there.EscapedPath() + "\r\n")})
	case "/metrics":
		p.metrics(ctx, w, r)
	case "/events":
		w.Start(exchange.Head{Status: 200, Length: -1, Then: w.Then(w.Sends().Subscribe, "Fapws-Channel",
			[]byte(StatusChannel))})
	case "/", "/live", "/status.json":
		view, lines, rates, err := p.look(ctx)
		switch {
		case err != nil:
			send(w, "", "", err)
		case path == "/":
			send(w, htmlType, document(view, lines, rates), nil)
		case path == "/live":
			send(w, htmlType, body(view, lines, rates), nil)
		default:
			text, err := json.Marshal(view)
			send(w, "application/json", string(text)+"\n", err)
		}
	default:
		w.Refuse(404, "")
	}
}

func (p *Page) refuse(w *backend.ResponseWriter, r *backend.Request, reason string) {
	if p.refusals.Now() {
		p.log(logfile.Warning, r.Client(), "status page refused: "+reason)
	}
	w.Refuse(403, reason)
}

func (p *Page) post(w *backend.ResponseWriter, r *backend.Request, path string) {
	if auth.FromElsewhere(r.Head, r.Parsed.Fields, r.Host()) {
		p.refuse(w, r, "the request comes from a page of another site")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), slowly)
	defer cancel()
	switch path {
	case "/stacks":
		a, err := p.ask(ctx, Stack)
		send(w, plainType, withoutQueries(a.Text), err)
	case "/profile":
		a, err := p.ask(ctx, Profile)
		graph := flame(a.Stacks)
		if r.Parsed.HTML {
			graph = profilePage(graph)
		}
		send(w, htmlType, graph, err)
	case "/reload":
		p.log(logfile.Info, r.Client(), "reloading: status page")
		if _, err := p.ask(ctx, Reload); err != nil {
			w.Refuse(500, withoutQueries(err.Error()))
			return
		}
		send(w, plainType, "reloaded\n", nil)
	default:
		w.Refuse(404, "")
	}
}

func (p *Page) metrics(ctx context.Context, w *backend.ResponseWriter, r *backend.Request) {
	a, err := p.ask(ctx, Metrics)
	if strings.Contains(r.Field("Accept"), "application/openmetrics-text") {
		send(w, metrics.OpenMetricsType, metrics.OpenMetrics(a.Families), err)
	} else {
		send(w, metrics.PlainType, metrics.Plain(a.Families), err)
	}
}

const (
	plainType = "text/plain; charset=utf-8"
	htmlType  = "text/html; charset=utf-8"
)

func send(w *backend.ResponseWriter, kind, text string, err error) {
	if err != nil {
		w.Refuse(503, err.Error())
		return
	}
	w.Start(exchange.Head{Status: 200, Length: int64(len(text)), Type: kind,
		Fields: []byte(fmt.Sprintf(fields, scriptHash))})
	_, _ = w.Write([]byte(text)) // an error means that the client has disconnected
}

// look returns the state of the server, which is at most as old as the constant fresh.
func (p *Page) look(ctx context.Context) (*View, []Line, []float64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view != nil && time.Since(p.at) < fresh {
		return p.view, p.lines, slices.Clone(p.rates), nil
	}
	now, err := p.ask(ctx, Top)
	if err != nil {
		return nil, nil, nil, err
	}
	before, seconds := p.before, time.Since(p.at).Seconds()
	if before == nil {
		before, seconds = &now, 1
	}
	p.view, p.before, p.at = Compare(before, &now, seconds), &now, time.Now()
	p.rates = append(p.rates, p.view.Rate)
	p.rates = p.rates[max(0, len(p.rates)-history):]
	if a, err := p.ask(ctx, Logs); err == nil {
		lines := inOrder(a.Lines)
		p.lines = lines[max(0, len(lines)-logLines):]
	}
	return p.view, p.lines, slices.Clone(p.rates), nil
}

// inOrder sorts lines by time. A worker that is about to end may have sent its lines twice.
func inOrder(lines []Line) []Line {
	sort.SliceStable(lines, func(i, j int) bool {
		return cmp.Or(cmp.Compare(lines[i].At, lines[j].At), strings.Compare(lines[i].Text, lines[j].Text)) < 0
	})
	return slices.Compact(lines)
}

var query = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(/[^\s?"]*)\?[^\s"]+`) })

// withoutQueries removes the queries from all URLs in text, because queries can contain secrets.
func withoutQueries(text string) string { return query().ReplaceAllString(text, "$1?…") }

func refused(r *backend.Request) string {
	if r.Peer.User != "" {
		return ""
	}
	addr, err := netip.ParseAddr(r.Peer.Addr)
	if err != nil || !addr.Unmap().IsLoopback() {
		return "only clients on this machine, or with a password, may see this page"
	}
	if r.Parsed.Forwarded || r.Field("Via") != "" { // the client may be anywhere, even if the proxy is local
		return "this page is not for requests through a proxy, unless the host asks for a password"
	}
	// A foreign website could make its own host name resolve to this machine (DNS rebinding).
	if !http1.LocalHost(r.Host()) {
		return "ask for this page at localhost or 127.0.0.1"
	}
	return ""
}
