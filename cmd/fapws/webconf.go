package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/route"
)

type site struct {
	Bind        []string          `toml:"bind"`
	KeepAlive   float64           `toml:"keep-alive,omitzero"`
	HeadTimeout float64           `toml:"head-timeout,omitzero"`
	Types       map[string]string `toml:"types,omitempty"`
	Hosts       []host            `toml:"host"`
}

type host struct {
	Name    string   `toml:"name,omitempty"`
	Default bool     `toml:"default,omitempty"`
	Root    string   `toml:"root"`
	Index   []string `toml:"index"`
}

type conf struct {
	name  string
	site  site
	lines map[string]int // map from a word and a name, such as "host a.lan", to the line number
	notes []string
}

// convertWebconf converts a web.conf of httPyServer to a configuration file, and returns a note for each line that was
// left out or changed, "web.conf:3: …". If text has no host, convertWebconf returns an error of one line. A web.conf
// has these lines:
//
//	host DOMAIN ROOT      the directory of a domain; "default" is every other one
//	media EXTENSION TYPE  the media type of files
//	parameter NAME VALUE  timeout, in seconds
func convertWebconf(name string, text []byte) (file string, notes []string, err error) {
	c := &conf{name: name, site: site{Types: map[string]string{}}, lines: map[string]int{}}
	c.site.Bind = []string{"0.0.0.0:8888"} // httPyServer serves all machines
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		c.read(i+1, strings.ToValidUTF8(line, "?"))
	}
	if len(c.site.Hosts) == 0 {
		return "", c.notes, fmt.Errorf("%s: found no line of the form: host DOMAIN DIRECTORY", name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# From %s, by fapws import. Relative folders are relative to this file.
# keep-alive is for a client that sends nothing, head-timeout for one that does not end its request.
# The types go before those that are built in. The default host is for every name that is not here.

`, settings.OneLine(name))
	e := toml.NewEncoder(&b)
	e.Indent = ""
	err = e.Encode(c.site)
	return b.String(), c.notes, err
}

func (c *conf) note(line int, format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf("%s:%d: %s", c.name, line, fmt.Sprintf(format, args...)))
}

var words = []string{"host", "media", "parameter"}

// maxLine limits a line, in bytes, so that fapws.toml can contain the converted and escaped line.
const maxLine = 2048

func (c *conf) read(n int, line string) {
	if len(line) > maxLine {
		c.note(n, "skipped a line of more than %d bytes", maxLine)
		return
	}
	fields := strings.Fields(line)
	if comment := slices.IndexFunc(fields, func(f string) bool { return f[0] == '#' }); comment >= 0 {
		fields = fields[:comment]
	}
	if len(fields) == 0 {
		return
	}
	word := strings.ToLower(fields[0])
	switch {
	case !slices.Contains(words, word):
		hint := ""
		if near := settings.Nearest(word, words); near != "" {
			hint = ", did you mean " + near + "?"
		}
		c.note(n, "%.40q is not host, media or parameter: skipped%s", fields[0], hint)
		return
	case len(fields) != 3:
		c.note(n, "%s takes two words, not %d: skipped", word, len(fields)-1)
		return
	}
	name, value := fields[1], fields[2]
	switch word {
	case "host":
		c.host(n, strings.ToLower(name), value)
	case "media":
		name = strings.TrimPrefix(name, ".")
		if !mediaType().MatchString(value) || strings.Trim(name, ".") == "" {
			c.note(n, "%.80q is not a media type: skipped", value)
			return
		}
		c.again(n, word, name, "this one applies")
		c.site.Types[name] = value
	case "parameter":
		name = strings.ToLower(name)
		if err := c.parameter(name, value); err != nil {
			c.note(n, "parameter %.40q: %v: skipped", name, err)
			return
		}
		c.again(n, word, name, "this one applies")
	}
}

// The method again reports whether an earlier line of the file contains word and name. If so, again adds a note with
// the number of that line.
func (c *conf) again(n int, word, name, remedy string) bool {
	first, known := c.lines[word+" "+name]
	if known {
		c.note(n, "%s %s already appears on line %d: %s", word, name, first, remedy)
	}
	c.lines[word+" "+name] = n
	return known
}

func (c *conf) host(n int, name, root string) {
	bare, port, hasPort := strings.Cut(name, ":")
	switch _, err := route.HostName(bare); {
	case err != nil:
		c.note(n, "%.80q is not a host name: skipped", name)
		return
	case hasPort:
		c.note(n, "ignored the port %.10q of %s: hosts are distinguished by name", port, bare)
	}
	if c.again(n, "host", bare, "skipped") {
		return
	}
	h := host{Name: bare, Root: root, Index: []string{"index.html"}}
	if bare == "default" {
		h.Name, h.Default = "", true
	}
	c.site.Hosts = append(c.site.Hosts, h)
}

var mediaType = settings.Pattern(`^[\w!#$&^.+-]+/[\w!#$&^.+-]+(;[\w!#$&^.+=-]+)?$`)

func (c *conf) parameter(name, value string) error {
	const longest = 366 * 24 * 3600
	switch name {
	case "timeout": // limits the wait for a request and for its head
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil || !(seconds >= 0.001 && seconds <= longest) {
			return fmt.Errorf("%.40q is not a time in seconds", value)
		}
		c.site.KeepAlive, c.site.HeadTimeout = seconds, seconds
	case "port":
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("%.40q is not a port", value)
		}
		c.site.Bind = []string{fmt.Sprintf("0.0.0.0:%d", port)}
	default:
		return errors.New("fapws has no such parameter")
	}
	return nil
}

func importConf(args []string, stdout, stderr io.Writer) error {
	if len(args) != 1 {
		return process.ExitUsage(errors.New("import needs a file: fapws import web.conf > fapws.toml"))
	}
	text, err := settings.ReadFileLimited(args[0])
	if err != nil {
		return process.ExitUsage(err)
	}
	file, notes, err := convertWebconf(args[0], text)
	if what := settings.ForeignFile(settings.WordRun, args[0]); what != "" && err != nil {
		return process.ExitUsage(fmt.Errorf("import reads web.conf of httPyServer only, and %s is %s", args[0], what))
	}
	for _, line := range notes {
		fmt.Fprintln(stderr, "fapws:", line)
	}
	if err != nil {
		return process.ExitUsage(err)
	}
	_, err = io.WriteString(stdout, file)
	return err
}
