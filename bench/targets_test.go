package main

import (
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

// The machine is half as fast in the second of two rounds. The ratio of the medians would therefore differ from the
// ratio in each round.
func TestTargetsCompareRatiosOfEachRound(t *testing.T) {
	micros := func(n int) []sample {
		return []sample{{cpu: time.Duration(n) * time.Microsecond, rate: 1e6 / float64(n)},
			{cpu: time.Duration(2*n) * time.Microsecond, rate: 5e5 / float64(n)}}
	}
	b := bench{results: map[key][]sample{
		{"hello", "baregnet"}:     micros(10),
		{"hello", "threads"}:      micros(11),
		{"hello", "inline"}:       micros(12),
		{"pipelined", "baregnet"}: micros(10),
		{"pipelined", "threads"}:  micros(20),
		{"flask", "threads"}:      micros(50),
		{"flask", "inline"}:       micros(100),
		{"flask", "uwsgi"}:        {{cpu: 80 * time.Microsecond}, {cpu: 300 * time.Microsecond}},
		{"flask", "gunicorn"}:     {{cpu: 90 * time.Microsecond}, {cpu: 160 * time.Microsecond}},
		{"reload", "threads"}:     {{errors: 0}},
		{"reload", "inline"}:      {{errors: 1}},
		{"slow", "threads"}:       {{rate: 95, alone: 100}, {rate: 40, alone: 50}, {rate: 9, alone: 10}},
	}}
	for _, c := range []struct {
		workload string
		want     []string
		found    bool
	}{
		{"hello", []string{"1.10", "≤ 1.03", "MISS", "1.20", "≤ 1.03", "MISS"}, true},
		{"pipelined", []string{"0.50", "≥ 0.55", "MISS", "–", "", ""}, true},
		{"slow", []string{"0.90", "≥ 0.9", "pass", "–", "", ""}, true},
		{"flask", []string{"1.60", "≥ 1.3", "pass", "0.80", "≥ 1.3", "MISS"}, true},
		{"reload", []string{"0", "≤ 0", "pass", "1", "≤ 0", "MISS"}, true},
		{"echo", []string{"–", "", "", "–", "", ""}, false},
	} {
		for i := range targets {
			if targets[i].workload != c.workload || strings.HasPrefix(targets[i].title, "own memory") {
				continue
			}
			cells, found := b.judge(&targets[i])
			checktest.Equalf(t, found, c.found, "%s: found", c.workload)
			for j, want := range c.want {
				if cells[j+1] != want {
					t.Errorf("%s: cells = %q, want %q", c.workload, cells[1:], c.want)
					break
				}
			}
		}
	}
}
