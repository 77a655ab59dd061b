package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var percentiles = []float64{50, 75, 90, 95, 99, 99.9}

func (r *Result) span() time.Duration {
	switch o := r.options; {
	case r.stopped:
		return r.elapsed
	case o.Duration > 0:
		return o.Duration
	case r.last > 0:
		return r.last
	}
	return r.elapsed
}

func (r *Result) perSecond() float64 {
	n := r.finished
	if r.options.Duration > 0 {
		n = r.inTime
	}
	return float64(n) / r.span().Seconds()
}

func (r *Result) WriteText(w io.Writer) {
	o := r.options
	fmt.Fprintf(w, "%s %s, %s, %s", o.Method, o.URL, count(int64(o.Connections), "connection"),
		count(int64(o.Threads), "thread"))
	if o.HTTP2 {
		fmt.Fprintf(w, ", %s each", count(int64(o.Streams), "stream"))
	}
	fmt.Fprintf(w, "\n\nRequests   %s in %.2f s: %s per second, %s/s\n", grouped(r.finished), r.span().Seconds(),
		decimal(r.perSecond()), size(float64(r.received)/r.span().Seconds()))
	if r.stopped {
		fmt.Fprint(w, "           stopped before the end\n")
	}
	if n := r.unsent; n > 0 {
		fmt.Fprintf(w, "           %s more were due and not sent: the server answers no more than that\n", grouped(n))
	}
	r.writeCounts(w)
	if r.latency.TotalCount() > 0 {
		r.writeLatency(w)
	}
	r.writeDoubts(w)
}

func (r *Result) writeCounts(w io.Writer) {
	title := "Responses"
	for _, status := range slices.Sorted(maps.Keys(r.statuses)) {
		fmt.Fprintf(w, "%-10s %s × %d %s\n", title, grouped(r.statuses[status]), status, http.StatusText(status))
		title = ""
	}
	title = "Failed"
	list := func(reasons map[string]int64, thing string) {
		for _, reason := range slices.Sorted(maps.Keys(reasons)) {
			fmt.Fprintf(w, "%-10s %s: %s\n", title, count(reasons[reason], thing), reason)
			title = ""
		}
	}
	list(r.failures, "request")
	list(r.refused, "connection")
}

func (r *Result) writeLatency(w io.Writer) {
	h := r.latency
	from := "since the response before"
	if r.options.Rate > 0 {
		from = "since the time when the request was due"
	}
	fmt.Fprintf(w, "\nLatency    %s\n", from)
	for _, p := range percentiles {
		fmt.Fprintf(w, "%6s %%   %s\n", strconv.FormatFloat(p, 'f', -1, 64), latency(h.ValueAtQuantile(p)))
	}
	fmt.Fprintf(w, "     max   %s\n    mean   %s, standard deviation %s\n\n", latency(h.Max()),
		latency(int64(h.Mean())), latency(int64(h.StdDev())))
	for _, b := range r.bars() {
		fmt.Fprintf(w, "%10s   %-40s %6.2f %%\n", latency(int64(b.Limit*1e9)), strings.Repeat("█", int(b.Share*40+0.5)), b.Share*100)
	}
}

type bar struct {
	Limit float64 `json:"up_to"` // seconds
	Share float64 `json:"share"`
}

// bars divides the latencies into steps of 1, 2, 5, 10 … and omits empty bars at both ends.
func (r *Result) bars() []bar {
	bars, total := []bar{}, float64(r.latency.TotalCount())
	if total == 0 {
		return bars
	}
	limit, within := int64(1000), int64(0)
	add := func() {
		bars = append(bars, bar{float64(limit) / 1e9, float64(within) / total})
		within = 0
	}
	i := 0
	for _, d := range r.latency.Distribution() {
		for d.To > limit {
			add()
			if i++; i%3 == 2 {
				limit = limit / 2 * 5
			} else {
				limit *= 2
			}
		}
		within += d.Count
	}
	add()
	for bars[0].Share == 0 { // this loop ends, because there is at least one latency
		bars = bars[1:]
	}
	return bars
}

// writeDoubts warns if the generator itself may have been the limit.
func (r *Result) writeDoubts(w io.Writer) {
	o := r.options
	if busy := r.cpu.Seconds() / r.elapsed.Seconds(); busy > 0.9*float64(o.Threads) {
		fmt.Fprintf(w, "\nThe generator was busy all the time (%.1f processors): with more --threads the server may "+
			"answer more.\n", busy)
	}
	if r.late > 10*time.Millisecond {
		fmt.Fprintf(w, "\nThe generator was up to %s late with requests; their latencies count from the time "+
			"of sending.\n", latency(int64(r.late)))
	}
}

func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + thing + "s"
}

func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func decimal(f float64) string {
	if f < 1000 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return grouped(int64(f + 0.5))
}

func size(bytes float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if bytes < 1024 || unit == "GiB" {
			return fmt.Sprintf("%.1f %s", bytes, unit)
		}
		bytes /= 1024
	}
	return ""
}

func latency(ns int64) string {
	switch d := time.Duration(ns); {
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", float64(ns)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%.3g s", float64(ns)/1e9)
}

// WriteJSON writes times in seconds and sizes in bytes.
func (r *Result) WriteJSON(w io.Writer) error {
	seconds := func(ns float64) float64 { return ns / 1e9 }
	quantiles := map[string]float64{}
	for _, p := range percentiles {
		quantiles[strconv.FormatFloat(p, 'f', -1, 64)] = seconds(float64(r.latency.ValueAtQuantile(p)))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{
		"url":                 r.options.URL,
		"method":              r.options.Method,
		"connections":         r.options.Connections,
		"streams":             r.options.Streams,
		"threads":             r.options.Threads,
		"http2":               r.options.HTTP2,
		"rate":                r.options.Rate,
		"seconds":             r.span().Seconds(),
		"cpu_seconds":         r.cpu.Seconds(),
		"responses":           r.finished,
		"requests_per_second": r.perSecond(),
		"received":            r.received,
		"statuses":            r.statuses,
		"failed":              r.failures,
		"refused":             r.refused,
		"unsent":              r.unsent,
		"late":                r.late.Seconds(),
		"latency": map[string]any{
			"mean":               seconds(r.latency.Mean()),
			"standard_deviation": seconds(r.latency.StdDev()),
			"min":                seconds(float64(r.latency.Min())),
			"max":                seconds(float64(r.latency.Max())),
			"percentiles":        quantiles,
			"histogram":          r.bars(),
		},
	})
}

const longest = int64(time.Hour) // longer latencies share a bucket

// counts collects the results; latencies are in nanoseconds, to three digits.
type counts struct {
	latency  *hdrhistogram.Histogram
	statuses map[int]int64
	failures map[string]int64 // requests without a response, by reason
	refused  map[string]int64
	received int64 // received bytes, including heads
	finished int64
	inTime   int64 // number of responses that arrived before the run ended
	unsent   int64 // number of requests that were due but never sent
	last     time.Duration
	late     time.Duration // maximum delay of the generator
}

func newCounts() counts {
	return counts{latency: hdrhistogram.New(1, longest, 3), statuses: map[int]int64{}, failures: map[string]int64{},
		refused: map[string]int64{}}
}

func (c *counts) record(latency time.Duration) {
	// RecordValue cannot fail, because the value is in range
	_ = c.latency.RecordValue(max(1, min(int64(latency), longest)))
}
