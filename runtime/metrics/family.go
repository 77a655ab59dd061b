package metrics

import (
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
)

type Kind string

const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram" // number of values in each bucket
)

// Over is how Merge combines the values of a gauge: their sum (""), maximum or minimum.
type Over string

const (
	Max Over = "max"
	Min Over = "min"
)

// A Family is a metric with all its series.
type Family struct {
	// Name has no suffix "_total", but ends with Unit if Unit is not empty.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	Unit string `json:"unit,omitempty"` // "seconds", "bytes" or ""
	Help string `json:"help"`
	Over Over   `json:"over,omitempty"`
	// Bounds are the upper bounds, in Unit and ascending, of a histogram's buckets except the last.
	Bounds []float64 `json:"bounds,omitempty"`
	Series []Series  `json:"series"`
}

type Series struct {
	Labels string  `json:"labels,omitempty"` // `route="/",code="2xx"`, as returned by Labels
	Value  float64 `json:"value,omitempty"`  // unused in a histogram

	// Counts contains the number of values in each bucket of a histogram, and has one element more than Bounds.
	Counts []int64 `json:"counts,omitempty"`
	Total  float64 `json:"total,omitempty"` // sum of all values in a histogram
}

func (s *Series) Count() (n int64) {
	for _, k := range s.Counts {
		n += k
	}
	return n
}

// Labels formats labels, which are passed as alternating names and values.
func Labels(pairs ...string) string {
	var all []string
	for pair := range slices.Chunk(pairs, 2) {
		value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(pair[1], "\uFFFD"))
		all = append(all, pair[0]+`="`+value+`"`)
	}
	return strings.Join(all, ",")
}

func One(name string, kind Kind, unit, help string, value float64) Family {
	return Family{Name: name, Kind: kind, Unit: unit, Help: help, Series: []Series{{Value: value}}}
}

// Merge adds up the families of several processes. Merge omits a family whose kind or bounds differ from an earlier
// family with the same name, for example because the processes run different versions of the application.
func Merge(processes ...[]Family) (groups []Family) {
	at := map[string]int{}
	for _, families := range processes {
		for i := range families {
			f := &families[i]
			k, known := at[f.Name]
			if !known {
				k, at[f.Name] = len(groups), len(groups)
				groups = append(groups, *f)
				groups[k].Series = nil
			}
			if sum := &groups[k]; sum.Kind == f.Kind && slices.Equal(sum.Bounds, f.Bounds) {
				sum.add(f)
			}
		}
	}
	return groups
}

// Lasting returns the families whose values remain valid after their process has ended: all families except gauges.
func Lasting(families []Family) []Family {
	return slices.DeleteFunc(slices.Clone(families), func(f Family) bool { return f.Kind == Gauge })
}

// add adds the series of g to f, and requires that both have the same kind and bounds.
func (f *Family) add(g *Family) {
	at := make(map[string]int, len(f.Series))
	for i := range f.Series {
		at[f.Series[i].Labels] = i
	}
	for i := range g.Series {
		s := &g.Series[i]
		k, known := at[s.Labels]
		if !known {
			at[s.Labels] = len(f.Series)
			added := *s
			added.Counts = slices.Clone(s.Counts)
			f.Series = append(f.Series, added)
			continue
		}
		have := &f.Series[k]
		switch {
		case f.Kind == Gauge && f.Over == Max:
			have.Value = max(have.Value, s.Value)
		case f.Kind == Gauge && f.Over == Min:
			have.Value = min(have.Value, s.Value)
		default:
			have.Value += s.Value
		}
		have.Total += s.Total
		for b := range min(len(have.Counts), len(s.Counts)) {
			have.Counts[b] += s.Counts[b]
		}
	}
}

func Find(families []Family, name string) *Family {
	if i := slices.IndexFunc(families, func(f Family) bool { return f.Name == name }); i >= 0 {
		return &families[i]
	}
	return nil
}

const (
	namePattern  = `[a-zA-Z_:][a-zA-Z_:0-9]*`
	labelPattern = `(` + namePattern + `)="((?:[^"\\\n]|\\[^\n])*)"`
)

var (
	wholeName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + namePattern + `$`) })
	allLabels = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:` + labelPattern + `(?:,` + labelPattern + `)*)?$`)
	})
	oneLabel = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(labelPattern) })
)

func (s *Series) Label(name string) string {
	for _, label := range oneLabel().FindAllStringSubmatch(s.Labels, -1) {
		if label[1] == name {
			return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(label[2])
		}
	}
	return ""
}

// Quantile returns the quantile q, from 0 to 1, of a histogram's values: that of nearest rank, as if the values of a bucket
// were spread over it evenly, so a single value has the same quantiles. The result is 0 without values, and at most the
// last bound.
func Quantile(bounds []float64, counts []int64, q float64) float64 {
	all := (&Series{Counts: counts}).Count()
	if all == 0 || len(bounds) == 0 || len(counts) != len(bounds)+1 {
		return 0
	}
	rank, below := max(1, math.Ceil(q*float64(all))), 0.0
	for i, n := range counts[:len(bounds)] {
		if below+float64(n) >= rank && n > 0 {
			low := 0.0
			if i > 0 {
				low = bounds[i-1]
			}
			return low + (bounds[i]-low)*(rank-below-0.5)/float64(n)
		}
		below += float64(n)
	}
	return bounds[len(bounds)-1]
}

const (
	mostFamilies = 1000
	mostSeries   = 20_000 // total for all families
)

// Sound returns the families with well-formed names, labels and buckets, up to 1,000 families with 20,000 series in
// total. Merge and the text formats require such families, but another process may send arbitrary data. Sound may
// change the slices in families.
func Sound(families []Family) (sound []Family) {
	left := mostSeries
	for _, f := range families {
		if len(sound) == mostFamilies || !f.sound() {
			continue
		}
		f.Series = f.Series[:min(left, len(f.Series))]
		left -= len(f.Series)
		sound = append(sound, f)
	}
	return sound
}

func (f *Family) sound() bool {
	buckets := 0
	if f.Kind == Histogram {
		buckets = len(f.Bounds) + 1
	}
	known := f.Kind == Counter || f.Kind == Gauge || f.Kind == Histogram
	if !known || !wholeName().MatchString(f.Name) || f.Unit != "" && !wholeName().MatchString(f.Unit) ||
		buckets > mostFamilies {
		return false
	}
	for i := range f.Series {
		if s := &f.Series[i]; len(s.Counts) != buckets || !allLabels().MatchString(s.Labels) {
			return false
		}
	}
	return true
}

const (
	OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	PlainType       = "text/plain; version=0.0.4; charset=utf-8"
)

// OpenMetrics returns families in the text format of OpenMetrics 1.0, which Prometheus requests.
func OpenMetrics(families []Family) string { return text(families, true) + "# EOF\n" }

// Plain returns families in the text format of Prometheus, version 0.0.4, which older programs read.
func Plain(families []Family) string { return text(families, false) }

// text formats families. open selects the format of OpenMetrics, which has units, and in whose lines TYPE and HELP the
// name of a counter has no suffix "_total".
func text(families []Family, open bool) string {
	var b strings.Builder
	for i := range families {
		f := &families[i]
		name := f.Name
		if !open {
			name += f.suffix()
		}
		help := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(f.Help)
		b.WriteString("# TYPE " + name + " " + string(f.Kind) + "\n# HELP " + name + " " + help + "\n")
		if open && f.Unit != "" {
			b.WriteString("# UNIT " + f.Name + " " + f.Unit + "\n")
		}
		f.write(&b)
	}
	return b.String()
}

func (f *Family) suffix() string {
	if f.Kind == Counter {
		return "_total"
	}
	return ""
}

func (f *Family) write(b *strings.Builder) {
	series := slices.Clone(f.Series)
	sort.SliceStable(series, func(i, j int) bool { return series[i].Labels < series[j].Labels })
	for i := range series {
		s := &series[i]
		if f.Kind != Histogram {
			sample(b, f.Name+f.suffix(), s.Labels, "", number(s.Value))
			continue
		}
		var n int64
		for k, bound := range f.Bounds {
			n += s.Counts[k]
			sample(b, f.Name+"_bucket", s.Labels, `le="`+bucket(bound)+`"`, number(float64(n)))
		}
		all := number(float64(s.Count()))
		sample(b, f.Name+"_bucket", s.Labels, `le="+Inf"`, all)
		sample(b, f.Name+"_sum", s.Labels, "", number(s.Total))
		sample(b, f.Name+"_count", s.Labels, "", all)
	}
}

func sample(b *strings.Builder, name, labels, extra, value string) {
	b.WriteString(name)
	if labels != "" && extra != "" {
		labels += ","
	}
	if labels += extra; labels != "" {
		b.WriteString("{" + labels + "}")
	}
	b.WriteString(" " + value + "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// bucket formats the bound of a bucket with a decimal point or an exponent, as OpenMetrics requires.
func bucket(v float64) string {
	text := number(v)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}
