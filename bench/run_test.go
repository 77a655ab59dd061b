package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
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
	apps, err := filepath.Abs("apps")
	checktest.Must(t, err)
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
