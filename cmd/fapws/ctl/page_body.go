package ctl

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"

	"fapws/runtime/http1"
)

//go:embed page.css
var style string

// script requests new data after each event on the channel, and after two seconds without an event. With JavaScript,
// the result of a button appears on the status page itself. Without JavaScript, the browser reloads the page every few
// seconds, and each button leads to a separate page.
//
//go:embed page.js
var script string

var scriptHash = func() string {
	sum := sha256.Sum256([]byte(script))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

func document(v *View, lines []Line, rates []float64) string {
	var b strings.Builder
	begin(&b, v.Report.App, `<noscript><meta http-equiv="refresh" content="5"></noscript>`)
	fmt.Fprintf(&b, `<header><h1>%s</h1><span class="dim" id="state"></span><nav>`+
		`<form method="post" action="stacks"><button>Stacks</button></form>`, clip(v.Report.App, 200))
	loaded := "settings"
	if v.Report.Python != "" {
		loaded = "application"
		fmt.Fprintf(&b, `<form method="post" action="profile"><button>Profile for %d s</button></form>`,
			int(ProfileTime.Seconds()))
	}
	fmt.Fprintf(&b, `<form method="post" action="reload"><button>Reload %s</button></form></nav>`+
		`<div id="out" hidden></div></header><main>`, loaded)
	b.WriteString(body(v, lines, rates))
	b.WriteString(
		`</main><footer class="dim"><a href="metrics">metrics</a> · <a href="status.json">JSON</a></footer><script>` +
			script + `</script></body></html>` + "\n")
	return b.String()
}

func begin(b *strings.Builder, title, meta string) {
	b.WriteString(
		`<!doctype html><html lang="en"><head><meta charset="utf-8">` +
			`<meta name="viewport" content="width=device-width,initial-scale=1">` + meta +
			`<title>fapws: ` + clip(title, 200) + `</title><style>` + http1.Style + style + `</style></head><body>`)
}

func profilePage(graph string) string {
	var b strings.Builder
	begin(&b, "profile", "")
	b.WriteString(`<header><h1>Profile</h1></header><main>` + graph +
		`</main><footer><a href="./">back</a></footer></body></html>` + "\n")
	return b.String()
}

func body(v *View, lines []Line, rates []float64) string {
	var b strings.Builder
	r := &v.Report
	fmt.Fprintf(&b, `<p class="dim">fapws %s, %s, pid %d, up %s, %s</p>`, text(r.Version), text(python(r)), r.PID,
		period(r.Uptime), clip(strings.Join(r.Addresses, " "), 300))
	if r.Failure != "" {
		fmt.Fprintf(&b, `<p class="bad">The last reload failed: %s</p>`, clip(withoutQueries(r.Failure), 500))
	}
	b.WriteString(curve(rates))
	v.html(&b)
	for _, a := range r.Applications {
		fmt.Fprintf(&b, "<h2>%s</h2>", clip(upperFirst(a.heading()), 200))
		if a.View != nil {
			a.View.html(&b)
		}
	}
	b.WriteString(`<h2>Log</h2><pre class="log">`)
	if len(lines) == 0 {
		b.WriteString("no lines yet\n")
	}
	for _, line := range lines {
		b.WriteString(clip(withoutQueries(line.Text), 240) + "\n")
	}
	b.WriteString("</pre>")
	return b.String()
}

// html writes the figures and the tables of v.
func (v *View) html(b *strings.Builder) {
	b.WriteString("<dl>")
	for _, f := range v.figures() {
		fmt.Fprintf(b, "<div%s><dt>%s</dt><dd>%s</dd></div>", title(f.name), clip(f.name, 100), text(f.value))
	}
	fmt.Fprintf(b, `</dl><p class="dim">%s.`, clip(upperFirst(v.Report.origin()), 100))
	for i, f := range v.others() {
		separator := ","
		if i == 0 {
			separator = ""
		}
		fmt.Fprintf(b, "%s <span%s>%s %s</span>", separator, title(f.name), clip(f.name, 100), clip(f.value, 100))
	}
	b.WriteString("</p>")
	for _, t := range []*table{routeTable(v.Routes), v.Report.workerTable(v.CPU), v.activeTable()} {
		t.html(b)
	}
}

// meanings explains the figures whose names do not.
var meanings = map[string]string{
	"thread p95":      "95 % of the requests waited at most this long for a thread",
	"GIL p95":         "95 % of the requests waited at most this long for Python's lock (GIL)",
	"threads busy":    "threads in handlers; those that are stuck or wait for long are counted below",
	"threads stuck":   "threads whose handler has not ended after its timeout",
	"SSE connections": "clients of server-sent events, with the open status pages",
}

func title(name string) string {
	if meaning := meanings[name]; meaning != "" {
		return ` title="` + text(meaning) + `"`
	}
	return ""
}

func (t *table) html(b *strings.Builder) {
	add := func(tag string, r row) {
		b.WriteString("<tr>")
		numbers := len(r.cells) - t.words
		for _, cell := range r.cells[numbers:] {
			b.WriteString("<" + tag + ` class="l">` + clip(cell, 80))
		}
		for i, cell := range r.cells[:numbers] {
			class := ""
			if i == r.hot {
				class = map[string]string{red: ` class="bad"`, amber: ` class="warn"`}[r.style]
			}
			switch t.heads[i] {
			case "state":
				class = ` class="s"`
			case "p50": // a phone has no room for it
				class = ` class="m"`
			}
			b.WriteString("<" + tag + class + ">" + clip(cell, 80))
		}
	}
	if len(t.rows) == 0 {
		fmt.Fprintf(b, `<h2>%s</h2><p class="dim">none</p>`, t.title)
		return
	}
	class := ""
	if t.words == 0 {
		class = ` class="n"` // without text, the columns stay together
	}
	fmt.Fprintf(b, `<h2>%s</h2><div class="wide"><table%s>`, t.title, class)
	add("th", row{cells: t.heads})
	for _, r := range t.rows[:min(len(t.rows), t.most)] {
		add("td", r)
	}
	b.WriteString("</table></div>")
	if n := len(t.rows) - t.most; n > 0 {
		fmt.Fprintf(b, "<p>and %d more</p>", n)
	}
}

func curve(rates []float64) string {
	highest := slices.Max(append([]float64{0}, rates...))
	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption><span>requests/s in the last minute</span><span>maximum %.1f</span></figcaption>`,
		highest)
	fmt.Fprintf(&b,
		`<svg viewBox="0 0 %d 40" preserveAspectRatio="none" role="img" aria-label="requests per second">`+
			`<polyline vector-effect="non-scaling-stroke" points="`, history-1)
	for i, r := range rates {
		fmt.Fprintf(&b, "%d,%.1f ", history-len(rates)+i, 38-36*r/max(1, highest))
	}
	b.WriteString(`"/></svg></figure>`)
	return b.String()
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func python(r *Report) string {
	if r.Python == "" {
		return "without Python"
	}
	return "Python " + r.Python + ", " + r.Mode
}

func text(s string) string { return html.EscapeString(strings.ToValidUTF8(s, "\uFFFD")) }

func clip(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		one := text(string(r))
		if b.Len()+len(one) > n {
			return b.String() + "…"
		}
		b.WriteString(one)
	}
	return b.String()
}

// Span formats a number of seconds with three digits.
func Span(seconds float64) string {
	switch {
	case seconds < 0.001:
		return fmt.Sprintf("%.3g µs", seconds*1e6)
	case seconds < 1:
		return fmt.Sprintf("%.3g ms", seconds*1e3)
	}
	return fmt.Sprintf("%.3g s", seconds)
}

type StatusStack struct {
	Frames []string `json:"frames"` // outermost first
	N      int      `json:"n"`
}

const (
	mostNodes = 120
	mostDepth = 40
	leastPart = 0.01 // a function is shown only if at least this share of all samples contains it
	mostLeafs = 10
)

// A node is a function in the flame graph.
type node struct {
	name     string
	n        int
	children []*node
}

// The width of a function is its share of the samples, and each function is drawn below its caller.
func flame(stacks []StatusStack) string {
	root, leafs := &node{name: "all"}, map[string]int{}
	nodes := []*node{}
	for _, s := range stacks {
		root.n += s.N
		at := root
		for _, name := range s.Frames[:min(len(s.Frames), mostDepth)] {
			i := slices.IndexFunc(at.children, func(c *node) bool { return c.name == name })
			if i < 0 {
				i = len(at.children)
				at.children = append(at.children, &node{name: name})
				nodes = append(nodes, at.children[i])
			}
			at = at.children[i]
			at.n += s.N
		}
		if len(s.Frames) > 0 {
			leafs[s.Frames[len(s.Frames)-1]] += s.N
		}
	}
	if root.n == 0 {
		return "<p>No Python code has run.</p>"
	}
	// sort each caller before the functions that it calls
	slices.SortStableFunc(nodes, func(x, y *node) int { return cmp.Compare(y.n, x.n) })
	least := max(1, int(leastPart*float64(root.n)))
	if len(nodes) > mostNodes {
		least = max(least, nodes[mostNodes].n+1)
	}
	var b strings.Builder
	b.WriteString(`<div class="wide"><div class="flame">`)
	root.write(&b, root.n, least)
	b.WriteString(`</div></div><table><tr><th>share<th class="l">function that ran or waited</tr>`)
	names := slices.SortedFunc(maps.Keys(leafs), func(x, y string) int {
		return cmp.Or(cmp.Compare(leafs[y], leafs[x]), strings.Compare(x, y))
	})
	for _, name := range names[:min(len(names), mostLeafs)] {
		fmt.Fprintf(&b, `<tr><td>%.1f %%<td class="l">%s</tr>`, 100*float64(leafs[name])/float64(root.n),
			clip(name, 100))
	}
	b.WriteString("</table>")
	return b.String()
}

// write writes the node x and those of its children that have enough samples (least).
func (x *node) write(b *strings.Builder, total, least int) {
	name, _, _ := strings.Cut(x.name, " (")
	fmt.Fprintf(b, `<b title="%s, %.1f %%">%s</b>`, clip(x.name, 100), 100*float64(x.n)/float64(total), clip(name, 30))
	shown := slices.DeleteFunc(x.children, func(c *node) bool { return c.n < least })
	if len(shown) == 0 {
		return
	}
	b.WriteString("<div>")
	for _, c := range shown {
		fmt.Fprintf(b, `<div style="width:%.1f%%">`, 100*float64(c.n)/float64(x.n))
		c.write(b, total, least)
		b.WriteString("</div>")
	}
	b.WriteString("</div>")
}
