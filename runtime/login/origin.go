package login

import (
	"bytes"
	"net/url"
	"strings"

	"fapws/runtime/http1"
)

// FromElsewhere reports whether a browser has sent a request because a page of another origin told it to, as far as the
// browser says so: by Sec-Fetch-Site, or by Origin where it does not send that. host is what the client has asked for.
func FromElsewhere(head []byte, fields []http1.Field, host string) bool {
	if site := field(head, fields, "sec-fetch-site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	origin := field(head, fields, "origin")
	if origin == "" {
		return false // not a browser
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || !strings.EqualFold(plainHost(u.Host, u.Scheme), plainHost(host, u.Scheme))
}

// plainHost returns a host without the usual port of its scheme.
func plainHost(host, scheme string) string {
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

func field(head []byte, fields []http1.Field, name string) string {
	for _, f := range fields {
		if int(f.Name.Len) == len(name) && bytes.EqualFold(f.Name.In(head), []byte(name)) {
			return string(f.Value.In(head))
		}
	}
	return ""
}

func escape(s string) string { return url.QueryEscape(s) }
