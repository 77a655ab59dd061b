package results

import (
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestMedianOfValues(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		checktest.Equalf(t, Median(c.values), c.want, "Median(%v)", c.values)
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
		checktest.Equal(t, c.got, c.want)
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

func TestPlotOfAnUnknownMeasureIsAnError(t *testing.T) {
	_, err := (&page{Results: example()}).plot("x", "x", "speed", "hello")
	checktest.Truef(t, err != nil, "a plot of an unknown measure was made")
}

func TestPageNamesOtherUsersOfTheProcessors(t *testing.T) {
	r := example()
	p := &page{Results: r}
	checktest.Equal(t, p.stolen(), "")
	r.Workloads[0].Servers[0].Samples[0].Stolen = 0.025
	got := p.stolen()
	checktest.Truef(t, strings.Contains(got, "took up to 2.5 % of the two processors"), "%s", got)
}

// steadyExample has two workloads: the servers of flask always answer at about the same rate.
func steadyExample() *Results {
	r := example()
	steady := Workload{Name: "flask", Title: "Flask hello", Rounds: 3, Seconds: 1}
	for i, name := range []string{"threads", "uwsgi"} {
		s := Server{Name: name}
		for _, rate := range []float64{1000, 1200, 1300} {
			s.Samples = append(s.Samples, Sample{Rate: rate / float64(i+1), CPU: 1 / rate, P50: 0.001, P99: 0.002, Memory: 7e6})
		}
		steady.Servers = append(steady.Servers, s)
	}
	r.Workloads = append(r.Workloads, steady)
	r.Versions["fapws"] = "0.2.0+db37b01887"
	return r
}

func TestPageShowsOnlySteadyMeasurements(t *testing.T) {
	text, plots, err := steadyExample().Page()
	checktest.Must(t, err)
	page := string(text)
	for _, want := range []string{"| fapws | 1,200 | 1,000 to 1,300 | 1.00 |", "images/performance-frameworks.svg",
		"- Hello, 2 & 3: the highest measurement of uWSGI is 2.00 × the lowest"} {
		checktest.Truef(t, strings.Contains(page, want), "the page lacks %s:\n%s", want, page)
	}
	checktest.Truef(t, len(plots) == 1 && !strings.Contains(page, "750") && !strings.Contains(page, "Without a framework"),
		"the page has an unsteady workload:\n%s", page)

	none := steadyExample()
	none.Workloads = none.Workloads[:1]
	text, plots, err = none.Page()
	checktest.Truef(t, err == nil && len(plots) == 0 && strings.Contains(string(text), "no figures of this version yet"),
		"%v, %s", err, text)
}

func TestResultsOfABusyMachineOrAChangedSourceMakeNoPage(t *testing.T) {
	for want, change := range map[string]func(*Results){
		"not the version of a commit": func(r *Results) { r.Versions["fapws"] += ".dirty" },
		"fapws  is not":               func(r *Results) { delete(r.Versions, "fapws") },
		"a load of 2.1":               func(r *Results) { r.Machine.Load = 2.11 },
	} {
		r := steadyExample()
		change(r)
		_, _, err := r.Page()
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), want), "%v, want %s", err, want)
	}
}

func TestRatiosAreThoseOfTheMediansThatThePageShows(t *testing.T) {
	r := example()
	r.Workloads[0].Servers[0].Samples[0].Rate = 100
	p := &page{Results: r}
	table := p.table("hello")
	checktest.Truef(t, strings.Contains(table, "| fapws | 750 | 500 to 1,000 | 1.00 |") &&
		strings.Contains(table, "| uWSGI | 300 | 100 to 500 | 0.40 |"), "%s", table)
	const line = "| Hello, 2 & 3 | 750 | uWSGI: 300 | 2.50 × | 75,000 | uWSGI: 17,900 | 4.20 × |"
	got := p.summary("hello", "missing")
	checktest.Truef(t, strings.HasSuffix(got, line), "%s", got)
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
		checktest.Must(t, r.SaveInto(file))
		return checktest.Try(Load(file)).Must(t)
	}
	saved(first)
	r := saved(second)
	checktest.Truef(t, len(r.Workloads) == 2 && len(r.Commands) == 2 && r.Machine.Load == 1, "%+v", r)
	const rounds = "Figures are medians of 2 measurements of 1 s (hello), or 10 measurements of 1 s (flask)."
	checktest.Equal(t, (&page{Results: r}).rounds(), rounds)
	r = saved(second)
	checktest.Truef(t, len(r.Workloads) == 2 && len(r.Commands) == 2, "the same workload was added again: %+v", r)
	r = saved(third)
	checktest.Equalf(t, len(r.Workloads), 1, "results of two machines are in one file: %+v", r)
	third.Versions["fapws"] = "0.2.1"
	third.Workloads[0].Name = "json"
	r = saved(third)
	checktest.Equalf(t, len(r.Workloads), 1, "results of two versions are in one file: %+v", r)
}
