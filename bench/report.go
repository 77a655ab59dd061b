package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"fapws/bench/results"
)

func median(samples []sample, value func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, value(s))
	}
	return results.Median(values)
}

func least(samples []sample, value func(sample) float64) float64 {
	smallest := value(samples[0])
	for _, s := range samples[1:] {
		smallest = min(smallest, value(s))
	}
	return smallest
}

func rate(s sample) float64    { return s.rate }
func p50(s sample) float64     { return float64(s.p50) / float64(time.Microsecond) }
func p99(s sample) float64     { return float64(s.p99.Microseconds()) }
func cpu(s sample) float64     { return float64(s.cpu.Nanoseconds()) / 1e3 }
func php(s sample) float64     { return float64(s.php.Nanoseconds()) / 1e3 }
func memory(s sample) float64  { return float64(s.memory) / 1e6 }
func took(s sample) float64    { return float64(s.took.Microseconds()) / 1e3 }
func each(s sample) float64    { return float64(s.each) / 1024 }
func grown(s sample) float64   { return float64(s.grown) / 1e6 }
func share(s sample) float64   { return s.rate / s.alone }
func errors(s sample) float64  { return float64(s.errors) }
func idling(s sample) float64  { return 100 * s.idle }
func beside(s sample) float64  { return s.p99.Seconds() / s.before.Seconds() }
func before(s sample) float64  { return float64(s.before.Microseconds()) }
func reloads(s sample) float64 { return float64(s.reloads) }

func perCPU(s sample) float64 {
	if s.cpu == 0 {
		return 0
	}
	return 1 / s.cpu.Seconds()
}

func perWhole(s sample) float64 {
	if s.cpu+s.php == 0 {
		return 0
	}
	return 1 / (s.cpu + s.php).Seconds()
}

func printMachine(m results.Machine) {
	fmt.Printf("%s, %d CPUs, %s, Linux %s, congestion control %s, load %.1f, %s, %s\n", m.CPU, m.CPUs, m.System,
		m.Kernel, m.CongestionControl, m.Load, runtime.Version(), time.Now().Format(time.DateOnly))
}

type table struct{ w *tabwriter.Writer }

func newTable(columns ...string) table {
	t := table{tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)}
	t.row(columns...)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
	}
	t.row(rule...)
	return t
}

func (t table) row(cells ...string) {
	fmt.Fprintf(t.w, "| %s\t|\n", strings.Join(cells, "\t| "))
}

func (t table) print() { _ = t.w.Flush() }

func (b *bench) printWorkload(w *workload, servers []string) {
	fmt.Printf("\n%s\n\n", w.title)
	var t table
	switch w.kind {
	case startup:
		t = newTable("server", "ms", "best ms", "memory MB")
	case reload:
		t = newTable("server", "requests/s", "reloads", "failed")
	case idle:
		t = newTable("server", "KiB each", "memory MB")
	case sockets:
		t = newTable("server", "KiB each", "memory MB", "ms until all have echoed")
	case subscribers:
		t = newTable("server", "KiB each", "memory MB", "CPU idle %", "ms until all have an event",
			"p99 µs of hello beside", "p99 µs before")
	case handshaking, overHTTP2, distant:
		t = newTable("server", "requests/s", "CPU µs/request", "requests/CPU s", "memory MB", "errors")
	default:
		titles := []string{"server", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "requests/CPU s", "memory MB",
			"errors"}
		if w.php {
			titles = append(titles, "PHP's CPU µs/request")
		}
		t = newTable(titles...)
	}
	for _, name := range servers {
		samples := b.results[key{w.name, name}]
		of := func(format string, value func(sample) float64) string {
			return fmt.Sprintf(format, median(samples, value))
		}
		switch w.kind {
		case startup:
			megabytes := of("%.1f", memory)
			if name == pythonPass {
				megabytes = ""
			}
			t.row(name, of("%.1f", took), fmt.Sprintf("%.1f", least(samples, took)), megabytes)
		case reload:
			t.row(name, of("%.0f", rate), of("%.0f", reloads), of("%.0f", errors))
		case idle:
			t.row(name, of("%.1f", each), of("%.1f", memory))
		case sockets:
			t.row(name, of("%.1f", each), of("%.1f", memory), of("%.0f", took))
		case subscribers:
			t.row(name, of("%.2f", each), of("%.1f", memory), of("%.2f", idling), of("%.0f", took), of("%.0f", p99),
				of("%.0f", before))
		case handshaking, overHTTP2, distant:
			t.row(name, of("%.0f", rate), of("%.2f", cpu), of("%.0f", perCPU), of("%.1f", memory), of("%.0f", errors))
		default:
			cells := []string{name, of("%.0f", rate), of("%.1f", p50), of("%.0f", p99), of("%.2f", cpu),
				of("%.0f", perCPU), of("%.1f", memory), of("%.0f", errors)}
			if w.php {
				cells = append(cells, of("%.2f", php))
			}
			t.row(cells...)
		}
	}
	t.print()
}
