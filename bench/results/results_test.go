package results

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestMedianOfValues(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(c.values); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestNumbersAreRoundedToThreeDigits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(0.1234), "0.123"}, {number(9.999), "10"}, {number(99.96), "100"},
		{number(1234567), "1,230,000"},
		{number(238_400), "238,000"}, {number(999.6), "1,000"}, {number(999_900), "1,000,000"},
		{duration(0), "–"}, {duration(0.0000123), "12.3 µs"}, {duration(0.00099996), "1 ms"},
		{duration(0.0456), "45.6 ms"}, {duration(2.5), "2.5 s"},
		{megabytes(7_150_000), "7.2 MB"}, {kibibytes(2253), "2.2 KiB"}, {capital("élan"), "Élan"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

// example has two rounds. In the second round the machine was half as fast, so that ratios of medians differ from the
// median of ratios.
func example() *Results {
	samples := func(cpu, p99 float64, memory int64) []Sample {
		return []Sample{{Rate: 1000, CPU: cpu, P50: 0.001, P99: p99, Memory: memory},
			{Rate: 500, CPU: 2 * cpu, P50: 0.001, P99: p99, Memory: memory}}
	}
	servers := []Server{
		{"uwsgi", samples(42e-6, 0.002, 9e6)},
		{"threads", samples(10e-6, 0.004, 7e6)},
		{"inline", samples(8e-6, 0.003, 8e6)},
	}
	return &Results{
		Versions:  map[string]string{"uwsgi": "2.0"},
		Workloads: []Workload{{Name: "hello", Title: "hello, 2 & 3", Rounds: 2, Seconds: 1, Servers: servers}},
	}
}

func TestPageOfAMissingWorkloadIsAnError(t *testing.T) {
	p := &page{Results: example()}
	if _, err := p.table("missing"); err == nil || !strings.Contains(err.Error(), `no workload "missing"`) {
		t.Error(err)
	}
	if _, err := p.plot("x", "x", "speed", "hello"); err == nil {
		t.Error("a plot of an unknown measure was made")
	}
}

func TestPageNamesOtherUsersOfTheProcessors(t *testing.T) {
	r := example()
	r.Machine.Load = 0
	p := &page{Results: r}
	if got := p.load(); got != "The machine had no other work." {
		t.Error(got)
	}
	r.Machine.Load, r.Workloads[0].Servers[0].Samples[0].Stolen = 2, 0.025
	if got := p.load(); !strings.Contains(got, "2.0 threads") ||
		!strings.Contains(got, "took up to 2.5 % of the two processors") {
		t.Error(got)
	}
}

func TestRatiosAreThoseOfTheMediansThatThePageShows(t *testing.T) {
	r := example()
	r.Workloads[0].Servers[0].Samples[0].Rate = 100
	p := &page{Results: r}
	table, err := p.table("hello")
	if err != nil || !strings.Contains(table, "| fapws | 750 | 500 to 1,000 | 1.00 |") ||
		!strings.Contains(table, "| uWSGI | 300 | 100 to 500 | 0.40 |") {
		t.Errorf("%v\n%s", err, table)
	}
	const line = "| Hello, 2 & 3 | 750 | uWSGI: 300 | 2.50 × | 75,000 | uWSGI: 17,900 | 4.20 × |"
	if got := p.summary("hello", "missing"); !strings.HasSuffix(got, line) {
		t.Error(got)
	}
}

func TestRunOfSomeWorkloadsKeepsTheOthersOfThisMachine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.json")
	first := example()
	first.Commands, first.Machine.CPU, first.Machine.Load = []string{"bench hello"}, "a", 1
	second := example()
	second.Commands, second.Machine.CPU, second.Workloads[0].Name = []string{"bench flask"}, "a", "flask"
	second.Workloads[0].Rounds = 10
	third := example()
	third.Machine.CPU = "b"
	saved := func(r *Results) *Results {
		if err := r.SaveInto(file); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		return loaded
	}
	saved(first)
	r := saved(second)
	if len(r.Workloads) != 2 || len(r.Commands) != 2 || r.Machine.Load != 1 {
		t.Errorf("%+v", r)
	}
	const rounds = "Figures are medians of 2 measurements of 1 s (hello), or 10 measurements of 1 s (flask)."
	if got := (&page{Results: r}).rounds(); got != rounds {
		t.Error(got)
	}
	if r = saved(second); len(r.Workloads) != 2 || len(r.Commands) != 2 {
		t.Errorf("the same workload was added again: %+v", r)
	}
	if r = saved(third); len(r.Workloads) != 1 {
		t.Errorf("results of two machines are in one file: %+v", r)
	}
}
