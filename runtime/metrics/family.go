package metrics

import (
	"slices"
	"strings"
)

// Kind says what the values of a Family mean.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"   // grows, and starts at 0 with the process
	Gauge     Kind = "gauge"     // of now
	Histogram Kind = "histogram" // how many values were up to each bound
)

// Over says how the gauges of several processes become one.
type Over string

// The ways.
const (
	Sum Over = ""
	Max Over = "max"
	Min Over = "min"
)

// Family is a metric with all its series. It is JSON between processes.
type Family struct {
	Name   string    `json:"name"` // without "_total"; with Unit at its end, if there is one
	Kind   Kind      `json:"kind"`
	Unit   string    `json:"unit,omitempty"` // "seconds", "bytes" or ""
	Help   string    `json:"help"`
	Over   Over      `json:"over,omitempty"`
	Bounds []float64 `json:"bounds,omitempty"` // of a histogram, ascending, in its unit; the last bucket has no bound
	Series []Series  `json:"series"`
}

// Series has the values of a Family with the same labels.
type Series struct {
	Labels string  `json:"labels,omitempty"` // `route="/",code="2xx"`, as Labels makes it
	Value  float64 `json:"value,omitempty"`  // not of a histogram

	Counts []int64 `json:"counts,omitempty"` // of a histogram: of each bucket alone, one more than Bounds
	Total  float64 `json:"total,omitempty"`  // of a histogram: the sum of all values
}

// Count returns the number of values in a histogram.
func (s *Series) Count() (n int64) {
	for _, k := range s.Counts {
		n += k
	}
	return n
}

// Labels returns the text of labels, from pairs of names and values.
func Labels(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(pairs[i])
		b.WriteString(`="`)
		b.WriteString(escape(pairs[i+1]))
		b.WriteByte('"')
	}
	return b.String()
}

// escape makes text fit between quotes.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(text, "\uFFFD"))
}

// One returns a family with a single series without labels.
func One(name string, kind Kind, unit, help string, value float64) Family {
	return Family{Name: name, Kind: kind, Unit: unit, Help: help, Series: []Series{{Value: value}}}
}

// Merge adds up the families of several processes, in the order in which they come first. A family that another process
// has in another form (a new version of the application may change its own) is left out.
func Merge(processes ...[]Family) (all []Family) {
	at := map[string]int{}
	for _, families := range processes {
		for i := range families {
			f := &families[i]
			k, known := at[f.Name]
			if !known {
				at[f.Name] = len(all)
				all = append(all, f.clone())
				continue
			}
			if sum := &all[k]; sum.Fits(f) {
				sum.add(f)
			}
		}
	}
	return all
}

// Fits reports whether the series of g can be added to those of f.
func (f *Family) Fits(g *Family) bool { return f.Kind == g.Kind && slices.Equal(f.Bounds, g.Bounds) }

// Lasting returns the families whose values remain true when their process has ended: all but gauges.
func Lasting(families []Family) []Family {
	return slices.DeleteFunc(slices.Clone(families), func(f Family) bool { return f.Kind == Gauge })
}

func (f *Family) clone() Family {
	c := *f
	c.Series = slices.Clone(f.Series)
	for i := range c.Series {
		c.Series[i].Counts = slices.Clone(c.Series[i].Counts)
	}
	return c
}

// add adds the series of g, which has the same form.
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

// Find returns the family with a name, or nil.
func Find(families []Family, name string) *Family {
	for i := range families {
		if families[i].Name == name {
			return &families[i]
		}
	}
	return nil
}

// Label returns the value of a label of s, "" without it.
func (s *Series) Label(name string) string {
	for text := s.Labels; text != ""; {
		key, rest, ok := strings.Cut(text, `="`)
		if !ok {
			return ""
		}
		end := 0
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(rest))
		if key == name {
			return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(rest[:end])
		}
		text = strings.TrimPrefix(strings.TrimPrefix(rest[end:], `"`), ",")
	}
	return ""
}

// Quantile returns the value below which the share q (0 to 1) of the values of a histogram lies, by interpolating within
// a bucket, as Prometheus does; 0 without values. Beyond the last bound it is that.
func Quantile(bounds []float64, counts []int64, q float64) float64 {
	var all int64
	for _, n := range counts {
		all += n
	}
	if all == 0 || len(bounds) == 0 || len(counts) != len(bounds)+1 {
		return 0
	}
	rank, below := q*float64(all), 0.0
	for i, n := range counts[:len(bounds)] {
		if below+float64(n) >= rank && n > 0 {
			low := 0.0
			if i > 0 {
				low = bounds[i-1]
			}
			return low + (bounds[i]-low)*(rank-below)/float64(n)
		}
		below += float64(n)
	}
	return bounds[len(bounds)-1]
}
