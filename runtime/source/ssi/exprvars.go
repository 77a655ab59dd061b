package ssi

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/http1"
)

// variable returns the value of %{name}: a variable of the request or the server.
// Those of SSI are v('name').
func variable(name string) word {
	f := requestVariables[strings.ToUpper(name)]
	if f == nil {
		fail("unknown variable %q", name)
	}
	return f
}

// field is a variable with a field of the request.
func field(name string) word { return func(p *page) string { return p.field(name) } }

// clock is a variable with the time.
func clock(format string) word {
	return func(*page) string { return time.Now().Format(format) }
}

func always(s string) word { return func(*page) string { return s } }

// of is a variable that is in the table of variables too.
func of(name string) word {
	return func(p *page) string { s, _ := p.vars.get(name, p.timefmt); return s }
}

var requestVariables = map[string]word{
	"HTTP_ACCEPT":           field("Accept"),
	"HTTP_COOKIE":           field("Cookie"),
	"HTTP_FORWARDED":        field("Forwarded"),
	"HTTP_HOST":             func(p *page) string { return p.r.Host() },
	"HTTP_PROXY_CONNECTION": field("Proxy-Connection"),
	"HTTP_REFERER":          field("Referer"),
	"HTTP_USER_AGENT":       field("User-Agent"),

	"REQUEST_METHOD":   func(p *page) string { return p.r.Method() },
	"REQUEST_SCHEME":   of("REQUEST_SCHEME"),
	"REQUEST_URI":      func(p *page) string { return p.r.Path },
	"REQUEST_FILENAME": func(p *page) string { return p.s.opt.Root + p.f.name },
	"SCRIPT_FILENAME":  func(p *page) string { return p.s.opt.Root + p.f.name },
	"REQUEST_STATUS":   always("200"),
	"DOCUMENT_URI":     of("DOCUMENT_URI"),
	"DOCUMENT_ROOT":    of("DOCUMENT_ROOT"),
	"PATH_INFO":        always(""),
	"QUERY_STRING":     func(p *page) string { return p.r.Query() },
	"IS_SUBREQ":        func(p *page) string { return strconv.FormatBool(p.r.Depth > 0) },
	"THE_REQUEST":      func(p *page) string { return p.r.Method() + " " + p.r.Target() + " " + p.r.Parsed.Version.String() },
	"CONTENT_TYPE":     always("text/html"),
	"LAST_MODIFIED":    func(p *page) string { return p.f.modified.Local().Format("20060102150405") },
	"SCRIPT_USER":      of("USER_NAME"),

	"REMOTE_ADDR":      func(p *page) string { return p.r.Peer.Addr },
	"REMOTE_HOST":      func(p *page) string { return p.r.Peer.Addr },
	"REMOTE_PORT":      func(p *page) string { return p.r.Peer.Port },
	"CONN_REMOTE_ADDR": func(p *page) string { return p.r.Peer.Addr },
	"REMOTE_USER":      of("REMOTE_USER"),
	"AUTH_TYPE":        of("AUTH_TYPE"),
	"HTTPS":            func(p *page) string { return onOff(p.r.Peer.Scheme == "https") },
	"IPV6":             func(p *page) string { return onOff(strings.Contains(p.r.Peer.Addr, ":")) },
	"HTTP2":            func(p *page) string { return onOff(p.r.Parsed.Version == http1.HTTP2) },

	"SERVER_NAME":                   func(p *page) string { return serverName(p.r) },
	"SERVER_PORT":                   func(p *page) string { return p.r.Peer.ServerPort },
	"SERVER_PROTOCOL":               func(p *page) string { return p.r.Parsed.Version.String() },
	"SERVER_PROTOCOL_VERSION":       func(p *page) string { major, minor := version(p.r); return fmt.Sprint(1000*major + minor) },
	"SERVER_PROTOCOL_VERSION_MAJOR": func(p *page) string { major, _ := version(p.r); return fmt.Sprint(major) },
	"SERVER_PROTOCOL_VERSION_MINOR": func(p *page) string { _, minor := version(p.r); return fmt.Sprint(minor) },
	"SERVER_SOFTWARE":               of("SERVER_SOFTWARE"),

	"TIME_YEAR": clock("2006"), "TIME_MON": clock("01"), "TIME_DAY": clock("02"),
	"TIME_HOUR": clock("15"), "TIME_MIN": clock("04"), "TIME_SEC": clock("05"),
	"TIME_WDAY": func(*page) string { return fmt.Sprint(int(time.Now().Weekday())) },
	"TIME":      clock("20060102150405"),
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
