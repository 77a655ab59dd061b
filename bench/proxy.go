package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// proxyServers are the servers in front of an upstream.
var proxyServers = []string{"threads", "nginx", "nginx126", "caddy"}

// An origin is the upstream of a workload, which shares the CPU of the clients.
type origin struct {
	server string // fapws or gunicorn
	unix   bool
	// address for the configurations of the servers: "unix:/path" or "127.0.0.1:port"; set when the upstream has started
	address string
}

// proxyWorkloads returns a workload for each kind of response, each upstream, and each kind of socket.
func proxyWorkloads() (workloads []workload) {
	for _, w := range []workload{
		{name: "proxyhello", title: "hello, 64 connections", path: "/hello", connections: 64, length: 13},
		{name: "proxy100k", title: "100 KiB, 16 connections", path: "/100k", connections: 16, length: 100 << 10},
		{name: "proxypost", title: "4 KiB POST echo, 64 connections", path: "/echo", connections: 64,
			script: "post.lua", length: 4096, post: 4096},
		{name: "proxyparts", title: "100 streamed parts of 128 bytes, 16 connections", path: "/generator",
			connections: 16, length: 12800},
		{name: "proxydown", title: "200 MB in parts of 64 KiB, 2 connections", path: "/large", connections: 2,
			length: 200 << 20},
		{name: "proxyup", title: "200 MB POST, 2 connections", path: "/count", connections: 2, script: "large.lua",
			length: 9, post: 200 << 20},
		{name: "proxystream", title: "200 MB POST, passed on while it arrives, 2 connections", path: "/count",
			connections: 2, script: "large.lua", length: 9, post: 200 << 20, unbuffered: true},
	} {
		w.app, w.servers = "app", proxyServers
		for _, o := range []origin{{server: "fapws", unix: true}, {server: "fapws"}, {server: "gunicorn", unix: true},
			{server: "gunicorn"}} {
			each := w
			each.origin = &o
			socket := "TCP"
			if o.unix {
				socket = "unix"
			}
			each.name = fmt.Sprintf("%s/%s/%s", w.name, o.server, socket)
			each.title = fmt.Sprintf("proxy to %s over %s: %s", o.server, socket, w.title)
			workloads = append(workloads, each)
		}
	}
	return workloads
}

// proxyTargets compares fapws with nginx in each of proxyWorkloads.
func proxyTargets() (targets []target) {
	nginx := []string{"nginx"}
	for _, w := range proxyWorkloads() {
		targets = append(targets,
			target{w.name + ": CPU ÷ nginx", w.name, cpu, nginx, ratio, true, 1.1, notJudged, "%.2f"},
			target{w.name + ": requests/s ÷ nginx", w.name, rate, nginx, ratio, false, 1.0, notJudged, "%.2f"},
			target{w.name + ": p99 ÷ nginx", w.name, p99, nginx, ratio, true, 1.0, notJudged, "%.2f"})
	}
	return targets
}

// startOrigin starts the upstream of w, if it has one.
func startOrigin(w *workload, set *settings) (stop func(), err error) {
	if w.origin == nil {
		return func() {}, nil
	}
	o := *w.origin
	w.origin = &o
	p, err := start(&server{name: "origin", beside: true, command: func(port int, w *workload, s *settings) []string {
		o.address = address(port)
		if o.unix {
			file := filepath.Join(s.work, "upstream.sock")
			o.address = "unix:" + file
			os.Remove(file) // the socket is left if a run was killed
		}
		if o.server == "gunicorn" {
			return []string{inVenv("gunicorn"), "--bind", o.address, "--worker-class", "gthread", "--threads", "4",
				"--log-level", "warning", "--chdir", s.apps, w.app + ":application"}
		}
		return []string{os.Getenv("FAPWS_BIN"), "--bind", o.address, "--threads", "0", "--max-body-size", "1G",
			filepath.Join(s.apps, w.app+".py")}
	}}, w, set)
	if err != nil {
		return nil, err
	}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial(o.network(), strings.TrimPrefix(o.address, "unix:"))
		if err == nil {
			conn.Close()
			return p.stop, nil
		}
		if time.Since(begun) > 30*time.Second {
			p.stop()
			return nil, fmt.Errorf("the upstream %s does not listen, see origin.log", o.server)
		}
	}
}

func (o *origin) network() string {
	if o.unix {
		return "unix"
	}
	return "tcp"
}

func fapwsProxyConfig(w *workload, s *settings) string {
	target := w.origin.address
	if !w.origin.unix {
		target = "http://" + target
	}
	lines := []string{`max-body-size = "1G"`, "[[host]]", "[[host.route]]", `prefix = "/"`,
		fmt.Sprintf("proxy = %q", target)}
	if w.unbuffered {
		lines = append(lines, "proxy-request-buffering = false")
	}
	return s.write("proxy.toml", lines)
}

// nginxProxy returns the lines of a server that keeps connections to the upstream and adds the fields about the
// client that fapws adds by default.
func nginxProxy(w *workload) (upstream, location []string) {
	buffering := "on"
	if w.unbuffered {
		buffering = "off"
	}
	upstream = []string{"  upstream back { server " + w.origin.address + "; keepalive 64; keepalive_requests 100000000; }",
		"  client_max_body_size 1g;"}
	return upstream, []string{"    location / { proxy_pass http://back; proxy_http_version 1.1;",
		`      proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;`,
		"      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;",
		"      proxy_request_buffering " + buffering + "; }"}
}

func (w *workload) caddyProxy() string {
	if w.origin.unix {
		return "\treverse_proxy unix/" + w.origin.address[len("unix:"):]
	}
	return "\treverse_proxy " + w.origin.address
}

// proxyGroups are the words for workloads with an upstream.
func proxyGroups() map[string][]string {
	all := map[string][]string{}
	for _, w := range proxyWorkloads() {
		kind, _, _ := strings.Cut(w.name, "/")
		all["proxy"] = append(all["proxy"], w.name)
		all[kind] = append(all[kind], w.name)
	}
	return all
}
