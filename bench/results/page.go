package results

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
)

//go:embed page.md.tmpl
var pageTemplate string

type page struct {
	*Results
	plots map[string][]byte
}

// Page returns the page about performance, and its plots by the names of their files in the directory images. The page
// has only steady workloads. Page fails if r is not fit for publication.
func (r *Results) Page() (text []byte, plots map[string][]byte, err error) {
	if err := r.Fit(); err != nil {
		return nil, nil, err
	}
	p := &page{Results: r.steady(), plots: map[string][]byte{}}
	t, err := template.New("page.md").Funcs(template.FuncMap{
		"has":  p.has,
		"plot": p.plot, "table": p.table, "summary": p.summary, "device": p.device, "better": p.better,
		"versions": p.versions, "rounds": p.rounds, "stolen": p.stolen, "unsteady": r.Unsteady,
	}).Parse(pageTemplate)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p.Results); err != nil {
		return nil, nil, err
	}
	return emptyLines().ReplaceAll(out.Bytes(), []byte("\n\n")), p.plots, nil
}

// emptyLines matches the lines that remain where the template shows nothing.
var emptyLines = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\n{3,}`) })

// has reports whether the page shows one of the workloads.
func (p *page) has(workloads ...string) bool {
	return slices.ContainsFunc(workloads, func(name string) bool { return p.workload(name) != nil })
}

var ownNames = []string{"threads", "inline"}

func isOwn(s Server) bool { return slices.Contains(ownNames, s.Name) }

var shownNames = map[string]string{
	"threads": "fapws", "inline": "fapws, inline", "uwsgi": "uWSGI", "granian": "Granian", "caddy": "Caddy",
	"apache": "Apache", "gunicorn": "Gunicorn", "hypercorn": "Hypercorn", "uvicorn": "Uvicorn",
	"nethttp": "Go's net/http", "django": "Django", "fastapi": "FastAPI", "flask": "Flask", "starlette": "Starlette",
}

func shown(name string) string {
	if s, ok := shownNames[name]; ok {
		return s
	}
	return name
}

func (w *Workload) byValue(value func(Sample) float64, smallest bool) []Server {
	servers := slices.Clone(w.Servers)
	slices.SortStableFunc(servers, func(a, b Server) int {
		x, y := a.median(value), b.median(value)
		if smallest {
			x, y = y, x
		}
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return servers
}

type measure struct {
	value    func(Sample) float64
	smallest bool
	text     func(float64) string
	unit     string
}

var measures = map[string]measure{
	"rate":   {rate, false, number, "requests per second; longer is better"},
	"CPU":    {perCPU, false, number, "requests for each second of CPU time; longer is better"},
	"p50":    {p50, true, duration, "median latency; shorter is better"},
	"p99":    {p99, true, duration, "99th percentile of latency; shorter is better"},
	"memory": {memory, true, megabytes, "private memory after the load; shorter is better"},
	"start":  {start, true, duration, "time from the start of the process to the first response; shorter is better"},
	"each":   {each, true, kibibytes, "memory of an idle connection; shorter is better"},
}

func (p *page) plot(name, title, measured string, workloads ...string) (string, error) {
	m, ok := measures[measured]
	if !ok {
		return "", fmt.Errorf("plot %s: no measure %q", name, measured)
	}
	note := fmt.Sprintf("%s; lines: lowest to highest (%s, %s)", m.unit, p.Machine.CPU, p.Date)
	made := plot{title: title, note: note}
	for _, name := range workloads {
		w := p.workload(name)
		if w == nil {
			continue
		}
		g := group{}
		if len(workloads) > 1 {
			g.title = w.Title
		}
		for _, s := range w.byValue(m.value, m.smallest) {
			value, values := s.median(m.value), s.values(m.value)
			g.bars = append(g.bars, barOf{name: shown(s.Name), value: value, low: slices.Min(values),
				high: slices.Max(values), text: m.text(value), own: isOwn(s)})
		}
		made.groups = append(made.groups, g)
	}
	if made.groups == nil {
		return "", nil
	}
	file := "performance-" + name + ".svg"
	p.plots[file] = made.svg()
	return fmt.Sprintf("![%s, %s](images/%s)", title, m.unit, file), nil
}

type column struct {
	title string
	cell  func(w *Workload, s *Server) string
	skip  func(w *Workload) bool
}

func without(value func(Sample) float64) func(*Workload) bool {
	return func(w *Workload) bool {
		return !slices.ContainsFunc(w.Servers, func(s Server) bool { return s.median(value) != 0 })
	}
}

func valueColumn(title string, value func(Sample) float64, text func(float64) string) column {
	return column{title, func(_ *Workload, s *Server) string { return text(s.median(value)) }, without(value)}
}

var columns = []column{
	{"server", func(_ *Workload, s *Server) string { return shown(s.Name) }, func(*Workload) bool { return false }},
	valueColumn("requests/s", rate, number),
	{"lowest to highest", func(_ *Workload, s *Server) string { return spread(s.values(rate)) }, without(rate)},
	{"fapws = 1", relativeRate, without(rate)},
	valueColumn("requests per CPU second", perCPU, numberOrDash),
	valueColumn("p50", p50, duration),
	valueColumn("p99", p99, duration),
	valueColumn("start", start, duration),
	valueColumn("each connection", each, kibibytes),
	valueColumn("memory", memory, megabytes),
	valueColumn("failed", failed, number),
}

func spread(values []float64) string {
	return number(slices.Min(values)) + " to " + number(slices.Max(values))
}

// relativeRate is the rate of s divided by the rate of fapws in its default mode.
func relativeRate(w *Workload, s *Server) string {
	own := w.server(ownNames[0])
	if own == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", s.median(rate)/own.median(rate))
}

func (p *page) table(name string) string {
	w := p.workload(name)
	if w == nil {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s:\n\n", capital(w.Title))
	var titles, rules []string
	var used []column
	for _, c := range columns {
		if !c.skip(w) {
			used, titles, rules = append(used, c), append(titles, c.title), append(rules, "---")
		}
	}
	row(&out, titles)
	row(&out, rules)
	order := measures["rate"]
	switch {
	case !without(start)(w):
		order = measures["start"]
	case !without(each)(w):
		order = measures["each"]
	}
	for _, s := range w.byValue(order.value, order.smallest) {
		var cells []string
		for _, c := range used {
			cells = append(cells, c.cell(w, &s))
		}
		row(&out, cells)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func row(text *strings.Builder, cells []string) {
	fmt.Fprintf(text, "| %s |\n", strings.Join(cells, " | "))
}

// summary is a table with a line for each of the workloads. A line compares fapws with the best other server.
func (p *page) summary(workloads ...string) string {
	var out strings.Builder
	row(&out, []string{"", "fapws, requests/s", "the best other server", "ratio",
		"fapws, requests per CPU second", "the best other server", "ratio"})
	row(&out, []string{"---", "---", "---", "---", "---", "---", "---"})
	for _, name := range workloads {
		w := p.workload(name)
		if w == nil {
			continue
		}
		cells := []string{capital(w.Title)}
		for _, m := range []measure{measures["rate"], measures["CPU"]} {
			best, own := w.bestOther(m), w.server(ownNames[0])
			if best == nil || own == nil {
				cells = append(cells, "–", "–", "–")
				continue
			}
			mine, theirs := own.median(m.value), best.median(m.value)
			cells = append(cells, number(mine), shown(best.Name)+": "+number(theirs),
				fmt.Sprintf("%.2f ×", mine/theirs))
		}
		row(&out, cells)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// device is a table with measurements of fapws in a control group with little memory.
func (p *page) device(workloads ...string) string {
	var out strings.Builder
	row(&out, []string{"", "requests/s", "lowest to highest", "p50", "p99", "memory"})
	row(&out, []string{"---", "---", "---", "---", "---", "---"})
	for _, name := range workloads {
		w := p.workload(name)
		if w == nil {
			continue
		}
		s := &w.Servers[0]
		row(&out, []string{capital(w.Title), number(s.median(rate)), spread(s.values(rate)), duration(s.median(p50)),
			duration(s.median(p99)), megabytes(s.median(memory))})
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func (w *Workload) bestOther(m measure) *Server {
	for _, s := range w.byValue(m.value, m.smallest) {
		if !isOwn(s) && s.median(m.value) > 0 && s.Name != pythonPass {
			return &s
		}
	}
	return nil
}

// pythonPass is the name in the results of the time that Python needs to start and exit.
const pythonPass = "python3 -c pass"

// noise is the largest relative difference between two measurements that is not significant.
const noise = 0.03

// better lists the measurements in which a server is better than fapws.
func (p *page) better() string {
	var lines []string
	for i := range p.Workloads {
		w := &p.Workloads[i]
		var found []string
		for _, name := range []string{"rate", "CPU", "p50", "p99", "start", "each", "memory"} {
			m := measures[name]
			own, other := w.bestOwn(m), w.bestOther(m)
			if own == nil || other == nil {
				continue
			}
			mine, theirs := own.median(m.value), other.median(m.value)
			if m.smallest && theirs < mine*(1-noise) || !m.smallest && theirs > mine*(1+noise) {
				what, _, _ := strings.Cut(m.unit, ";")
				found = append(found, fmt.Sprintf("%s: %s %s, fapws %s", what, shown(other.Name), m.text(theirs),
					m.text(mine)))
			}
		}
		if found != nil {
			lines = append(lines, fmt.Sprintf("- *%s.* %s.", capital(w.Title), capital(strings.Join(found, "; "))))
		}
	}
	if lines == nil {
		return "In none of these measurements."
	}
	return strings.Join(lines, "\n")
}

func (w *Workload) bestOwn(m measure) *Server {
	for _, s := range w.byValue(m.value, m.smallest) {
		if isOwn(s) && s.median(m.value) > 0 {
			return &s
		}
	}
	return nil
}

func (p *page) versions() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(p.Versions)) {
		all = append(all, shown(name)+" "+p.Versions[name])
	}
	return strings.Join(all, ", ")
}

// rounds is a sentence about the number and the length of the measurements.
func (p *page) rounds() string {
	var kinds []string
	names := map[string][]string{}
	for _, w := range p.Workloads {
		kind := fmt.Sprintf("%d measurements of %g s", w.Rounds, w.Seconds)
		if names[kind] == nil {
			kinds = append(kinds, kind)
		}
		names[kind] = append(names[kind], w.Name)
	}
	if len(kinds) == 1 {
		return "Each figure is the median of " + kinds[0] + "."
	}
	var parts []string
	for _, kind := range kinds {
		parts = append(parts, kind+" ("+strings.Join(names[kind], ", ")+")")
	}
	return "Figures are medians of " + strings.Join(parts, ", or ") + "."
}

// stolen is a sentence about the largest share of the CPUs that the hypervisor gave to other machines during a
// measurement; "" if it gave them nothing.
func (p *page) stolen() string {
	most := 0.0
	for _, w := range p.Workloads {
		for _, server := range w.Servers {
			for _, taken := range server.Samples {
				most = max(most, taken.Stolen)
			}
		}
	}
	if most == 0 {
		return ""
	}
	return fmt.Sprintf(" Other machines on the same host took up to %.1f %% of the two processors during a measurement.",
		100*most)
}
