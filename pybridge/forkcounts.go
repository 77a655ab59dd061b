package pybridge

import (
	"encoding/json"
	"regexp"
	"slices"
	"sync"

	"fapws/runtime/metrics"
)

// ForkCounts adds up the metrics of processes that answer one request each. The zero value is empty. It is safe for concurrent use.
type ForkCounts struct {
	mu  sync.Mutex
	all []metrics.Family
}

const (
	mostFamilies = 1000 // as in a process with threads
	mostSeries   = 200
)

// forkFamily is a metrics.Family that a child has counted.
type forkFamily struct {
	metrics.Family
	Series []forkSeries `json:"series"`
}

type forkSeries struct {
	metrics.Series
	Set bool `json:"set"` // the value of a gauge is not a change
}

var labelValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`="(?:[^"\\]|\\.)*"`) })

// add takes what a child has counted, in JSON.
func (c *ForkCounts) add(text []byte) {
	var families []forkFamily
	if json.Unmarshal(text, &families) != nil {
		return // a declaration that is no JSON would have failed in Python
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range families {
		f := &families[i]
		have := metrics.Find(c.all, f.Name)
		if have == nil {
			if len(c.all) == mostFamilies {
				continue
			}
			one := f.Family
			one.Series = nil
			c.all = append(c.all, one)
			have = &c.all[len(c.all)-1]
		}
		if !have.Fits(&f.Family) {
			continue
		}
		for k := range f.Series {
			addSeries(have, &f.Series[k])
		}
	}
}

func addSeries(f *metrics.Family, s *forkSeries) {
	find := func() int {
		return slices.IndexFunc(f.Series, func(have metrics.Series) bool { return have.Labels == s.Labels })
	}
	i := find()
	if i < 0 && len(f.Series) >= mostSeries-1 {
		s.Labels = labelValue().ReplaceAllString(s.Labels, `="other"`)
		i = find()
	}
	if i < 0 {
		f.Series = append(f.Series, s.Series)
		return
	}
	have := &f.Series[i]
	if have.Value += s.Value; s.Set {
		have.Value = s.Value
	}
	have.Total += s.Total
	for b := range min(len(have.Counts), len(s.Counts)) {
		have.Counts[b] += s.Counts[b]
	}
}

// Families returns the sums so far.
func (c *ForkCounts) Families() []metrics.Family {
	c.mu.Lock()
	defer c.mu.Unlock()
	return metrics.Merge(c.all) // a copy
}
