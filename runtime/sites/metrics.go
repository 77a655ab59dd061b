package sites

import (
	"fapws/runtime/conn"
	"fapws/runtime/live"
	"fapws/runtime/metrics"
)

// Measure counts requests with r from now on. Requests that have begun before are not counted.
func (s *Sites) Measure(r *metrics.Recorder) {
	s.metrics = r
	s.nameRoutes()
}

// Turn is called when handlers are about to run, and when responses are about to be sent.
func (s *Sites) Turn() {
	if s.metrics != nil {
		s.metrics.Turn()
	}
}

// nameRoutes finds what counts the requests of each mount: mounts with the same name, as files and an application for the same
// path, share it.
func (s *Sites) nameRoutes() {
	if s.metrics == nil {
		return
	}
	for i := range s.table.sites {
		site := &s.table.sites[i]
		host := site.canonical()
		if host == "" && len(site.Names) > 0 {
			host = site.Names[0]
		}
		site.counts = s.metrics.Route(host, "none")
		for k := range site.Table {
			site.Table[k].counts = s.metrics.Route(host, site.Table[k].label())
		}
	}
}

// label is how the operator knows the mount: the paths it answers, as the configuration has them.
func (m *Mount) label() string {
	name := m.Prefix
	if m.Within != "" {
		name = m.Within
	}
	if name == "" {
		name = "/"
	}
	for _, pattern := range [...]string{m.Having, m.Match} {
		if pattern != "" {
			name += " " + pattern
		}
	}
	return name
}

// measured counts the end of x.
func (s *Sites) measured(x *Exchange) {
	s.metrics.End(x.began, x.counts, x.Out.Status)
}

// KindOf returns what a connection of a client is: "http", "http2", "websocket" or "tunnel"; "" for subrequests, and for
// connections that other packages count.
func KindOf(p conn.Protocol) string {
	switch p := p.(type) {
	case *Client:
		if p.Subrequest() {
			return ""
		}
		return "http"
	case prefaceReader, *multiplexed:
		return "http2"
	case *live.Socket:
		return "websocket"
	case *conn.TunnelLink:
		return "tunnel"
	}
	return ""
}
