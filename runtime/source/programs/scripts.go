package programs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/source/static"
	"fapws/runtime/system"
)

// Scripts finds the program for a path, and is safe for concurrent use.
type Scripts struct {
	ScriptOptions
	root      *os.Root
	find      func(name string) (fs.FileInfo, error) // second result of static.OpenTree
	directory string
}

type ScriptOptions struct {
	// Root is the directory of the programs, and no path or link can lead outside it.
	Root string

	// Match contains patterns (path.Match) for the names of programs, such as "*.php"; if it is empty, each file below
	// Root is a program.
	Match []string

	// Only is the name of the only program in Root that is run. It handles all paths, and its SCRIPT_NAME is the path
	// of the mount. "" means that any program in Root is run.
	Only string

	// Base returns the length of the prefix of Request.Path that corresponds to Root. The rest of the path is a path
	// below Root. If Base is nil, this length is Request.Script.
	Base func(*backend.Request) int

	// Index contains the names of the programs that handle requests for a directory; if it is empty, the response has
	// status 403.
	Index []string

	// Links determines which symbolic links are followed.
	Links static.Symlinks
}

type Script struct {
	File string // absolute path of the program
	Name string // the program's path below Root, beginning with a slash: "/dir/a.cgi"
	Info string // rest of the request path after the program: "" or "/..."
	Base int    // length of the prefix of Request.Path before Name

	Executable bool
}

func NewScripts(o ScriptOptions) (*Scripts, error) {
	directory, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	root, find, err := static.OpenTree(directory, o.Links)
	if err != nil {
		return nil, fmt.Errorf("cannot run programs of %s: %w", directory, system.Cause(err))
	}
	return &Scripts{o, root, find, directory}, nil
}

var (
	errNotFound  = errors.New("program not found")
	errForbidden = errors.New("not an executable program")
)

// Find follows the path p down from Root to the first file. The rest of the path is PATH_INFO. p is percent-decoded,
// and begins with a slash or is empty. The program must exist, so "/picture.jpg/x.php" never runs a picture. Find reads
// the disk.
func (s *Scripts) Find(p string) (Script, error) {
	if s.Only != "" {
		info, err := s.stat(s.Only)
		if err != nil {
			return Script{}, err
		}
		script, err := s.program("/"+s.Only, p, info)
		script.Name = ""
		return script, err
	}
	rest := p
	name := ""
	for {
		segment, ok := strings.CutPrefix(rest, "/")
		if !ok || segment == "" {
			return s.findIndex(name)
		}
		segment, _, _ = strings.Cut(segment, "/")
		rest = rest[1+len(segment):]
		// Names that begin with a dot are hidden, such as .git and .htaccess.
		if segment == "" || segment[0] == '.' || strings.ContainsRune(segment, 0) {
			return Script{}, errNotFound
		}
		name += "/" + segment
		info, err := s.stat(name[1:])
		if err != nil {
			return Script{}, err
		}
		if !info.IsDir() {
			return s.program(name, rest, info)
		}
	}
}

// Below returns a function for ScriptOptions.Base. prefix is the URL path of the directory, such as "/x", or "" for a
// document root.
func Below(prefix string) func(*backend.Request) int {
	n := len(strings.TrimRight(prefix, "/"))
	return func(r *backend.Request) int { return min(r.Root+n, len(r.Path)) }
}

// The method For returns the program for a request. If the file does not exist, For returns fallback or, if fallback is
// nil, an error.
func (s *Scripts) For(r *backend.Request, fallback *Script) (Script, error) {
	base := r.Script
	if s.Base != nil {
		base = s.Base(r)
	}
	script, err := s.Find(r.Path[base:])
	if err != nil && fallback != nil {
		script, err = *fallback, nil
	}
	script.Base = base
	return script, err
}

func (s *Scripts) findIndex(directory string) (Script, error) {
	for _, file := range s.Index {
		name := directory + "/" + file
		if info, err := s.stat(name[1:]); err == nil && !info.IsDir() {
			return s.program(name, "", info)
		}
	}
	return Script{}, errForbidden
}

func (s *Scripts) program(name, info string, file fs.FileInfo) (Script, error) {
	if !file.Mode().IsRegular() || !s.matches(name) {
		return Script{}, errForbidden
	}
	return Script{File: s.directory + name, Name: name, Info: info, Executable: file.Mode()&0o111 != 0}, nil
}

func (s *Scripts) matches(name string) bool {
	return len(s.Match) == 0 || static.FitsAny(s.Match, name)
}

func (s *Scripts) stat(name string) (fs.FileInfo, error) {
	info, err := s.find(name)
	// no such file, or a link that leads outside Root or is forbidden by Links
	if err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return nil, errNotFound
	}
	return info, nil
}

type SiteVariables struct {
	Software     string // SERVER_SOFTWARE: "fapws/1.0"
	DocumentRoot string // DOCUMENT_ROOT: an absolute path
}

// Variables calls set for each meta-variable of RFC 3875 §4.1, and for each variable that Apache sets in addition.
// Values contain no NUL.
//
// Fields with an underscore in their name are omitted, because programs could not distinguish "X_User" from "X-User".
// The field Proxy is omitted, because many programs would take its variable HTTP_PROXY as the address of a proxy.
func Variables(r *backend.Request, site *SiteVariables, s *Script, set func(name, value string)) {
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
	// RFC 3875 §4.1.9 permits the address instead of the host name; finding the name would require a DNS query
	set("REMOTE_HOST", r.Peer.Addr)
	set("REMOTE_PORT", r.Peer.Port)
	if r.Peer.HTTPS {
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
	// Set CONTENT_LENGTH for each POST, because programs that read a form expect it, although RFC 3875 §4.1.2 permits
	// it only if there is a body.
	if r.Size > 0 || !r.Parsed.Safe {
		set("CONTENT_LENGTH", strconv.FormatInt(r.Size, 10))
	}
	fields(r, set)
}

func fields(r *backend.Request, set func(name, value string)) {
	var names []string
	values := map[string]string{}
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
			// omit the password, because the server itself has checked it (RFC 3875 §4.1.18)
			if r.Peer.User != "" && r.Peer.Login == exchange.Basic {
				continue
			}
		}
		before, known := values[name]
		switch {
		case !known:
			names = append(names, name)
		case name == "COOKIE": // RFC 6265 §5.4
			value = before + "; " + value
		default:
			value = before + ", " + value
		}
		values[name] = value
	}
	if host := r.Host(); host != "" {
		set("HTTP_HOST", host)
	}
	for _, name := range names {
		set("HTTP_"+name, values[name])
	}
}

func variableName(name []byte) string {
	out := make([]byte, len(name))
	for i, c := range name {
		switch {
		case c == '-':
			c = '_'
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		// omit fields whose name contains "_" or a character that is invalid in variable names
		default:
			return ""
		}
		out[i] = c
	}
	return string(out)
}

func serverName(r *backend.Request) (name, port string) {
	name = r.Host()
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	name = cmp.Or(name, r.Peer.ServerName)
	if strings.Contains(name, ":") {
		name = "[" + name + "]" // RFC 3875 §4.1.14
	}
	return name, r.Peer.ServerPort
}

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
