package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestRequestsAreCountedByRouteAndStatusClass(t *testing.T) {
	r := NewRecorder()
	shop := r.Route("a.example", "/shop")
	checktest.Equalf(t, r.Route("a.example", "/shop"), shop, "the same route is counted twice")
	for _, status := range []int{200, 204, 404, 0, 999} {
		r.End(r.Begin(), shop, status)
	}
	began := r.Begin()
	r.End(r.Begin()-int64(time.Hour), nil, 503)
	r.Turn()
	families := r.Families()
	got := map[string]int64{}
	for _, s := range Find(families, "fapws_request_duration_seconds").Series {
		got[s.Label("host")+s.Label("route")+" "+s.Label("code")] = s.Count()
		checktest.Truef(t, s.Label("code") != "5xx" || s.Counts[len(Bounds)] == 1 && !(s.Total < 3600), "an hour: %+v", s)
	}
	want := map[string]int64{"a.example/shop 2xx": 2, "a.example/shop 4xx": 1, "a.example/shop gone": 2, "none 5xx": 1}
	checktest.Equal(t, fmt.Sprint(got), fmt.Sprint(want))
	checktest.Equalf(t, Find(families, "fapws_requests_in_flight").Series[0].Value, 1, "in flight")
	r.End(began, shop, 200)
}

func TestRequestsOfOneTurnShareTheClock(t *testing.T) {
	r := NewRecorder()
	first := r.Begin()
	time.Sleep(time.Microsecond)
	second := r.Begin()
	checktest.Truef(t, second == first && first != 0, "%d and %d", first, second)
	r.Turn()
	third := r.Begin()
	checktest.Truef(t, third > first, "%d behind %d", third, first)
	route := r.Route("", "/")
	r.End(first, route, 200)
	r.End(first, route, 200)
	checktest.Equalf(t, len(Find(r.Families(), "fapws_request_duration_seconds").Series), 0, "series before the turn")
	// On a busy machine, the third request is in a different bucket from the first two requests.
	r.End(third, route, 200)
	r.Turn()
	s := Find(r.Families(), "fapws_request_duration_seconds").Series[0]
	if least := float64(third-first) * 2 / 1e9; s.Count() != 3 || s.Total < least {
		t.Errorf("%d requests took %v s, at least %v", s.Count(), s.Total, least)
	}
	checktest.Equalf(t, Find(r.Families(), "fapws_requests_in_flight").Series[0].Value, 0, "in flight")
}

func TestNumberOfSeriesIsLimited(t *testing.T) {
	r := NewRecorder()
	for i := range 10000 {
		r.End(r.Begin(), r.Route("", fmt.Sprint("/", i)), 200)
	}
	r.Turn()
	f := Find(r.Families(), "fapws_request_duration_seconds")
	checktest.Equalf(t, len(f.Series), mostRoutes, "series")
	s := f.Series[mostRoutes-1]
	checktest.Truef(t, s.Label("route") == "other" && s.Count() == 10000-mostRoutes+1, "%+v", s)
}

func TestLabelsAreEscapedAndReadBack(t *testing.T) {
	for _, value := range []string{"", "/", `a"b`, `a\`, `\"`, "a\nb", `",x="`, "é"} {
		text := Labels("a", "1", "route", value, "z", "2")
		s := Series{Labels: text}
		if got := s.Label("route"); got != value || s.Label("z") != "2" || s.Label("none") != "" {
			t.Errorf("%s: %q, %q", text, got, s.Label("z"))
		}
	}
	s := (Series{Labels: Labels("a", "\xff")})
	checktest.Equalf(t, s.Label("a"), "\uFFFD", "%q", s.Labels)
}

func families(t *testing.T, n int64) (all []Family) {
	t.Helper()
	text, err := json.Marshal([]Family{
		{Name: "c", Kind: Counter, Help: "C.", Series: []Series{{Labels: `k="1"`, Value: float64(n)},
			{Labels: fmt.Sprintf("k=%q", fmt.Sprint(n)), Value: 1}}},
		{Name: "g_bytes", Kind: Gauge, Unit: "bytes", Help: "G.", Over: Max, Series: []Series{{Value: float64(n)}}},
		{Name: "h_seconds", Kind: Histogram, Unit: "seconds", Help: "H\n\\.", Bounds: []float64{0.5, 1},
			Series: []Series{{Counts: []int64{n, 0, 1}, Total: 2.5}}},
	})
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	checktest.Must(t, err)
	return all
}

func TestMetricsOfWorkersAreMerged(t *testing.T) {
	one, two := families(t, 2), families(t, 3)
	other := []Family{{Name: "h_seconds", Kind: Histogram, Bounds: []float64{7},
		Series: []Series{{Counts: []int64{1, 1}}}}, One("x", Gauge, "", "X.", 1)}
	all := Merge(one, two, other)
	const want = `# TYPE c counter
# HELP c C.
c_total{k="1"} 5
c_total{k="2"} 1
c_total{k="3"} 1
# TYPE g_bytes gauge
# HELP g_bytes G.
# UNIT g_bytes bytes
g_bytes 3
# TYPE h_seconds histogram
# HELP h_seconds H\n\\.
# UNIT h_seconds seconds
h_seconds_bucket{le="0.5"} 5
h_seconds_bucket{le="1.0"} 5
h_seconds_bucket{le="+Inf"} 7
h_seconds_sum 5
h_seconds_count 7
# TYPE x gauge
# HELP x X.
x 1
# EOF
`
	checktest.Equal(t, OpenMetrics(all), want)
	checktest.Equalf(t, one[0].Series[0].Value, 2, "Merge has changed its argument")
	plain := Plain(all)
	checktest.Truef(t, strings.Contains(plain, "# TYPE c_total counter\n") && !strings.Contains(plain, "UNIT") &&
		!strings.Contains(plain, "EOF"), "plain:\n%s", plain)
	lasting := Lasting(all)
	checktest.Truef(t, len(lasting) == 2 && Find(lasting, "g_bytes") == nil, "%v", lasting)
}

func TestQuantilesAreThoseOfNearestRank(t *testing.T) {
	bounds := []float64{1, 2, 4}
	for _, c := range []struct {
		counts  []int64
		q, want float64
	}{
		{[]int64{0, 0, 0, 0}, 0.5, 0},
		{[]int64{10, 0, 0, 0}, 0.5, 0.45},
		{[]int64{5, 5, 0, 0}, 0.5, 0.9},
		{[]int64{5, 5, 0, 0}, 0.9, 1.7},
		{[]int64{0, 0, 10, 0}, 0.5, 2.9},
		{[]int64{0, 0, 1, 0}, 0.5, 3},
		{[]int64{0, 0, 1, 0}, 0.99, 3},
		{[]int64{0, 0, 0, 10}, 0.5, 4},
		{[]int64{1, 2}, 0.5, 0},
	} {
		got := Quantile(bounds, c.counts, c.q)
		checktest.Truef(t, !(math.Abs(got-c.want) > 1e-9), "%v of %v: %v, want %v", c.q, c.counts, got, c.want)
	}
}

func TestCountingARequestDoesNotAllocate(t *testing.T) {
	r := NewRecorder()
	route := r.Route("", "/")
	checktest.Equalf(t, testing.AllocsPerRun(100, func() { r.End(r.Begin(), route, 200) }), 0, "allocations")
}

func TestSoundRejectsInvalidFamilies(t *testing.T) {
	r := NewRecorder()
	r.End(r.Begin(), r.Route("a.example", "/a\"b\\c\nd"), 200)
	r.Turn()
	all := append(r.Families(), One("own_seconds", Gauge, "seconds", "Own.", 1))
	if got := Sound(all); len(got) != len(all) || OpenMetrics(got) != OpenMetrics(all) {
		t.Errorf("%d of %d families are sound", len(got), len(all))
	}
	for _, line := range checktest.Cases(t, "testdata/unsound.txt", 1) {
		var f Family
		checktest.Must(t, json.Unmarshal([]byte(line[0]), &f))
		checktest.Truef(t, len(Sound([]Family{f})) == 0, "%s is sound", line)
	}
	many := Family{Name: "a", Kind: Counter}
	for i := range mostSeries + 1 {
		many.Series = append(many.Series, Series{Labels: fmt.Sprintf(`n="%d"`, i)})
	}
	if got := Sound([]Family{many, many}); len(got[0].Series) != mostSeries || len(got[1].Series) != 0 {
		t.Errorf("%d and %d series", len(got[0].Series), len(got[1].Series))
	}
}

func FuzzSound(f *testing.F) {
	for _, seed := range []string{
		`[{"name":"a","kind":"counter","series":[{"labels":"x=\"1\"","value":1}]}]`,
		`[{"name":"a","kind":"histogram","bounds":[1,2],"series":[{"counts":[1,2,3],"total":4}]},` +
			`{"name":"a","kind":"histogram","bounds":[1],"series":[{"counts":[1,2]}]}]`,
		`[{"name":"a","kind":"gauge","over":"max","unit":"s","help":"x\ny",` +
			`"series":[{"labels":"x=\"\\\\\\\"\",y=\"\""}]}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var families []Family
		if json.Unmarshal(text, &families) != nil {
			return
		}
		all := Merge(Sound(families), Sound(families))
		lines := 2 * len(all)
		for i := range all {
			one := 1
			if all[i].Kind == Histogram {
				one = len(all[i].Bounds) + 3
			}
			lines += one * len(all[i].Series)
		}
		got := strings.Count(Plain(all), "\n")
		checktest.Needf(t, got == lines, "%d lines, want %d: %q", got, lines, Plain(all))
		OpenMetrics(all)
	})
}
