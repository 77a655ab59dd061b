package main

import "slices"

// A kind says how a workload is measured.
type kind int

const (
	load    kind = iota // wrk asks as fast as it can
	startup             // from starting the process to its first answer
	idle                // memory of connections that are open and silent
	reload              // requests that fail while HUP comes every second
)

// workload is one row of the comparison.
type workload struct {
	name        string
	title       string
	kind        kind
	app         string // in bench/apps, without .py
	path        string
	script      string // in bench/lua
	connections int
	length      int64    // of the body that each answer must have
	post        bool     // 4 KiB are sent
	sitters     int      // clients that keep asking for /slow meanwhile
	sameCPU     bool     // server and loader share one CPU, for latencies
	workers     int      // processes of the server, which then has both CPUs
	servers     []string // who takes part; nil: all that can answer path
}

// frameworkServers run what has a framework in it: there the server is the smaller part.
var frameworkServers = []string{"threads", "inline", "uwsgi", "gunicorn", "waitress"}

var workloads = []workload{
	{name: "hello", title: "hello, 64 connections", app: "hello", path: "/hello", connections: 64, length: 13},
	{name: "one", title: "hello, 1 connection, all on one CPU", app: "hello", path: "/hello", connections: 1, length: 13, sameCPU: true},
	{name: "thousand", title: "hello, 1000 connections", app: "hello", path: "/hello", connections: 1000, length: 13},
	{name: "pipelined", title: "hello, 16 pipelined, 64 connections", app: "hello", path: "/hello", connections: 64, script: "pipeline.lua", length: 13},
	{name: "json", title: "JSON with 5 header fields, 64 connections", app: "app", path: "/json", connections: 64, length: 28},
	{name: "echo", title: "4 KiB POST echo, 64 connections", app: "app", path: "/echo", connections: 64, script: "post.lua", length: 4096, post: true},
	{name: "mebibyte", title: "1 MiB bytes, 16 connections", app: "app", path: "/mebibyte", connections: 16, length: 1 << 20},
	{name: "generator", title: "generator of 100 chunks, 16 connections", app: "app", path: "/generator", connections: 16, length: 12800},
	{name: "static", title: "1 MiB static file, 16 connections", app: "app", path: "/static/mebibyte.bin", connections: 16, length: 1 << 20},
	{name: "file", title: "1 MiB file object from a handler, 16 connections", app: "app", path: "/file", connections: 16, length: 1 << 20},
	{name: "slow", title: "hello, 64 connections, while 4 clients sit in a 0.2 s handler", app: "app", path: "/hello", connections: 64, length: 13, sitters: 4},
	{name: "flask", title: "Flask hello, 64 connections", app: "flask_hello", path: "/hello", connections: 64, length: 13, servers: frameworkServers},
	{name: "django", title: "Django hello, 64 connections", app: "django_hello", path: "/hello", connections: 64, length: 13, servers: frameworkServers},
	{name: "workers", title: "hello, 64 connections, 2 workers on both CPUs", app: "hello", path: "/hello", connections: 64, length: 13, workers: 2,
		servers: []string{"threads", "inline", "uwsgi", "gunicorn"}},
	{name: "reload", title: "hello, 16 connections, 2 workers, HUP every second", kind: reload, app: "hello", path: "/hello", connections: 16, length: 13, workers: 2,
		servers: []string{"threads", "inline"}},
	{name: "startup", title: "start to first answer", kind: startup, app: "hello", path: "/hello", length: 13},
	{name: "idle", title: "memory of idle keep-alive connections", kind: idle, app: "hello", path: "/hello", length: 13},
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

// scriptFile is the file in bench/lua that wrk runs.
func (w *workload) scriptFile() string {
	if w.script == "" {
		return "report.lua"
	}
	return w.script
}

// servedBy reports whether a server takes part.
func (w *workload) servedBy(s *server) bool {
	if w.servers != nil && !slices.Contains(w.servers, s.name) {
		return false
	}
	return slices.Contains(s.paths, w.path) && (w.sitters == 0 || slices.Contains(s.paths, "/slow"))
}
