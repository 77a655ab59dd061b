package metrics

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSoundRejectsInvalidFamilies(t *testing.T) {
	r := NewRecorder()
	r.End(r.Begin(), r.Route("a.example", "/a\"b\\c\nd"), 200)
	r.Turn()
	all := append(r.Families(), One("own_seconds", Gauge, "seconds", "Own.", 1))
	if got := Sound(all); len(got) != len(all) || OpenMetrics(got) != OpenMetrics(all) {
		t.Errorf("%d of %d families are sound", len(got), len(all))
	}
	series := func(labels string, counts ...int64) []Series { return []Series{{Labels: labels, Counts: counts}} }
	for i, f := range []Family{
		{Name: "", Kind: Counter},
		{Name: "a b", Kind: Counter},
		{Name: "a\nb", Kind: Counter},
		{Name: "1a", Kind: Counter},
		{Name: "a", Kind: "untyped"},
		{Name: "a", Kind: Gauge, Unit: "s\n"},
		{Name: "a", Kind: Gauge, Series: series("", 1)},
		{Name: "a", Kind: Histogram, Bounds: []float64{1}, Series: series("", 1)},
		{Name: "a", Kind: Histogram, Bounds: []float64{1}, Series: series("", 1, 2, 3)},
		{Name: "a", Kind: Counter, Series: series("x")},
		{Name: "a", Kind: Counter, Series: series(`x="1`)},
		{Name: "a", Kind: Counter, Series: series(`x="1\`)},
		{Name: "a", Kind: Counter, Series: series(`x="1\"`)},
		{Name: "a", Kind: Counter, Series: series("x=\"1\n\"")},
		{Name: "a", Kind: Counter, Series: series("x=\"1\\\n\"")},
		{Name: "a", Kind: Counter, Series: series(`x="1",`)},
		{Name: "a", Kind: Counter, Series: series(`x="1"y="2"`)},
		{Name: "a", Kind: Counter, Series: series(`x y="2"`)},
	} {
		if got := Sound([]Family{f}); len(got) > 0 {
			t.Errorf("%d: %+v is sound", i, f)
		}
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
		if got := strings.Count(Plain(all), "\n"); got != lines {
			t.Fatalf("%d lines, want %d: %q", got, lines, Plain(all))
		}
		OpenMetrics(all)
	})
}
