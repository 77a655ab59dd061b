package ctl

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	topEvery = time.Second

	// returnsWithin is how long "fapws ctl top" waits for a server that does not respond, for example during a restart.
	returnsWithin = 5 * time.Second

	// soonLate is the age from which an active request is marked.
	soonLate = 10.
)

func (o *options) top(path string, w io.Writer) error {
	before, err := look(path, 0)
	if err != nil {
		return err
	}
	s := &screen{w: w}
	if !o.once && !o.json {
		defer s.open()()
	}
	var v *View
	order, paused := 0, false
	for at, next := time.Now(), time.After(topEvery); ; {
		select {
		case key := <-s.keys:
			switch key {
			case 'q':
				return nil
			case 's':
				order = (order + 1) % len(orders)
			case 'p', ' ':
				paused = !paused
			}
		case <-next:
			now, err := look(path, returnsWithin)
			if err != nil {
				return fmt.Errorf("the server has stopped: %w", err)
			}
			if !paused {
				v = Compare(before, now, time.Since(at).Seconds())
			}
			before, at, next = now, time.Now(), time.After(topEvery)
		}
		switch {
		case v == nil:
		case o.json:
			err = json.NewEncoder(w).Encode(v)
		default:
			err = s.show(v.lines(s, order), hint(order, paused))
		}
		if err != nil || o.once {
			return err
		}
	}
}

// orders lists the columns by which the routes can be sorted.
var orders = []struct {
	name string
	head int
	of   func(r *RouteView) float64
}{
	{"requests per second", 0, func(r *RouteView) float64 { return r.Rate }},
	{"5xx", 1, func(r *RouteView) float64 { return float64(r.Errors) }},
	{"95th percentile", 3, func(r *RouteView) float64 { return r.P95 }},
	{"requests", 5, func(r *RouteView) float64 { return float64(r.Requests) }},
}

func hint(order int, paused bool) string {
	pause := "p: pause"
	if paused {
		pause = "paused; p: continue"
	}
	return "q: quit  s: sort, now by " + orders[order].name + "  " + pause
}

// look sends the command Top. If the server does not respond, look retries for the duration away.
func look(path string, away time.Duration) (*Answer, error) {
	for end := time.Now().Add(away); ; time.Sleep(100 * time.Millisecond) {
		a, err := converse(path, &request{Command: Top}, answerWithin)
		if err == nil || time.Now().After(end) {
			return &a, err
		}
	}
}

func (v *View) lines(s *screen, order int) []string {
	width := s.width()
	var top []string
	for i, line := range strings.Split(strings.TrimSuffix(visible(v.Report.heading()), "\n"), "\n") {
		if i == 0 { // this line must not grow into a second one while the uptime grows
			top = append(top, s.paint(bold, fit(line, widthOr(width))))
		} else {
			top = append(top, wrap(line, width)...)
		}
	}
	top = append(append(top, fit(v.Report.origin(), widthOr(width))), v.grid(width)...)
	top = append(top, fit(visible(others(v.others())), widthOr(width)))
	all := v.merged()
	if len(all.Routes) == 0 {
		top = append(top, wrap("no requests since counting began", width)...)
	}
	sort.SliceStable(all.Routes, func(i, j int) bool {
		return orders[order].of(&all.Routes[i]) > orders[order].of(&all.Routes[j])
	})
	routes, active := routeTable(all.Routes), all.activeTable().part(s)
	if s.keys != nil {
		routes.heads[orders[order].head] += "*"
	}
	active.urgent = true
	rows, _ := s.size()
	return arrange([]part{{above: top}, v.applicationTable().part(s), routes.part(s),
		all.Report.workerTable(all.CPU).part(s), active}, rows-1) // the last row of the screen is reserved for the hint
}

// merged returns a View with the routes, workers and active requests of v and of its applications, whose routes and
// requests have the name of the application.
func (v *View) merged() *View {
	all := &View{Routes: slices.Clone(v.Routes), Active: slices.Clone(v.Active), CPU: maps.Clone(v.CPU)}
	all.Report.Workers = slices.Clone(v.Report.Workers)
	for _, a := range v.Report.Applications {
		if a.View == nil {
			continue
		}
		for _, r := range a.View.Routes {
			r.Host = a.Name + ": " + r.Host
			all.Routes = append(all.Routes, r)
		}
		for _, one := range a.View.Active {
			one.Request = a.Name + ": " + one.Request
			all.Active = append(all.Active, one)
		}
		for _, w := range a.View.Report.Workers {
			w.Application = a.Name
			all.Report.Workers = append(all.Report.Workers, w)
		}
		maps.Copy(all.CPU, a.View.CPU)
	}
	slices.SortStableFunc(all.Active, func(a, b Active) int { return cmp.Compare(b.Age, a.Age) })
	return all
}

// applicationTable has a row for each application with processes of its own.
func (v *View) applicationTable() *table {
	t := &table{"Applications", 32, []string{"req/s", "5xx", "p95", "active", "CPU", "memory", "application"}, 1, nil}
	for _, a := range v.Report.Applications {
		cells, style := []string{"-", "-", "-", "-", "-", "-"}, red
		if a.View != nil {
			style = ""
			named := map[string]string{}
			for _, f := range a.View.figures() {
				named[f.short] = f.value
			}
			for i, name := range []string{"req/s", "5xx", "p95", "active", "CPU", "memory"} {
				cells[i] = named[name]
			}
		}
		t.add(len(t.heads)-1, style, append(cells, strings.TrimPrefix(a.heading(), "application "))...)
	}
	return t
}

// A part of the screen consists of lines that are always shown, and of rows of a table, of which some can be omitted.
type part struct {
	above  []string
	rows   []string
	name   string // of the rows, such as "routes"
	urgent bool   // rows are omitted only if omitting those of all other parts does not suffice
}

// part returns the lines of t, without any if t has no rows.
func (t *table) part(s *screen) part {
	if len(t.rows) == 0 {
		return part{}
	}
	lines := t.lines(s)
	return part{above: []string{"", lines[0]}, rows: lines[1:], name: strings.ToLower(t.title)}
}

// arrange returns the lines of the parts, in at most height lines if that is possible; a height below 1 means any
// number of lines. Long tables are shortened first, and end with the number of omitted rows.
func arrange(parts []part, height int) (lines []string) {
	const fewest = 2
	limits := map[bool]int{}
	total := func() (n int) {
		for _, p := range parts {
			n += len(p.above) + min(len(p.rows), limits[p.urgent])
		}
		return n
	}
	for _, p := range parts {
		limits[p.urgent] = max(limits[p.urgent], len(p.rows))
	}
	for _, urgent := range [...]bool{false, true} {
		for height > 0 && total() > height && limits[urgent] > fewest {
			limits[urgent]--
		}
	}
	for _, p := range parts {
		lines = append(lines, p.above...)
		if limit := limits[p.urgent]; len(p.rows) > limit {
			lines = append(append(lines, p.rows[:limit-1]...), fmt.Sprintf("and %d more %s", len(p.rows)-limit+1, p.name))
		} else {
			lines = append(lines, p.rows...)
		}
	}
	return lines
}

// A figure has a short name for narrow screens.
type figure struct{ name, short, value string }

const gridColumns = 4

// figures returns the figures of the grid, which are always the same, row by row.
func (v *View) figures() []figure {
	cpu, memory, threads, rate := 0., int64(0), "-", fmt.Sprintf("%.1f", v.Rate)
	if v.Rate >= 1e5 {
		rate = fmt.Sprintf("%.0f", v.Rate)
	}
	for _, w := range v.Report.Workers {
		cpu += v.CPU[w.PID]
		memory += w.RSS
	}
	if limit, ok := v.Threads["limit"]; ok {
		threads = fmt.Sprintf("%.0f/%.0f", v.Threads["busy"], limit)
	}
	clients := 0.
	for _, kind := range [...]string{"http", "http2", "sse", "websocket", "tunnel"} {
		clients += v.Connections[kind]
	}
	return []figure{
		{"requests/s", "req/s", rate},
		{"active", "active", fmt.Sprintf("%.0f", v.InFlight)},
		{"p95", "p95", v.Durations.show(v.Durations.P95)},
		{"CPU", "CPU", percent(cpu)},
		{"requests", "requests", count(v.Requests)},
		{"queued", "queued", fmt.Sprintf("%.0f", v.Queue)},
		{"thread p95", "thread", v.QueueWait.show(v.QueueWait.P95)},
		{"memory", "memory", fmt.Sprintf("%.0f MB", float64(memory)/1e6)},
		{"5xx", "5xx", count(v.Errors)},
		{"threads busy", "threads", threads},
		{"GIL p95", "GIL", v.GILWait.show(v.GILWait.P95)},
		{"clients", "clients", fmt.Sprintf("%.0f", clients)},
	}
}

// count formats a number with at most six digits: 123456, 1234k, 1234M.
func count(n int64) string {
	unit := ""
	for _, next := range [...]string{"k", "M", "G"} {
		if n < 1e6 {
			break
		}
		n, unit = n/1000, next
	}
	return strconv.FormatInt(n, 10) + unit
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

const (
	narrowest = 13 // width of a figure with a short name
	widest    = 22
)

// grid returns three lines with four figures each, at fixed places.
func (v *View) grid(width int) (lines []string) {
	cell := widest
	if width > 0 {
		cell = max(narrowest, min(cell, (width+2)/gridColumns-2))
	}
	for row := range slices.Chunk(v.figures(), gridColumns) {
		line := ""
		for i, f := range row {
			name := f.name
			if utf8.RuneCountInString(name+" "+f.value) > cell || cell < 18 {
				name = f.short
			}
			if i > 0 {
				line += "  "
			}
			space := max(1, cell-utf8.RuneCountInString(name+f.value))
			line += fit(name+strings.Repeat(" ", space)+f.value, cell)
		}
		lines = append(lines, fit(line, widthOr(width)))
	}
	return lines
}

// widthOr returns the width, or a large one if lines can have any length.
func widthOr(width int) int {
	if width == 0 {
		return 1 << 20
	}
	return width
}

func others(figures []figure) string {
	texts := make([]string, len(figures))
	for i, f := range figures {
		texts[i] = f.name + " " + f.value
	}
	return strings.Join(texts, ", ")
}

// others returns the figures that only some servers have.
func (v *View) others() (figures []figure) {
	add := func(name, format string, args ...any) {
		figures = append(figures, figure{name, name, fmt.Sprintf(format, args...)})
	}
	some := func(name string, n float64) {
		if n > 0 {
			add(name, "%.0f", n)
		}
	}
	some("threads stuck", v.Threads["stuck"])
	some("threads waiting for the GIL", v.Threads["gil"])
	some("threads waiting for something else", v.Threads["waiting"])
	for _, kind := range [...][2]string{{"http2", "HTTP/2 connections"}, {"sse", "SSE connections"},
		{"websocket", "WebSockets"}, {"tunnel", "tunnels"}, {"upstream", "upstream requests"},
		{"upstream_idle", "idle upstream connections"}} {
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
		const soon = 14 * 86400 // seconds; a warning must not be cut off at the end of the line
		if len(names) > 0 {
			left, text := t.Certificates[names[0]], "has expired"
			if left > 0 {
				text = fmt.Sprintf("expires in %.0f days", left/86400)
			}
			if add("certificate for "+names[0], "%s", text); left < soon {
				last := len(figures) - 1
				figures = slices.Insert(figures[:last], 0, figures[last])
			}
		}
	}
	if c := v.Report.Cache; c != nil && c.asked() > 0 {
		add("from the cache", "%.1f %%", c.rate())
	}
	some("restarts of workers", v.Restarts)
	some("log lines lost", v.LogLost)
	return figures
}

// A table consists of columns with numbers, followed by columns with text. The field words is the number of text
// columns.
type table struct {
	title string
	most  int // maximum number of rows that the status page shows
	heads []string
	words int
	rows  []row
}

type row struct {
	cells []string
	hot   int    // index of the column to show in color
	style string // red, amber, or "" without a color
}

// add adds a row. style is the color of the column hot, or "".
func (t *table) add(hot int, style string, cells ...string) {
	t.rows = append(t.rows, row{cells, hot, style})
}

func routeTable(routes []RouteView) *table {
	t := &table{"Routes", 50, []string{"req/s", "5xx", "p50", "p95", "p99", "requests", "route"}, 1, nil}
	for _, r := range routes {
		style := ""
		if r.ErrRate > 0 {
			style = red
		} else if r.Errors > 0 {
			style = amber
		}
		t.add(1, style, fmt.Sprintf("%.1f", r.Rate), count(r.Errors), r.show(r.P50), r.show(r.P95), r.show(r.P99),
			count(r.Requests), r.label())
	}
	return t
}

func (v *View) activeTable() *table {
	t := &table{"Active requests", 25, []string{"age", "worker", "request", "state", "where Python is"}, 3, nil}
	for _, a := range v.Active {
		style := ""
		if a.Late {
			style = red
		} else if a.Age > soonLate {
			style = amber
		}
		t.add(0, style, length(a.Age), strconv.Itoa(a.Worker), withoutQueries(a.Request), a.State, a.At)
	}
	return t
}

// workerTable has a column for the shares of processors in cpu, and the requests since counting began, unless cpu is
// nil.
func (r *Report) workerTable(cpu map[int]float64) *table {
	t := &table{"Workers", 32, []string{"worker", "state", "age", "memory", "requests"}, 0, nil}
	if cpu != nil {
		t.heads = slices.Insert(t.heads, 3, "CPU")
	}
	for _, w := range r.Workers {
		memory, requests := "-", "-"
		if w.RSS > 0 {
			memory = fmt.Sprintf("%.1f MB", float64(w.RSS)/1e6)
		}
		cells := []string{strconv.Itoa(w.PID), w.State, period(w.Age)}
		if w.Requests >= 0 {
			requests = strconv.FormatInt(w.Requests, 10)
		}
		if cpu != nil {
			cells = append(cells, percent(cpu[w.PID]))
			if w.Requests >= 0 {
				requests = count(w.Counted)
			}
		}
		t.add(0, "", append(cells, memory, requests)...)
	}
	if slices.ContainsFunc(r.Workers, func(w Worker) bool { return w.Application != "" }) {
		t.heads, t.words = append(t.heads, "application"), 1
		for i := range t.rows {
			t.rows[i].cells = append(t.rows[i].cells, cmp.Or(r.Workers[i].Application, "-"))
		}
	}
	return t
}

// Minimum widths of columns, in characters, so that columns of numbers do not move while the numbers change.
const (
	leastNumber = 6
	leastText   = 8
)

// lines returns the rows of the table, with columns as wide as their longest cells. If a row is wider than the screen
// s, the widest text columns are shortened.
func (t *table) lines(s *screen) (lines []string) {
	numbers, total := len(t.heads)-t.words, 0
	widths := make([]int, len(t.heads))
	heads := row{cells: strings.Split(strings.ToUpper(strings.Join(t.heads, "\t")), "\t")}
	for _, r := range append([]row{heads}, t.rows...) {
		for i, cell := range r.cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, n := range widths {
		if i < numbers {
			widths[i] = max(n, leastNumber)
		}
		total += widths[i] + 2
	}
	texts := widths[numbers:]
	for total -= 2; s.width() > 0 && total > s.width() && len(texts) > 0; total-- {
		longest := slices.Index(texts, slices.Max(texts))
		if texts[longest] <= leastText {
			break
		}
		texts[longest]--
	}
	add := func(r row, style string) {
		var b strings.Builder
		left := s.width()
		for i, cell := range r.cells {
			cell = fit(visible(cell), widths[i])
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < numbers {
				cell = space + cell
			} else if i < len(r.cells)-1 {
				cell += space
			}
			if i > 0 {
				cell = "  " + cell
			}
			if s.width() > 0 {
				cell = fit(cell, left)
				left -= utf8.RuneCountInString(cell)
			}
			if i == r.hot {
				cell = s.paint(r.style, cell)
			}
			b.WriteString(cell)
		}
		lines = append(lines, s.paint(style, strings.TrimRight(b.String(), " ")))
	}
	add(heads, bold)
	for _, r := range t.rows {
		add(r, "")
	}
	return lines
}

func (q Quantiles) show(seconds float64) string {
	switch {
	case q.N == 0:
		return "-"
	case seconds <= q.least:
		return "≤" + length(q.least)
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
