package main

import (
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"fapws/bench/results"
)

func machine() results.Machine {
	m := results.Machine{CPU: "unknown CPU", CPUs: runtime.NumCPU(), System: "Linux",
		CongestionControl: congestionControl}
	if _, rest, found := strings.Cut(text("/proc/cpuinfo"), "model name\t: "); found {
		m.CPU, _, _ = strings.Cut(rest, "\n")
	}
	if _, rest, found := strings.Cut(text("/etc/os-release"), "PRETTY_NAME=\""); found {
		m.System, _, _ = strings.Cut(rest, "\"")
	}
	m.Kernel = strings.TrimSpace(text("/proc/sys/kernel/osrelease"))
	m.Load = loadAverage()
	return m
}

func text(file string) string {
	content, _ := os.ReadFile(file)
	return string(content)
}

func (b *bench) export(m results.Machine) *results.Results {
	r := &results.Results{Commands: []string{b.typed}, Date: time.Now().Format(time.DateOnly), Machine: m,
		Versions: versions(b.servers), LeftOut: b.leftOut}
	for _, w := range b.done {
		stored := results.Workload{Name: w.name, Title: w.title, Rounds: b.rounds, Seconds: b.length.Seconds()}
		for _, name := range w.who {
			s := results.Server{Name: name}
			for _, taken := range b.results[key{w.name, name}] {
				s.Samples = append(s.Samples, taken.stored())
			}
			stored.Servers = append(stored.Servers, s)
		}
		r.Workloads = append(r.Workloads, stored)
	}
	return r
}

// stored converts s for the results, without values that only a few workloads measure.
func (s *sample) stored() results.Sample {
	return results.Sample{Rate: math.Round(s.rate*10) / 10, P50: s.p50.Seconds(), P99: s.p99.Seconds(),
		CPU: s.cpu.Seconds(), Memory: s.memory, Errors: s.errors,
		Start: s.took.Seconds(), Each: s.each, Stolen: math.Round(s.stolen*1000) / 1000}
}
