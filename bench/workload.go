package main

import (
	"maps"
	"slices"
	"time"
)

type kind int

const (
	load    kind = iota // wrk sends requests as fast as possible
	startup             // time from the start of the process to its first response
	idle                // memory of idle connections
	reload              // failed requests while the server gets the signal HUP every second
	slowly              // slow clients of a large file
	echoing
	passing     // large messages over WebSockets
	sockets     // memory of many WebSockets
	subscribers // many subscribers of server-sent events
	handshaking // TLS connections with one request each
	overHTTP2   // h2load sends requests as fast as possible
	distant     // large bodies through a relay that delays them
)

type workload struct {
	name        string
	title       string
	kind        kind
	app         string
	path        string
	script      string
	connections int
	length      int64    // length of the body of each response; -1 means any
	post        int      // size of the body of each request
	sitters     int      // clients that request /slow all the time
	sameCPU     bool     // server and load generator share a CPU, for latencies
	workers     int      // server processes; the server then has both CPUs
	servers     []string // servers to compare; nil means all that serve path
	folder      bool
	early       bool
	php         bool // PHP responds, by FastCGI
	asgi        bool
	fields      []string
	since       bool // requests have If-Modified-Since and expect 304
	coding      string
	status      int // expected status; 0 means 200
	tls         bool
	resumed     bool // connections resume the TLS session of an earlier connection
	streams     int  // concurrent HTTP/2 streams on each connection
	origin      *origin
	unbuffered  bool          // the server passes a request body on while it arrives
	delay       time.Duration // of each direction of a connection
	memory      int64         // limit of the server's control group in bytes; 0 means none
}

var wsgiServers = []string{"baregnet", "threads", "inline", "granian", "uwsgi", "gunicorn", "bjoern", "fastwsgi"}

var frameworkServers = []string{"threads", "inline", "granian", "uwsgi", "gunicorn", "bjoern"}

var (
	asgiServers      = []string{"threads", "inline", "uvicorn", "granian", "hypercorn"}
	websocketServers = append(slices.Clone(asgiServers), "websockets")
)

var workloads = append([]workload{
	{name: "hello", title: "WSGI hello, 64 connections", app: "hello", path: "/hello", connections: 64, length: 13,
		servers: wsgiServers},
	{name: "log", title: "hello, 64 connections, with and without an access log (combined, rotated at 1M)",
		app: "hello", path: logged, connections: 64, length: 13},
	{name: "inside", title: "hello, 64 connections, with and without metrics (--status), and with traces in " +
		"addition (--trace)", app: "hello", path: watched, connections: 64, length: 13},
	{name: "one", title: "hello, 1 connection, all on one CPU", app: "hello", path: "/hello", connections: 1,
		length: 13, sameCPU: true},
	{name: "thousand", title: "hello, 1000 connections", app: "hello", path: "/hello", connections: 1000, length: 13},
	{name: "fresh", title: "hello, a connection for each request, 16 connections", app: "hello", path: "/hello",
		connections: 16, length: 13,
		fields: []string{"Connection: close"}, servers: []string{"threads", "inline", "bjoern", "fastwsgi", "uwsgi",
			"gunicorn"}},
	{name: "pipelined", title: "hello, 16 pipelined, 64 connections", app: "hello", path: "/hello", connections: 64,
		script: "pipeline.lua", length: 13},
	{name: "json", title: "JSON with 5 header fields, 64 connections", app: "app", path: "/json", connections: 64,
		length: 28},
	{name: "echo", title: "4 KiB POST echo, 64 connections", app: "app", path: "/echo", connections: 64,
		script: "post.lua", length: 4096, post: 4096},
	{name: "mebibyte", title: "1 MiB bytes, 16 connections", app: "app", path: "/mebibyte", connections: 16,
		length: 1 << 20},
	{name: "generator", title: "generator of 100 chunks, 16 connections", app: "app", path: "/generator",
		connections: 16, length: 12800},
	{name: "static", title: "1 MiB static file, 16 connections", app: "app", path: "/static/mebibyte.bin",
		connections: 16, length: 1 << 20},
	{name: "file", title: "1 MiB file object from a handler, 16 connections", app: "app", path: "/file",
		connections: 16, length: 1 << 20},
	{name: "cached", title: "4 KiB dynamic page from the cache, 64 connections", app: "app", path: "/cached",
		connections: 64, length: 4096},
	{name: "slow", title: "hello, 64 connections, while 4 clients sit in a 0.2 s handler", app: "app", path: "/hello",
		connections: 64, length: 13, sitters: 4},
	{name: "flask", title: "Flask hello, 64 connections", app: "flask_hello", path: "/hello", connections: 64,
		length: 13, servers: frameworkServers},
	{name: "django", title: "Django hello, 64 connections", app: "django_hello", path: "/hello", connections: 64,
		length: 13, servers: frameworkServers},
	{name: "asgi", title: "ASGI hello, 64 connections", asgi: true, app: "asgi", path: "/hello", connections: 64,
		length: 13, servers: asgiServers},
	{name: "starlette", title: "Starlette JSON, 64 connections", asgi: true, app: "starlette_json", path: "/json",
		connections: 64, length: 27, servers: asgiServers},
	{name: "fastapi", title: "FastAPI JSON, 64 connections", asgi: true, app: "fastapi_json", path: "/json",
		connections: 64, length: 27, servers: asgiServers},
	{name: "websocket", title: "WebSocket echo by ASGI, 64 connections (a request is a message of 64 bytes)",
		kind: echoing, asgi: true, app: "asgi", path: "/ws",
		connections: 64, servers: websocketServers},
	{name: "callbacks", title: "WebSocket echo by fapws.WebSocket, 64 connections (a request is a message of 64 bytes)",
		kind: echoing, app: "sockets", path: "/ws",
		connections: 64, servers: websocketServers},
	{name: "upload", title: "2 MB POST to WSGI, read 64 KiB at a time, 2 connections", app: "app", path: "/count",
		connections: 2, script: "upload.lua", length: 7, post: 2_000_000, servers: frameworkServers},
	{name: "asgiupload", title: "2 MB POST to ASGI, 2 connections", asgi: true, app: "asgi", path: "/count",
		connections: 2, script: "upload.lua", length: 7, post: 2_000_000, servers: asgiServers},
	{name: "wsgiparts", title: "10 MiB from a generator, in parts of 64 KiB, 2 connections", app: "app",
		path: "/parts", connections: 2, length: 10 << 20, servers: frameworkServers},
	{name: "asgiparts", title: "10 MiB by ASGI, in parts of 64 KiB, 2 connections", asgi: true, app: "asgi",
		path: "/parts", connections: 2, length: 10 << 20, servers: asgiServers},
	{name: "compress", title: "JSON of 100 KB, each different, compressed on the fly, 8 connections", app: "app",
		path: "/document", connections: 8, length: -1, fields: []string{"Accept-Encoding: gzip"}, coding: "gzip",
		servers: []string{"threads", "inline"}},
	{name: "messages", title: "WebSocket echo by ASGI of 256 KiB, 16 connections", kind: passing, asgi: true,
		app: "asgi", path: "/ws", connections: 16, servers: websocketServers},
	{name: "sockets", title: "1000 WebSockets by ASGI", kind: sockets, asgi: true, app: "asgi", path: "/ws",
		connections: 1000, servers: websocketServers},
	{name: "callsockets", title: "1000 WebSockets by fapws.WebSocket", kind: sockets, app: "sockets", path: "/ws",
		connections: 1000, servers: websocketServers},
	{name: "subscribers", title: "10,000 subscribers to a channel", kind: subscribers, app: "subscribers",
		path: "/news", connections: 10000, length: 13,
		servers: []string{"threads", "inline"}},
	{name: "php", title: "PHP hello by FastCGI, 2 php-cgi, 16 connections", php: true, path: "/hello.php",
		connections: 16, length: 13,
		servers: []string{"threads", "nginx"}},
	{name: "workers", title: "hello, 64 connections, 2 workers on both CPUs", app: "hello", path: "/hello",
		connections: 64, length: 13, workers: 2,
		servers: []string{"threads", "inline", "uwsgi", "gunicorn"}},
	{name: "reload", title: "hello, 16 connections, 2 workers, HUP every second", kind: reload, app: "hello",
		path: "/hello", connections: 16, length: 13, workers: 2,
		servers: []string{"threads", "inline"}},
	{name: "file1k", title: "1 KiB file, 64 connections", folder: true, path: "/1k.bin", connections: 64,
		length: 1 << 10, servers: fileServers},
	{name: "file100k", title: "100 KiB file, 16 connections", folder: true, path: "/100k.bin", connections: 16,
		length: 100 << 10, servers: fileServers},
	{name: "file1m", title: "1 MiB file, 16 connections", folder: true, path: "/1m.bin", connections: 16,
		length: 1 << 20, servers: fileServers},
	{name: "file1g", title: "1 GiB file to 200 clients that take 1 MB/s (a request is a mebibyte)", kind: slowly,
		folder: true, path: "/1g.bin", length: 1 << 30, servers: fileServers},
	{name: "listing", title: "listing of 100 files, 16 connections", folder: true, path: "/many/", connections: 16,
		length: -1, servers: fileServers},
	{name: "conditional", title: "304 for a file of 100 KiB, 64 connections", folder: true, path: "/100k.bin",
		connections: 64, length: 100 << 10, since: true, servers: fileServers},
	{name: "range", title: "10 KiB of a file of 1 MiB, 64 connections", folder: true, path: "/1m.bin", connections: 64,
		length: 10 << 10, status: 206,
		fields: []string{"Range: bytes=500000-510239"}, servers: fileServers},
	{name: "gzip", title: "page of 49 KiB, compressed on the fly, 16 connections", folder: true, path: "/page.html",
		connections: 16, length: -1,
		fields: []string{"Accept-Encoding: gzip"}, coding: "gzip", servers: []string{"threads", "nginx", "apache"}},
	{name: "gzipstatic", title: "page of 49 KiB, compressed before, 64 connections", folder: true, path: "/packed.html",
		connections: 64, length: -1,
		fields: []string{"Accept-Encoding: gzip"}, coding: "gzip", servers: []string{"threads", "nginx"}},
	{name: "tlshello", title: "hello over TLS, 64 connections", tls: true, app: "hello", path: "/hello",
		connections: 64, length: 13,
		servers: append(slices.Clone(tlsServers), "baregnet")},
	{name: "tlsfull", title: "full TLS handshakes with a request each, 8 at a time", kind: handshaking, tls: true,
		app: "hello", path: "/hello", connections: 8, length: 13,
		servers: tlsServers},
	{name: "tlsresumed", title: "resumed TLS handshakes with a request each, 8 at a time", kind: handshaking, tls: true,
		resumed: true, app: "hello", path: "/hello",
		connections: 8, length: 13, servers: tlsServers},
	{name: "tlsfile", title: "1 MiB file over TLS, 16 connections", tls: true, folder: true, path: "/1m.bin",
		connections: 16, length: 1 << 20, servers: []string{"threads", "nginx"}},
	{name: "http2", title: "hello over HTTP/2, 64 connections with 1 stream each", kind: overHTTP2, tls: true,
		streams: 1, app: "hello", path: "/hello", connections: 64, length: 13,
		servers: tlsServers},
	{name: "http2streams", title: "hello over HTTP/2, 4 connections with 16 streams each", kind: overHTTP2, tls: true,
		streams: 16, app: "hello", path: "/hello", connections: 4,
		length: 13, servers: tlsServers},
	{name: "devicehello", title: "hello on a device, 16 connections", app: "hello", path: "/hello", connections: 16,
		length: 13, memory: deviceMemory, servers: []string{"threads"}},
	{name: "deviceflask", title: "Flask hello on a device, 16 connections", app: "flask_hello", path: "/hello",
		connections: 16, length: 13, memory: deviceMemory, servers: []string{"threads"}},
	{name: "devicefile", title: "100 KiB file on a device, 16 connections", folder: true, path: "/100k.bin",
		connections: 16,
		length:      100 << 10, memory: deviceMemory, servers: []string{"threads"}},
	{name: "startup", title: "start to first answer", kind: startup, app: "hello", path: "/hello", length: 13},
	{name: "firstfile", title: "start to first file, while the application loads", kind: startup, early: true,
		app: "hello", path: "/folder/1k.bin",
		servers: []string{"threads", "inline", "threads+workers", "nginx", "baregnet"}},
	{name: "idle", title: "memory of idle keep-alive connections", kind: idle, app: "hello", path: "/hello",
		length: 13},
}, slices.Concat(proxyWorkloads(), distantWorkloads(), bundleWorkloads())...)

const deviceMemory = 256 << 20

var pageServers = []string{"threads", "granian", "uwsgi", "gunicorn", "bjoern", "uvicorn", "hypercorn"}

// pageGroups are the workloads and servers of docs/performance.md. Ten rounds of five seconds of one group take less
// than 14 minutes.
var pageGroups = map[string][]string{
	"frameworks": append([]string{"flask", "django", "fastapi"}, pageServers...),
	"raw":        append([]string{"hello", "asgi", "startup", "idle"}, pageServers...),
	"web": {"websocket", "cached", "file1k", "file100k", "tlshello", "http2streams", "threads", "nginx", "uvicorn",
		"websockets"},
	"device": {"devicehello", "deviceflask", "devicefile", "threads"},
}

func groups() map[string][]string {
	all := proxyGroups()
	maps.Copy(all, pageGroups)
	for _, w := range workloads {
		switch {
		case slices.Contains(w.servers, "bundle"):
			all["bundle"] = append(all["bundle"], w.name)
		case w.kind == distant:
			all["far"] = append(all["far"], w.name)
		case w.tls:
			all["tls"] = append(all["tls"], w.name)
		}
	}
	all["uploads"], all["parts"] = []string{"upload", "asgiupload"}, []string{"wsgiparts", "asgiparts"}
	for _, words := range pageGroups {
		all["page"] = append(all["page"], words...)
	}
	return all
}

func expand(words []string) (names []string) {
	known := groups()
	for _, word := range words {
		if in, ok := known[word]; ok {
			names = append(names, in...)
		} else {
			names = append(names, word)
		}
	}
	return names
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

func (w *workload) scriptFile() string {
	if w.script == "" {
		return "report.lua"
	}
	return w.script
}

func (w *workload) servedBy(s *server) bool {
	if w.servers != nil {
		return slices.Contains(w.servers, s.name)
	}
	return slices.Contains(s.paths, w.path) && (w.sitters == 0 || slices.Contains(s.paths, "/slow"))
}
