package results

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageTemplate string

type page struct {
	*Results
	plots map[string][]byte
}

// Page returns the page about performance, and its plots by the names of their files in the directory images.
func (r *Results) Page() (text []byte, plots map[string][]byte, err error) {
	p := &page{Results: r, plots: map[string][]byte{}}
	t, err := template.New("page.md").Funcs(template.FuncMap{
		"plot": p.plot, "table": p.table, "summary": p.summary, "better": p.better, "versions": p.versions,
		"load": p.load,
	}).Parse(pageTemplate)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, r); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), p.plots, nil
}

var ownNames = []string{"threads", "inline"}

func isOwn(s Server) bool { return slices.Contains(ownNames, s.Name) }

var shownNames = map[string]string{
	"threads": "fapws, threads", "inline": "fapws, inline", "uwsgi": "uWSGI", "granian": "Granian", "caddy": "Caddy",
	"apache":  "Apache",
	"cheroot": "Cheroot", "waitress": "Waitress", "gunicorn": "Gunicorn", "daphne": "Daphne", "hypercorn": "Hypercorn",
	"uvicorn": "Uvicorn",
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
	made := plot{title: title, note: fmt.Sprintf("%s (%s, %s)", m.unit, p.Machine.CPU, p.Date)}
	for _, name := range workloads {
		w, err := p.workload(name)
		if err != nil {
			return "", err
		}
		g := group{}
		if len(workloads) > 1 {
			g.title = w.Title
		}
		for _, s := range w.byValue(m.value, m.smallest) {
			value := s.median(m.value)
			g.bars = append(g.bars, barOf{shown(s.Name), value, m.text(value), isOwn(s)})
		}
		made.groups = append(made.groups, g)
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
	valueColumn("requests per CPU second", perCPU, numberOrDash),
	{"CPU time, threads = 1", relativeCPU, without(cpu)},
	valueColumn("p50", p50, duration),
	valueColumn("p99", p99, duration),
	valueColumn("start", start, duration),
	valueColumn("each connection", each, kibibytes),
	valueColumn("memory", memory, megabytes),
	valueColumn("failed", failed, number),
}

// relativeCPU is the CPU time of a request of s, divided by that of fapws in its default mode.
func relativeCPU(w *Workload, s *Server) string {
	own := w.server(ownNames[0])
	if own == nil {
		return "–"
	}
	ratio := s.ratio(own, cpu)
	if ratio == 0 {
		return "–" // no tick of the kernel's clock
	}
	return fmt.Sprintf("%.2f", ratio)
}

func (p *page) table(name string) (string, error) {
	w, err := p.workload(name)
	if err != nil {
		return "", err
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
	order := measures["CPU"]
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
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func row(out *strings.Builder, cells []string) {
	fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
}

// summary is a table with a line for each workload under load: both modes of fapws, and the best of the others.
func (p *page) summary() string {
	var out strings.Builder
	row(&out, []string{"requests per CPU second", "fapws, threads", "fapws, inline", "the best other server",
		"fapws, threads, compared with it"})
	row(&out, []string{"---", "---", "---", "---", "---"})
	for i := range p.Workloads {
		w := &p.Workloads[i]
		best, own := w.bestOther(measures["CPU"]), w.server(ownNames[0])
		if without(cpu)(w) || best == nil || own == nil {
			continue
		}
		cells := []string{capital(w.Title)}
		for _, name := range ownNames {
			cell := "–"
			if s := w.server(name); s != nil {
				cell = number(s.median(perCPU))
			}
			cells = append(cells, cell)
		}
		row(&out, append(cells, shown(best.Name)+": "+number(best.median(perCPU)),
			fmt.Sprintf("%.2f ×", own.ratio(best, perCPU))))
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

// pythonPass is no server, but the start of a Python that does nothing.
const pythonPass = "python3 -c pass"

// noise is the difference that decides nothing.
const noise = 0.03

// better lists the measurements in which another server is better than both modes of fapws.
func (p *page) better() string {
	var lines []string
	for i := range p.Workloads {
		w := &p.Workloads[i]
		var found []string
		for _, name := range []string{"CPU", "p50", "p99", "start", "each", "memory"} {
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

// quiet is the maximum load of a machine without other work.
const quiet = 0.5

func (p *page) load() string {
	text := "The machine had no other work."
	if p.Machine.Load > quiet {
		text = fmt.Sprintf("The machine had other work: %.1f threads were running on average in the minute before. "+
			"Compare servers; a quiet machine shows higher figures for all of them.", p.Machine.Load)
	}
	if most := p.mostStolen(); most > 0 {
		text += fmt.Sprintf(" Other machines on the same host took up to %.1f %% of the two processors during a "+
			"measurement.", 100*most)
	}
	return text
}

// mostStolen is the greatest share of the CPUs that other machines had during a measurement.
func (p *page) mostStolen() (most float64) {
	for _, w := range p.Workloads {
		for _, server := range w.Servers {
			for _, taken := range server.Samples {
				most = max(most, taken.Stolen)
			}
		}
	}
	return most
}
