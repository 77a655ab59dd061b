package command

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/route"
)

// pair is a host with its root, a media type, or a parameter.
type pair struct {
	name, value string
	line        int
}

// conf is the content of a web.conf.
type conf struct {
	name       string
	hosts      []pair // name "": default
	media      []pair
	parameters []pair
	notes      []string
}

// convertWebconf returns the configuration file, and a line for each thing that was
// left out or understood in another way: "web.conf:3: …". The error, one line, is
// that text has no host.
func convertWebconf(name string, text []byte) (file string, notes []string, err error) {
	c := &conf{name: name}
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		c.read(i+1, strings.ToValidUTF8(line, "?"))
	}
	if len(c.hosts) == 0 {
		return "", c.notes, fmt.Errorf("%s: found no line of the form: host DOMAIN DIRECTORY", name)
	}
	return c.write(), c.notes, nil
}

func (c *conf) note(line int, format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf("%s:%d: %s", c.name, line, fmt.Sprintf(format, args...)))
}

var words = []string{"host", "media", "parameter"}

// maxLine is how many bytes of a line are taken: the converted line fits in a line of fapws.toml, however much of it
// must be escaped.
const maxLine = 2048

func (c *conf) read(n int, line string) {
	if len(line) > maxLine {
		c.note(n, "skipped a line of more than %d bytes", maxLine)
		return
	}
	fields := strings.Fields(line)
	for i, f := range fields {
		if f[0] == '#' {
			fields = fields[:i]
			break
		}
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
		c.host(n, name, value)
	case "media":
		if !mediaType().MatchString(value) || strings.Trim(name, ".") == "" {
			c.note(n, "%.80q is not a media type: skipped", value)
			return
		}
		c.put(&c.media, word, pair{strings.TrimPrefix(name, "."), value, n})
	case "parameter":
		c.put(&c.parameters, word, pair{strings.ToLower(name), value, n})
	}
}

func (c *conf) host(n int, name, root string) {
	name = strings.ToLower(name)
	bare, port, hasPort := strings.Cut(name, ":")
	switch _, err := route.HostName(bare); {
	case err != nil:
		c.note(n, "%.80q is not a host name: skipped", name)
		return
	case hasPort:
		c.note(n, "ignored the port %.10q of %s: hosts are distinguished by name", port, bare)
	}
	if bare == "default" {
		bare = ""
	}
	for _, other := range c.hosts {
		if other.name == bare {
			c.note(n, "host %s already appears on line %d: skipped", name, other.line)
			return
		}
	}
	c.hosts = append(c.hosts, pair{bare, root, n})
}

// mediaType is "text/plain", a parameter may follow.
var mediaType = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\w!#$&^.+-]+/[\w!#$&^.+-]+(;[\w!#$&^.+=-]+)?$`)
})

// put adds p to list, or replaces the pair with that name.
func (c *conf) put(list *[]pair, word string, p pair) {
	for i, other := range *list {
		if other.name == p.name {
			c.note(p.line, "%s %s already appears on line %d: this one applies", word, p.name, other.line)
			(*list)[i] = p
			return
		}
	}
	*list = append(*list, p)
}

// write makes the file.
func (c *conf) write() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# From %s, by fapws import. Relative folders are relative to this file.\n\n", settings.OneLine(c.name))
	b.WriteString("# bind = \"0.0.0.0:8888\"\n")
	for _, p := range c.parameters {
		if err := parameter(&b, p); err != nil {
			c.note(p.line, "parameter %.40q: %v: skipped", p.name, err)
			fmt.Fprintf(&b, "# line %d, skipped: parameter %s %s\n", p.line, settings.OneLine(p.name), settings.OneLine(p.value))
		}
	}
	if len(c.media) > 0 {
		b.WriteString("\n# These go before the types that are built in.\n[types]\n")
		for _, m := range c.media {
			b.WriteString(entry(m.name, m.value))
		}
	}
	for _, h := range c.hosts {
		b.WriteString("\n[[host]]\n")
		if h.name == "" {
			b.WriteString("default = true # for every host that is not named here\n")
		} else {
			b.WriteString(entry("name", h.name))
		}
		b.WriteString(entry("root", h.value) + "index = [\"index.html\"]\n")
	}
	return b.String()
}

// parameter writes one as settings. The error says why it cannot be one.
func parameter(b *strings.Builder, p pair) error {
	const longest = 366 * 24 * 3600
	switch p.name {
	case "timeout":
		seconds, err := strconv.ParseFloat(p.value, 64)
		if err != nil || !(seconds >= 0.001 && seconds <= longest) {
			return fmt.Errorf("%.40q is not a time in seconds", p.value)
		}
		value := strconv.FormatFloat(seconds, 'f', -1, 64)
		fmt.Fprintf(b, "\n# timeout: for a client that sends nothing, and for one that does not end its request.\nkeep-alive = %s\nhead-timeout = %s\n", value, value)
	case "port":
		port, err := strconv.ParseUint(p.value, 10, 16)
		if err != nil {
			return fmt.Errorf("%.40q is not a port", p.value)
		}
		fmt.Fprintf(b, "port = %d\n", port)
	default:
		return errors.New("fapws has no such parameter")
	}
	return nil
}

// entry is a line of TOML.
func entry(key, value string) string {
	line, _ := toml.Marshal(map[string]string{key: value}) // no text is wrong
	return string(line)
}

const importHelp = `Usage: fapws import web.conf > fapws.toml
web.conf has lines of the form: host DOMAIN DIRECTORY, media EXTENSION TYPE,
parameter NAME VALUE. Lines that cannot be converted are reported. For nginx, Caddy and
others, docs/migrate.md shows each directive in fapws.toml.

Exit status: 0 converted; 2 the file cannot be read or has no such line.
`

// importConf is "fapws import": it converts a configuration file of httPyServer, and reports the lines that it leaves
// out.
func importConf(args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) != 1:
		return process.ExitUsage(errors.New("import needs a file: fapws import web.conf > fapws.toml"))
	case args[0] == "--help" || args[0] == "-h":
		_, err := io.WriteString(stdout, importHelp)
		return err
	}
	text, err := settings.ReadFileLimited(args[0])
	if err != nil {
		return process.ExitUsage(err)
	}
	file, notes, err := convertWebconf(args[0], text)
	if what := settings.ForeignFile(args[0]); what != "" && err != nil {
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
