package ctl

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	topEvery = time.Second

	// returnsWithin limits the absence of a server during an upgrade or restart.
	returnsWithin = 5 * time.Second

	// figuresWidth limits a line of figures, in bytes.
	figuresWidth = 100
)

func (o *options) top(path string, w io.Writer) error {
	before, err := look(path, 0)
	if err != nil {
		return err
	}
	at := time.Now()
	for {
		time.Sleep(topEvery)
		now, err := look(path, returnsWithin)
		if err != nil {
			return fmt.Errorf("the server has stopped: %w", err)
		}
		v := Compare(before, now, time.Since(at).Seconds())
		before, at = now, time.Now()
		if o.json {
			err = json.NewEncoder(w).Encode(v)
		} else {
			err = show(w, visible(v.String()), o.once)
		}
		if err != nil || o.once {
			return err
		}
	}
}

// The server may be absent for the time away.
func look(path string, away time.Duration) (*Answer, error) {
	for end := time.Now().Add(away); ; time.Sleep(100 * time.Millisecond) {
		c, a, err := converse(path, &request{Command: Top}, answerWithin)
		if err == nil {
			c.Close()
			return &a, nil
		}
		if time.Now().After(end) {
			return nil, err
		}
	}
}

// On a terminal, the text replaces the previous text. Only the last text is written completely.
func show(w io.Writer, text string, last bool) error {
	var size *unix.Winsize
	if f, ok := w.(*os.File); ok && !last {
		size, _ = unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	}
	if size == nil || size.Row == 0 || size.Col == 0 { // no terminal, or a terminal of unknown size
		_, err := io.WriteString(w, text)
		return err
	}
	rows, columns := int(size.Row), int(size.Col)
	var b strings.Builder
	b.WriteString("\x1b[H")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines[:min(len(lines), rows-1)] {
		if runes := []rune(line); len(runes) > columns {
			line = string(runes[:columns])
		}
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	_, err := io.WriteString(w, b.String())
	return err
}

func (v *View) String() string {
	var b strings.Builder
	b.WriteString(v.Report.heading())
	width := 0
	for i, f := range v.figures() {
		separator := ", "
		if width += len(f.name) + len(f.value) + 3; i == 0 {
			separator = ""
		} else if width > figuresWidth {
			separator, width = "\n", len(f.name)+len(f.value)+3
		}
		b.WriteString(separator + f.name + " " + f.value)
	}
	b.WriteByte('\n')
	if len(v.Routes) == 0 {
		b.WriteString("no requests since counting began\n")
	}
	for _, t := range []*table{v.routeTable(), v.Report.workerTable(), v.activeTable()} {
		if len(t.rows) > 0 {
			b.WriteByte('\n')
			t.write(&b)
		}
	}
	return b.String()
}

type figure struct{ name, value string }

func (v *View) figures() (all []figure) {
	add := func(name, format string, args ...any) { all = append(all, figure{name, fmt.Sprintf(format, args...)}) }
	some := func(name string, n float64) {
		if n > 0 {
			add(name, "%.0f", n)
		}
	}
	add("requests/s", "%.1f", v.Rate)
	add("active", "%.0f", v.InFlight)
	add("queued", "%.0f", v.Queue)
	if limit, ok := v.Threads["limit"]; ok {
		add("threads busy", "%.0f of %.0f", v.Threads["busy"], limit)
		add("threads waiting for the GIL", "%.0f", v.Threads["gil"])
		add("threads idle", "%.0f", v.Threads["idle"])
		some("threads waiting for something else", v.Threads["waiting"])
		some("threads stuck", v.Threads["stuck"])
	}
	if v.QueueWait.N > 0 {
		add("wait for a thread", "%s", v.QueueWait)
	}
	if v.GILWait.N > 0 {
		add("wait for the GIL", "%s", v.GILWait)
	}
	add("HTTP connections", "%.0f", v.Connections["http"])
	for _, kind := range [...][2]string{{"http2", "HTTP/2 connections"}, {"sse", "SSE connections"}, {"websocket", "WebSockets"}, {"tunnel", "tunnels"}, {"upstream", "upstream requests"}, {"upstream_idle", "idle upstream connections"}} {
		some(kind[1], v.Connections[kind[0]])
	}
	some("upstream errors", v.Upstream)
	if t := v.TLS; t != nil {
		add("over TLS", "%.0f", t.Connections)
		add("TLS handshakes/s", "%.1f", t.Rate)
		failed := 0.0
		for _, n := range t.Failures {
			failed += n
		}
		add("TLS handshakes", "%.0f full, %.0f resumed, %.0f failed", t.Handshakes["full"], t.Handshakes["resumed"], failed)
		names := slices.SortedFunc(maps.Keys(t.Certificates), func(x, y string) int {
			return cmp.Or(cmp.Compare(t.Certificates[x], t.Certificates[y]), strings.Compare(x, y))
		})
		if len(names) > 0 && t.Certificates[names[0]] <= 0 {
			add("certificate for "+names[0], "has expired")
		} else if len(names) > 0 {
			add("certificate for "+names[0], "expires in %.0f days", t.Certificates[names[0]]/86400)
		}
	}
	if c := v.Report.Cache; c != nil && c.asked() > 0 {
		add("from the cache", "%.1f %%", c.rate())
	}
	some("restarts of workers", v.Restarts)
	some("log lines lost", v.LogLost)
	return all
}

// The last words columns are text; the others are numbers.
type table struct {
	title string
	most  int // limit of rows on the page
	heads []string
	words int
	rows  [][]string
}

func (v *View) routeTable() *table {
	t := &table{"Routes", 50, []string{"req/s", "5xx/s", "p50", "p95", "p99", "requests", "route"}, 1, nil}
	for _, r := range v.Routes {
		t.rows = append(t.rows, []string{fmt.Sprintf("%.1f", r.Rate), fmt.Sprintf("%.1f", r.ErrRate), r.show(r.P50), r.show(r.P95), r.show(r.P99),
			strconv.FormatInt(r.Requests, 10), r.Host + r.Route})
	}
	return t
}

func (v *View) activeTable() *table {
	t := &table{"Active requests", 25, []string{"age", "worker", "request", "state", "where Python is"}, 3, nil}
	for _, a := range v.Active {
		t.rows = append(t.rows, []string{length(a.Age), strconv.Itoa(a.Worker), withoutQueries(a.Request), a.State, a.At})
	}
	return t
}

func (r *Report) workerTable() *table {
	t := &table{"Workers", 32, []string{"worker", "state", "age", "memory", "requests"}, 0, nil}
	for _, w := range r.Workers {
		memory, requests := "-", "-"
		if w.RSS > 0 {
			memory = fmt.Sprintf("%.1f MB", float64(w.RSS)/1e6)
		}
		if w.Requests >= 0 {
			requests = strconv.FormatInt(w.Requests, 10)
		}
		t.rows = append(t.rows, []string{strconv.Itoa(w.PID), w.State, period(w.Age), memory, requests})
	}
	return t
}

func (t *table) write(b *strings.Builder) {
	row := func(cells []string) {
		line, numbers := "", len(cells)-t.words
		for _, cell := range cells[:numbers] {
			line += fmt.Sprintf("%9s", cell)
		}
		for _, cell := range cells[numbers:] {
			line += "  " + cell
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	row(strings.Split(strings.ToUpper(strings.Join(t.heads, "\t")), "\t"))
	for _, cells := range t.rows {
		row(cells)
	}
}

func (q Quantiles) String() string { return fmt.Sprintf("%s, p95 %s", length(q.P50), length(q.P95)) }

func (q Quantiles) show(seconds float64) string {
	if q.N == 0 {
		return "-"
	}
	return length(seconds)
}

// length formats seconds with three digits: 120µs, 4.2ms, 1.25s, 61s.
func length(seconds float64) string {
	if seconds < 60 {
		return strings.Replace(Span(seconds), " ", "", 1)
	}
	return period(seconds)
}
