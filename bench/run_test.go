package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/bench/results"
	"fapws/runtime/checktest"
)

func TestShortRunStoresResults(t *testing.T) {
	program, err := filepath.Abs(cmp.Or(os.Getenv("FAPWS_BIN"), "../build/fapws"))
	checktest.Must(t, err)
	_, err = os.Stat(program)
	checktest.Mustf(t, err, "build it first: ./build.sh build")
	t.Setenv("FAPWS_BIN", program)
	apps := checktest.Try(filepath.Abs("apps")).Must(t)
	if err := chooseCPUs(); err != nil {
		t.Logf("%v: both have the same here", err)
	}
	t.Cleanup(stopAll)
	b := &bench{settings: settings{apps: apps, work: t.TempDir(), rounds: 1, length: time.Second},
		results: map[key][]sample{}}
	for _, s := range servers {
		if s.name == "threads" {
			b.servers = append(b.servers, s)
		}
	}
	checktest.Must(t, prepareFiles(b.work))
	checktest.Must(t, b.measure(workloads[slices.IndexFunc(workloads,
		func(w workload) bool { return w.name == "hello" })]))
	file := filepath.Join(b.work, "results.json")
	checktest.Must(t, b.export(machine()).Save(file))
	r, err := results.Load(file)
	checktest.Needf(t, err == nil && len(b.leftOut) == 0 && len(r.Workloads) == 1 && len(r.Workloads[0].Servers) == 1,
		"%v, %v, %+v", err, b.leftOut, r)
	s := r.Workloads[0].Servers[0]
	taken := s.Samples[0]
	checktest.Truef(t, s.Name == "threads" && taken.Rate > 0 && taken.P50 > 0 && taken.P99 > 0 && taken.CPU > 0 &&
		taken.Memory > 0 && taken.Errors == 0, "%+v", r.Workloads[0])
	checktest.Truef(t, r.Versions["fapws"] != "" && r.Machine.Kernel != "" && r.Machine.System != "" && r.Date != "",
		"%+v", r)
}

func TestGroupsContainOnlyWorkloadsAndServers(t *testing.T) {
	known := append(workloadNames(), serverNames()...)
	for group := range groups() {
		for _, word := range expand([]string{group}) {
			checktest.Truef(t, slices.Contains(known, word), "%s has %s", group, word)
		}
	}
}

func TestUpstreamVersionIsCutFromADebianVersion(t *testing.T) {
	for version, want := range map[string]string{"1.26.3-3+b1": "1.26.3", "2.6.2-14": "2.6.2", "1:4.0.17-3": "4.0.17",
		"2.0.30+dfsg-1": "2.0.30", "0.14.6": "0.14.6", "": ""} {
		checktest.Equalf(t, upstream(version), want, "%s", version)
	}
}

func TestStoredResultsWaitForAQuietMachine(t *testing.T) {
	loads := []float64{2.1, 0.7, 0.5}
	falling := func() float64 {
		load := loads[0]
		loads = loads[1:]
		return load
	}
	checktest.Equal(t, waitUntilQuiet(falling, time.Hour, 0), nil)
	err := waitUntilQuiet(func() float64 { return 2.1 }, -1, 0)
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "its load average is 2.1"), "%v", err)
}

func TestStolenTimeCountsOnlyOnProcessorsOfServerAndClient(t *testing.T) {
	server, client := serverCPU, clientCPU
	defer func() { serverCPU, clientCPU = server, client }()
	serverCPU, clientCPU = 1, 3
	const stat = "cpu  9 0 9 9 0 0 0 999 0 0\ncpu0 1 0 1 1 0 0 0 400 0 0\ncpu1 1 0 1 1 0 0 0 7 0 0\ncpu3 1 0 1 1 0 0 " +
		"0 20 0 0\nintr 1 2 3\n"
	checktest.Equalf(t, stolen(stat), 270*time.Millisecond, "stolen")
}

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
