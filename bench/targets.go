package main

import (
	"fmt"
	"slices"
	"strconv"

	"fapws/bench/results"
)

type target struct {
	title    string
	workload string
	value    func(sample) float64
	// the servers with which fapws is compared; the comparison uses the best of these servers
	against []string
	compare func(value, other float64) float64
	atMost  bool
	threads float64
	inline  float64
	format  string
}

const notJudged = -1

// peers are the usual servers for WSGI frameworks, uvicorn is the usual server for ASGI, and bjoern and fastwsgi are
// the fastest servers for WSGI.
var (
	peers    = []string{"gunicorn", "uwsgi", "granian"}
	uvicorn  = []string{"uvicorn"}
	bjoern   = []string{"bjoern"}
	fastwsgi = []string{"fastwsgi"}
)

func ratio(value, other float64) float64  { return value / other }
func over(value, other float64) float64   { return other / value }
func minus(value, other float64) float64  { return value - other }
func exceed(value, other float64) float64 { return other - value }

var targets = append([]target{
	{"hello, 64 connections: CPU ÷ bare gnet", "hello", cpu, []string{"baregnet"}, ratio, true, 1.03, 1.03, "%.2f"},
	{"JSON with 5 fields: CPU ÷ bare gnet", "json", cpu, []string{"baregnet"}, ratio, true, 1.36, 1.27, "%.2f"},
	{"JSON with 5 fields: CPU ÷ bjoern", "json", cpu, bjoern, ratio, true, 0.80, 0.80, "%.2f"},
	{"JSON with 5 fields: CPU ÷ fastwsgi", "json", cpu, fastwsgi, ratio, true, 0.80, 0.80, "%.2f"},
	{"4 KiB POST echo: CPU ÷ bare gnet", "echo", cpu, []string{"baregnet"}, ratio, true, 1.27, 1.15, "%.2f"},
	{"hello, 1000 connections: CPU ÷ bare gnet", "thousand", cpu, []string{"baregnet"}, ratio, true, 1.30, 1.15,
		"%.2f"},
	{"cached page: requests per CPU second ÷ bare gnet", "cached", perCPU, []string{"baregnet"}, ratio, false, 0.90,
		0.90, "%.2f"},
	{"cached page: requests per CPU second ÷ nginx", "cached", perCPU, []string{"nginx"}, ratio, false, 1.2, 1.2,
		"%.2f"},
	{"hello with the access log: CPU ÷ without, threads", "log", cpu, []string{"threads+log"}, over, true, 1.15,
		notJudged, "%.2f"},
	{"hello with the access log: CPU ÷ without, inline", "log", cpu, []string{"inline+log"}, over, true, notJudged,
		1.25, "%.2f"},
	{"hello with metrics: CPU ÷ without, threads", "inside", cpu, []string{"threads+metrics"}, over, true, 1.03,
		notJudged, "%.2f"},
	{"hello with metrics: CPU ÷ without, inline", "inside", cpu, []string{"inline+metrics"}, over, true, notJudged,
		1.03, "%.2f"},
	{"hello with metrics and traces: CPU ÷ without, threads", "inside", cpu, []string{"threads+traces"}, over, true,
		1.03, notJudged, "%.2f"},
	{"hello with metrics and traces: CPU ÷ without, inline", "inside", cpu, []string{"inline+traces"}, over, true,
		notJudged, 1.03, "%.2f"},
	{"16 pipelined: requests/s ÷ bare gnet", "pipelined", rate, []string{"baregnet"}, ratio, false, 0.55, 0.55, "%.2f"},
	{"1 MiB bytes: CPU ÷ fastwsgi", "mebibyte", cpu, fastwsgi, ratio, true, 0.70, 0.70, "%.2f"},
	{"1 connection: CPU ÷ bjoern", "one", cpu, bjoern, ratio, true, 1.1, 0.9, "%.2f"},
	{"1 connection: p50 ÷ bare gnet", "one", p50, []string{"baregnet"}, ratio, true, 1.7, 1.15, "%.2f"},
	{"hello with 4 slow handlers: requests/s ÷ without", "slow", share, nil, nil, false, 0.90, notJudged, "%.2f"},
	{"a connection for each request: CPU ÷ bjoern", "fresh", cpu, bjoern, ratio, true, 0.95, 0.95, "%.2f"},
	{"a connection for each request: requests/s ÷ bjoern", "fresh", rate, bjoern, ratio, false, 0.9, 0.9, "%.2f"},
	{"generator: CPU ÷ uvicorn", "generator", cpu, uvicorn, ratio, true, 0.6, 0.6, "%.2f"},
	{"generator: requests/s ÷ uvicorn", "generator", rate, uvicorn, ratio, false, 1.0, 1.0, "%.2f"},
	{"1 MiB file: requests/s ÷ nginx", "static", rate, []string{"nginx"}, ratio, false, 1.5, 1.5, "%.2f"},
	{"1 KiB file: requests per CPU second ÷ nginx", "file1k", perCPU, []string{"nginx"}, ratio, false, 1.2, notJudged,
		"%.2f"},
	{"100 KiB file: requests per CPU second ÷ nginx", "file100k", perCPU, []string{"nginx"}, ratio, false, 1.2,
		notJudged, "%.2f"},
	{"1 MiB file: requests per CPU second ÷ nginx", "file1m", perCPU, []string{"nginx"}, ratio, false, 1.2, notJudged,
		"%.2f"},
	{"1 GiB file to slow readers: MiB/s ÷ nginx", "file1g", rate, []string{"nginx"}, ratio, false, 1.0, notJudged,
		"%.2f"},
	{"1 GiB file to slow readers: requests per CPU second ÷ nginx", "file1g", perCPU, []string{"nginx"}, ratio, false,
		1.2, notJudged, "%.2f"},
	{"listing: requests per CPU second ÷ nginx", "listing", perCPU, []string{"nginx"}, ratio, false, 1.2, notJudged,
		"%.2f"},
	{"304: requests per CPU second ÷ nginx", "conditional", perCPU, []string{"nginx"}, ratio, false, 1.0, notJudged,
		"%.2f"},
	{"range: requests per CPU second ÷ nginx", "range", perCPU, []string{"nginx"}, ratio, false, 1.0, notJudged,
		"%.2f"},
	{"gzip on the fly: requests per CPU second ÷ nginx", "gzip", perCPU, []string{"nginx"}, ratio, false, 1.2,
		notJudged, "%.2f"},
	{"gzip made before: requests per CPU second ÷ nginx", "gzipstatic", perCPU, []string{"nginx"}, ratio, false, 1.2,
		notJudged, "%.2f"},
	{"1 GiB file to slow readers: growth of its own memory, MB", "file1g", grown, nil, nil, true, 1, notJudged, "%.1f"},
	{"Flask hello: requests per CPU second ÷ best of gunicorn, uwsgi, granian", "flask", perCPU, peers, ratio, false,
		1.3, 1.3, "%.2f"},
	{"Django hello: requests per CPU second ÷ best of gunicorn, uwsgi, granian", "django", perCPU, peers, ratio, false,
		1.3, 1.3, "%.2f"},
	{"ASGI hello: requests per CPU second ÷ uvicorn", "asgi", perCPU, uvicorn, ratio, false, 1.5, 1.5, "%.2f"},
	{"Starlette JSON: requests per CPU second ÷ uvicorn", "starlette", perCPU, uvicorn, ratio, false, 1.4, 1.4, "%.2f"},
	{"FastAPI JSON: CPU ÷ uvicorn", "fastapi", cpu, uvicorn, ratio, true, 0.75, 0.75, "%.2f"},
	{"WebSocket echo by ASGI: messages per CPU second ÷ uvicorn", "websocket", perCPU, uvicorn, ratio, false, 1.5, 1.5,
		"%.2f"},
	{"WebSocket echo by ASGI: messages per CPU second ÷ websockets", "websocket", perCPU, []string{"websockets"}, ratio,
		false, 1.5, 1.5, "%.2f"},
	{"WebSocket echo by callbacks: messages per CPU second ÷ uvicorn", "callbacks", perCPU, uvicorn, ratio, false, 1.5,
		1.5, "%.2f"},
	{"WebSocket echo by callbacks: messages per CPU second ÷ websockets", "callbacks", perCPU, []string{"websockets"},
		ratio, false, 1.5, 1.5, "%.2f"},
	{"1000 WebSockets by ASGI: memory of each ÷ uvicorn", "sockets", each, uvicorn, ratio, true, 0.6, 0.6, "%.2f"},
	{"1000 WebSockets by callbacks: memory of each ÷ uvicorn", "callsockets", each, uvicorn, ratio, true, 0.6, 0.6,
		"%.2f"},
	{"10,000 subscribers: KiB of each", "subscribers", each, nil, nil, true, 2, 2, "%.2f"},
	{"10,000 subscribers: ms until all have an event", "subscribers", took, nil, nil, true, 1000, 1000, "%.0f"},
	{"10,000 subscribers: p99 of hello while they are given events ÷ before", "subscribers", beside, nil, nil, true, 2,
		2, "%.2f"},
	{"10,000 subscribers: CPU while nothing happens, %", "subscribers", idling, nil, nil, true, 0.5, 0.5, "%.2f"},
	{"PHP hello: requests/s ÷ nginx", "php", rate, []string{"nginx"}, ratio, false, 1.0, notJudged, "%.2f"},
	{"PHP hello: requests per CPU second without PHP's ÷ nginx", "php", perCPU, []string{"nginx"}, ratio, false, 0.5,
		notJudged, "%.2f"},
	{"PHP hello: requests per CPU second with PHP's ÷ nginx", "php", perWhole, []string{"nginx"}, ratio, false, 0.6,
		notJudged, "%.2f"},
	{"hello over TLS: CPU ÷ nginx", "tlshello", cpu, []string{"nginx"}, ratio, true, 0.5, 0.5, "%.2f"},
	{"hello over TLS: CPU ÷ bare gnet", "tlshello", cpu, []string{"baregnet"}, ratio, true, 1.10, 1.10, "%.2f"},
	{"full handshakes: CPU ÷ nginx", "tlsfull", cpu, []string{"nginx"}, ratio, true, 0.9, 0.9, "%.2f"},
	{"resumed handshakes: CPU ÷ nginx", "tlsresumed", cpu, []string{"nginx"}, ratio, true, 0.8, 0.8, "%.2f"},
	{"1 MiB file over TLS: requests/s ÷ nginx", "tlsfile", rate, []string{"nginx"}, ratio, false, 0.9, notJudged,
		"%.2f"},
	{"1 MiB file over TLS: requests per CPU second ÷ nginx", "tlsfile", perCPU, []string{"nginx"}, ratio, false, 0.9,
		notJudged, "%.2f"},
	{"HTTP/2, 1 stream: CPU ÷ nginx", "http2", cpu, []string{"nginx"}, ratio, true, 0.8, 0.8, "%.2f"},
	{"HTTP/2, 16 streams: CPU ÷ nginx", "http2streams", cpu, []string{"nginx"}, ratio, true, 0.5, 0.5, "%.2f"},
	{"HTTP/2, 16 streams: CPU ÷ net/http", "http2streams", cpu, []string{"nethttp"}, ratio, true, 0.35, 0.35, "%.2f"},
	{"failed requests, with a reload every second", "reload", errors, nil, nil, true, 0, 0, "%.0f"},
	{"start to first answer − python3 -c pass, ms", "startup", took, []string{pythonPass}, minus, true, 8, 8, "%.1f"},
	{"start to first file, ms", "firstfile", took, nil, nil, true, 5, 5, "%.1f"},
	{"own memory after the hellos, MB", "hello", memory, nil, nil, true, 9, 9, "%.1f"},
	{"idle keep-alive connection, KiB", "idle", each, nil, nil, true, 4, 4, "%.1f"},
}, slices.Concat(proxyTargets(), distantTargets(), bundleTargets())...)

func (b *bench) measured(t *target, server string) (float64, bool) {
	mine := b.results[key{t.workload, server}]
	if len(mine) == 0 {
		return 0, false
	}
	if t.compare == nil {
		return median(mine, t.value), true
	}
	var values []float64
	// Compare samples of the same round, because the speed of the machine may change between rounds.
	for i := range mine {
		if other, found := b.best(t, i); found {
			values = append(values, t.compare(t.value(mine[i]), other))
		}
	}
	return results.Median(values), len(values) > 0
}

func (b *bench) best(t *target, round int) (value float64, found bool) {
	for _, server := range t.against {
		samples := b.results[key{t.workload, server}]
		if round >= len(samples) {
			continue
		}
		other := t.value(samples[round])
		if !found || (other < value) == t.atMost {
			value, found = other, true
		}
	}
	return value, found
}

func (b *bench) printTargets() {
	t := newTable("target", "threads", "limit", "", "inline", "limit", "")
	any := false
	for i := range targets {
		cells, found := b.judge(&targets[i])
		if found {
			t.row(cells...)
			any = true
		}
	}
	if any {
		fmt.Println("\nTargets, medians over the rounds")
		fmt.Println()
		t.print()
	}
}

func (b *bench) judge(t *target) (cells []string, found bool) {
	cells = []string{t.title}
	for _, mode := range []struct {
		server string
		limit  float64
	}{{"threads", t.threads}, {"inline", t.inline}} {
		value, ok := b.measured(t, mode.server)
		if !ok || mode.limit == notJudged {
			cells = append(cells, "–", "", "")
			continue
		}
		found = true
		sign, verdict := "≥", "MISS"
		if t.atMost {
			sign = "≤"
		}
		text := fmt.Sprintf(t.format, value)
		shown, _ := strconv.ParseFloat(text, 64)
		if (shown <= mode.limit) == t.atMost || shown == mode.limit {
			verdict = "pass"
		}
		cells = append(cells, text, fmt.Sprintf("%s %g", sign, mode.limit), verdict)
	}
	return cells, found
}
