package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// topEvery is the time between two pictures.
	topEvery = time.Second

	// returnsWithin is how long a server may be away: it replaces its program, or is started again.
	returnsWithin = 5 * time.Second
)

// top shows what the server on the socket at path does, again and again.
func (o *options) top(path string, w io.Writer) error {
	before, err := look(path)
	if err != nil {
		return err
	}
	at := time.Now()
	for {
		time.Sleep(topEvery)
		now, err := lookAgain(path)
		if err != nil {
			return err
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

// look returns the answer to Top of the server on a socket.
func look(path string) (*Answer, error) {
	c, a, err := converse(path, &request{Command: Top}, answerWithin)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if a.Status == nil {
		return nil, fmt.Errorf("the server on %s did not respond", path)
	}
	return &a, nil
}

// lookAgain is look for a server that was there before.
func lookAgain(path string) (now *Answer, err error) {
	for end := time.Now().Add(returnsWithin); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if now, err = look(path); err == nil {
			return now, nil
		}
	}
	return nil, fmt.Errorf("the server has stopped: %w", err)
}

// show writes text. On a terminal it replaces the text that is there; only the last one is written whole.
func show(w io.Writer, text string, last bool) error {
	var size *unix.Winsize
	if f, ok := w.(*os.File); ok && !last {
		size, _ = unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	}
	if size == nil { // no terminal
		_, err := io.WriteString(w, text)
		return err
	}
	rows, columns := 24, 80
	if size.Row > 0 && size.Col > 0 {
		rows, columns = int(size.Row), int(size.Col)
	}
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

// String shows the view to people.
func (v *View) String() string {
	var b strings.Builder
	r := &v.Report
	fmt.Fprintf(&b, "fapws %s  %s  pid %d, up %s\n", r.Version, r.App, r.PID, period(r.Uptime))
	if r.Failure != "" {
		fmt.Fprintf(&b, "the last reload failed: %s\n", r.Failure)
	}
	fmt.Fprintf(&b, "%.1f requests/s, %.0f active, %.0f queued", v.Rate, v.InFlight, v.Queue)
	if limit, ok := v.Threads["limit"]; ok {
		fmt.Fprintf(&b, "; threads: %.0f busy, %.0f waiting for the GIL, %.0f idle, at most %.0f", v.Threads["busy"], v.Threads["gil"], v.Threads["idle"], limit)
		if stuck := v.Threads["stuck"]; stuck > 0 {
			fmt.Fprintf(&b, ", %.0f stuck", stuck)
		}
	}
	b.WriteByte('\n')
	fmt.Fprintf(&b, "wait for a thread: %s; for the GIL: %s\n", v.QueueWait, v.GILWait)
	fmt.Fprintf(&b, "connections: %.0f HTTP, %.0f HTTP/2, %.0f SSE, %.0f WebSocket, %.0f tunnels, %.0f upstream (%.0f idle, %.0f errors)\n",
		v.Connections["http"], v.Connections["http2"], v.Connections["sse"], v.Connections["websocket"], v.Connections["tunnel"], v.Connections["upstream"], v.Connections["upstream_idle"], v.Upstream)
	if v.TLS != nil {
		fmt.Fprintln(&b, v.TLS)
	}
	if r.Cache != nil && r.Cache.Limit > 0 {
		fmt.Fprintln(&b, r.Cache)
	}
	if v.LogLost > 0 {
		fmt.Fprintf(&b, "%.0f log lines lost\n", v.LogLost)
	}
	if v.Restarts > 0 {
		fmt.Fprintf(&b, "%.0f restarts of workers\n", v.Restarts)
	}
	if len(v.Routes) == 0 {
		b.WriteString("no requests since counting began\n")
	}
	for _, t := range []*table{v.routeTable(), r.workerTable(), v.activeTable()} {
		if len(t.rows) > 0 {
			b.WriteByte('\n')
			t.write(&b)
		}
	}
	return b.String()
}

// table is what "fapws ctl top" and the status page show of several things. The last of its columns, as many as words, are text, the others
// numbers.
type table struct {
	title string
	most  int // rows of it on the page, so that that remains small
	heads []string
	words int
	rows  [][]string
}

// routeTable has the busiest routes first.
func (v *View) routeTable() *table {
	t := &table{"Routes", 50, []string{"req/s", "5xx/s", "p50", "p95", "p99", "requests", "route"}, 1, nil}
	for _, r := range v.Routes {
		t.rows = append(t.rows, []string{fmt.Sprintf("%.1f", r.Rate), fmt.Sprintf("%.1f", r.ErrRate), r.show(r.P50), r.show(r.P95), r.show(r.P99),
			strconv.FormatInt(r.Requests, 10), r.Host + r.Route})
	}
	return t
}

// activeTable has the oldest requests first.
func (v *View) activeTable() *table {
	t := &table{"Active requests", 25, []string{"age", "worker", "request", "state", "where Python is"}, 3, nil}
	for _, a := range v.Active {
		t.rows = append(t.rows, []string{length(a.Age), strconv.Itoa(a.Worker), WithoutQueries(a.Request), a.State, a.At})
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

// write writes t as text.
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

// String is the 50th and the 95th percentile, if there are values.
func (q Quantiles) String() string {
	if q.N == 0 {
		return "none"
	}
	return fmt.Sprintf("%s, p95 %s", length(q.P50), length(q.P95))
}

func (q Quantiles) show(seconds float64) string {
	if q.N == 0 {
		return "-"
	}
	return length(seconds)
}

// length is a time in seconds with three digits: 120µs, 4.2ms, 1.25s, 61s.
func length(seconds float64) string {
	if seconds < 60 {
		return strings.Replace(span(seconds), " ", "", 1)
	}
	return period(seconds)
}
