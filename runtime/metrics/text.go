package metrics

import (
	"slices"
	"strconv"
	"strings"
)

// Media types of the formats.
const (
	OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	PlainType       = "text/plain; version=0.0.4; charset=utf-8"
)

// OpenMetrics returns families as text of OpenMetrics 1.0, which Prometheus asks for.
func OpenMetrics(families []Family) string {
	var b strings.Builder
	for i := range families {
		f := &families[i]
		header(&b, f, f.Name)
		if f.Unit != "" {
			b.WriteString("# UNIT " + f.Name + " " + f.Unit + "\n")
		}
		f.write(&b)
	}
	b.WriteString("# EOF\n")
	return b.String()
}

// Plain returns families in the text format of Prometheus, version 0.0.4, which older programs read.
func Plain(families []Family) string {
	var b strings.Builder
	for i := range families {
		f := &families[i]
		header(&b, f, f.Name+f.suffix())
		f.write(&b)
	}
	return b.String()
}

func header(b *strings.Builder, f *Family, name string) {
	help := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(f.Help)
	b.WriteString("# TYPE " + name + " " + string(f.Kind) + "\n# HELP " + name + " " + help + "\n")
}

// suffix is what the samples of f have behind its name.
func (f *Family) suffix() string {
	if f.Kind == Counter {
		return "_total"
	}
	return ""
}

// write writes the samples.
func (f *Family) write(b *strings.Builder) {
	series := slices.Clone(f.Series)
	slices.SortStableFunc(series, func(x, y Series) int { return strings.Compare(x.Labels, y.Labels) })
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

func sample(b *strings.Builder, name, labels, more, value string) {
	b.WriteString(name)
	if labels != "" && more != "" {
		labels += ","
	}
	if labels += more; labels != "" {
		b.WriteString("{" + labels + "}")
	}
	b.WriteString(" " + value + "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// bucket is a bound as OpenMetrics wants it: a float, so that all programs write the same.
func bucket(v float64) string {
	text := number(v)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}
