package programs

import (
	"net"
	"path"
	"strconv"
	"strings"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// Site is the server, as the meta-variables describe it.
type Site struct {
	Software     string // SERVER_SOFTWARE: "fapws/1.0"
	DocumentRoot string // DOCUMENT_ROOT: an absolute path
}

// Variables calls set for each meta-variable of RFC 3875 §4.1, and for those
// that Apache has added since. Values are free of NUL.
//
// Fields whose name has an underscore are left out, since "X_User" could not be
// told from "X-User"; so is Proxy, because programs take HTTP_PROXY for a setting
// of their own.
func Variables(r *backend.Request, site *Site, s *Script, set func(name, value string)) {
	set("GATEWAY_INTERFACE", "CGI/1.1")
	set("SERVER_SOFTWARE", site.Software)
	set("SERVER_PROTOCOL", r.Parsed.Version.String())
	name, port := serverName(r)
	set("SERVER_NAME", name)
	set("SERVER_PORT", port)
	set("REQUEST_METHOD", r.Method())
	set("REQUEST_URI", requestURI(r))
	set("QUERY_STRING", r.Query())
	set("SCRIPT_NAME", r.Path[:s.Base]+s.Name)
	set("DOCUMENT_ROOT", site.DocumentRoot)
	if s.File != "" {
		set("SCRIPT_FILENAME", s.File)
	}
	if s.Info != "" {
		set("PATH_INFO", s.Info)
		set("PATH_TRANSLATED", site.DocumentRoot+path.Clean(s.Info))
	}
	if r.Peer.User != "" {
		set("AUTH_TYPE", r.Peer.Login.String())
		set("REMOTE_USER", r.Peer.User)
	}
	set("REMOTE_ADDR", r.Peer.Addr)
	set("REMOTE_HOST", r.Peer.Addr) // RFC 3875 §4.1.9: instead of a name, which would take a look-up
	set("REMOTE_PORT", r.Peer.Port)
	if r.Peer.Scheme == "https" {
		set("HTTPS", "on")
		set("REQUEST_SCHEME", "https")
		if r.Peer.TLS != nil {
			for variable := range strings.SplitSeq(strings.TrimSuffix(r.Peer.TLS.Variables, "\x00"), "\x00") {
				name, value, _ := strings.Cut(variable, "=")
				set(name, value)
			}
		}
	} else {
		set("REQUEST_SCHEME", "http")
	}
	// RFC 3875 §4.1.2: only with a body. Programs that read a form expect it anyway.
	if r.Size > 0 || !r.Parsed.Safe {
		set("CONTENT_LENGTH", strconv.FormatInt(r.Size, 10))
	}
	fields(r, set)
}

// fields sets CONTENT_TYPE and HTTP_*.
func fields(r *backend.Request, set func(name, value string)) {
	type field struct{ name, value string }
	var all []field
next:
	for _, f := range r.Parsed.Fields {
		name := variableName(f.Name.In(r.Head))
		value := string(f.Value.In(r.Head))
		switch name {
		case "", "PROXY", "CONTENT_LENGTH", "TRANSFER_ENCODING", "HOST":
			continue
		case "CONTENT_TYPE":
			set(name, value)
			continue
		case "AUTHORIZATION":
			if r.Peer.User != "" && r.Peer.Login == exchange.Basic { // RFC 3875 §4.1.18: the server has dealt with it
				continue
			}
		}
		for i := range all {
			if all[i].name == name {
				separator := ", "
				if name == "COOKIE" { // RFC 6265 §5.4
					separator = "; "
				}
				all[i].value += separator + value
				continue next
			}
		}
		all = append(all, field{name, value})
	}
	if host := r.Host(); host != "" {
		set("HTTP_HOST", host)
	}
	for _, f := range all {
		set("HTTP_"+f.name, f.value)
	}
}

// variableName returns the name behind HTTP_ for a field, "" for one that is left out.
func variableName(name []byte) string {
	out := make([]byte, len(name))
	for i, c := range name {
		switch {
		case c == '-':
			c = '_'
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default: // "_", and characters that are not valid in the name of a variable
			return ""
		}
		out[i] = c
	}
	return string(out)
}

// serverName returns the host that the client asked for without its port, and
// the port that it has reached.
func serverName(r *backend.Request) (name, port string) {
	name = r.Host()
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	if name == "" {
		name = r.Peer.ServerName
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]" // RFC 3875 §4.1.14
	}
	return name, r.Peer.ServerPort
}

// requestURI is the request-target in origin-form.
func requestURI(r *backend.Request) string {
	target := r.Target()
	if r.Parsed.Authority.Len == 0 {
		return target
	}
	target = string(r.Parsed.Path.In(r.Head))
	if q := r.Query(); q != "" {
		target += "?" + q
	}
	return target
}
