package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fapws/runtime/http1"
)

type Level int

// These are the sources of a setting's value, in ascending order of precedence.
const (
	FromDefault Level = iota
	FromSurroundings
	FromForeign // environment variables of other tools, such as UVICORN_PORT and VIRTUAL_ENV
	FromScript
	FromFile
	FromEnvironment
	FromFlag
)

type Source struct {
	Level Level
	Name  string // for example "--bind", "FAPWS_BIND", "fapws.toml:12" or "app.py (SERVER)"
}

// String returns a text for --print-config, such as "flag --bind".
func (s Source) String() string {
	kinds := [...]string{"default", "found ", "environment ", "script ", "file ", "environment ", "flag "}
	return kinds[s.Level] + s.Name
}

// Settings collects the values of the settings: first from flags and environment variables, then from the configuration
// file and, after the script has run, from global variables in the script.
type Settings struct {
	conf Config
	from map[string]Source
	kept map[string]keptValue // settings from TakeKept; nil without a supervisor
	// settings whose value in the file was rejected, or was probably meant by an unknown key
	rejected []string

	onlyPATHS bool // see NotePATHS

	inside  string // path of the configuration file of a bundle, otherwise ""
	workDir string // the directory in which a bundle was started, or that of --chdir
}

func (s *Settings) Clone() *Settings {
	own := *s
	own.from = maps.Clone(s.from)
	return &own
}

// New returns the settings from flags and environment variables. The error contains a line for each wrong value, with
// the flag or variable, the value, and the allowed values.
func New(flags Flags, lookup func(string) (string, bool)) (*Settings, error) {
	s := &Settings{from: map[string]Source{}}
	var wrong []error
	for _, row := range settingsOf(&s.conf) {
		v := row.value
		if f, ok := flags[row.Name]; ok {
			if err := v.parse(f.text); err != nil {
				wrong = append(wrong, fmt.Errorf("%s %s: must be %w", f.as,
					cmp.Or(shorten(f.text), `""`), err))
			}
			s.from[row.Name] = Source{FromFlag, f.as}
			continue
		}
		if name, given := row.environment(lookup); given != "" {
			if flag := leadingFlag(given); flag != "" {
				wrong = append(wrong, fmt.Errorf("%s=%s in the environment: must be a value, not the flag %s", name,
					shorten(given), flag))
			} else if err := v.parse(given); err != nil {
				wrong = append(wrong, fmt.Errorf("%s=%s in the environment: must be %w", name, shorten(given), err))
			}
			s.from[row.Name] = Source{FromEnvironment, name}
			if row.yields && name == row.Env {
				s.from[row.Name] = Source{FromForeign, name}
			}
			continue
		}
		if row.Default != "" {
			_ = v.parse(row.Default)
		}
	}
	for _, part := range []string{"host", "port"} {
		if s.from["bind"].Level == FromFlag && s.from[part].Level == FromFlag {
			wrong = append(wrong, fmt.Errorf("set the whole address with %s, or a part of it with --%s, not both",
				s.from["bind"].Name, part))
		}
	}
	return s, errors.Join(wrong...)
}

// UnknownVariables returns a line for each variable that looks like a setting of fapws but is not. Internal variables,
// whose names begin with _FAPWS_, are skipped.
func UnknownVariables(environ []string) (lines []string) {
	p := newParser(table(), nil)
	for _, one := range environ {
		name, value, _ := strings.Cut(one, "=")
		rest, ours := strings.CutPrefix(name, "FAPWS_")
		if !ours || value == "" || slices.ContainsFunc(table(), func(s *Setting) bool { return s.EnvName() == name }) {
			continue
		}
		flag := "--" + strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
		hint := "; fapws --help all lists the settings"
		if answer := foreignAnswer(flag, value); answer != "" {
			hint = ": " + answer
		} else if near := nearestFlag(p.set, flag); near != nil {
			if r, ok := near.Value.(*recorder); ok {
				hint = ", did you mean " + r.row.EnvName() + "?"
			}
		}
		lines = append(lines, fmt.Sprintf("unknown variable %s in the environment%s", name, hint))
	}
	slices.Sort(lines)
	return lines
}

// ReadScript applies global variables from the script to settings that neither a flag nor an environment variable nor
// the configuration file has set. The error contains a line for each wrong value, with the variable and the allowed
// values.
func (s *Settings) ReadScript(script string, globals map[string]any) error {
	var wrong []error
	for _, row := range settingsOf(&s.conf) {
		if row.Global == "" || s.from[row.Name].Level > FromScript {
			continue
		}
		x, ok := globals[row.Global]
		if !ok {
			continue
		}
		if err := row.value.read(x, row.value.script, itself); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s is %s: must be %w", script, row.Global, shown(x, pythonBool), err))
			continue
		}
		s.from[row.Name] = Source{FromScript, script + " (" + row.Global + ")"}
	}
	return errors.Join(wrong...)
}

func pythonBool(enabled bool) string { return map[bool]string{true: "True", false: "False"}[enabled] }

// BodyLimit returns the value of MAX_BODY_SIZE in an application that is not the first one. The value limits request
// bodies for the paths of that application. BodyLimit returns 0 if the application does not set MAX_BODY_SIZE, or if a
// flag, an environment variable or the configuration file sets the limit.
func (s *Settings) BodyLimit(script string, globals map[string]any) (int64, error) {
	own := s.Clone()
	own.conf.Server.Sites.MaxBodySize = 0
	only := maps.Clone(globals)
	maps.DeleteFunc(only, func(name string, _ any) bool { return name != "MAX_BODY_SIZE" })
	err := own.ReadScript(script, only)
	return own.conf.Server.Sites.MaxBodySize, err
}

// TakeVenv sets the virtual environment to a directory that was found although no setting names one.
func (s *Settings) TakeVenv(venv, dir string) {
	s.conf.Venv, s.from["venv"] = venv, Source{FromSurroundings, dir}
}

// TakeBundle makes file the configuration file, which another file can override (ReadConfig), and lets Python use only
// the packages of the bundle. cache becomes the cache directory.
func (s *Settings) TakeBundle(file, cache string) {
	s.conf.CacheDir = cache
	s.TakeVenv("off", "bundle")
	s.inside = file
	s.workDir, _ = os.Getwd() // otherwise, relative paths remain below the directory of the bundle
	if chdir, err := filepath.Abs(s.conf.Chdir); err == nil && !strings.HasPrefix(chdir, filepath.Dir(file)) {
		s.workDir = chdir
	}
	if s.conf.File == "" {
		s.conf.File = file
	}
}

// InBundle reports whether this process runs a bundle.
func (s *Settings) InBundle() bool { return s.inside != "" }

// Anchor makes paths from flags, environment variables and a gunicorn.conf.py relative to dir, because the script has
// changed the working directory. Paths from fapws.toml are absolute already.
func (s *Settings) Anchor(dir string) {
	for _, row := range settingsOf(&s.conf) {
		v := row.value
		if !row.path || s.from[row.Name].Level < FromFile || v.show() == "" {
			continue
		}
		paths := []string{v.show()}
		if v.kind&isList != 0 {
			paths = strings.Split(paths[0], ",")
		}
		_ = v.parse(join(paths, ",", func(path string) string { return row.resolve(&TOMLFile{Dir: dir}, path) }))
	}
}

// Origin returns the origin of a setting's value for messages: "--reload-dir" or "fapws.toml:3: reload-dir".
func (s *Settings) Origin(name string) string {
	from := s.Source(name)
	if from.Level == FromFile {
		return from.Name + ": " + name
	}
	return from.Name
}

// Wrong returns err as a mistake in the value of a setting.
func (s *Settings) Wrong(name string, err error) error {
	if s.Source(name).Level == FromFile {
		return s.Located(name, fmt.Errorf("%s: %w", name, err))
	}
	return fmt.Errorf("%s: %w", s.Origin(name), err)
}

// Located returns err with the line of the file that sets a setting. If no file sets it, or if err is nil, Located
// returns err.
func (s *Settings) Located(name string, err error) error {
	from := s.Source(name)
	at := strings.LastIndexByte(from.Name, ':')
	if err == nil || from.Level != FromFile || at < 0 {
		return err
	}
	line, _ := strconv.Atoi(from.Name[at+1:])
	return (&TOMLFile{Name: from.Name[:at]}).Errorf(line, "%w", err)
}

func (s *Settings) File() string { return s.conf.File }

// CacheDir returns the directory of unpacked bundles, or "".
func (s *Settings) CacheDir() string { return s.conf.CacheDir }

// Config returns the current values. The error has a line for each contradiction between the values of settings, except
// contradictions that can follow from a rejected value.
func (s *Settings) Config() (Config, error) {
	c := s.conf
	c.Server.Sites.Proxies, c.Server.Sites.ProxyUnix, _ = trusted(c.Proxies) // parse has already checked the values
	s.settleDev(&c)
	s.changeAddress(&c)
	c.Bind = slices.Clone(c.Bind)
	for i, addr := range c.Bind {
		c.Bind[i] = s.WithHost(addr)
	}
	var wrong contradictions
	s.checkDev(&c, &wrong)
	s.settleTLS(&c, &wrong)
	c.Threads = limitThreads(c.Threads, c.RequestMemory())
	wrong.when(c.Server.Sites.ProxyProtocol && len(c.Proxies) == 0,
		"proxy-protocol (%s) requires forwarded-allow-ips, the addresses of the proxies", s.from["proxy-protocol"])
	wrong.when(c.Health != "" && strings.HasPrefix(c.Status+"/", c.Health+"/"),
		"status (%s) is at %s, which health (%s) answers, as all paths under %s; change one of them",
		s.from["status"], c.Status, s.from["health"], c.Health)
	wrong.when(c.Fork && c.Chroot != "",
		"fork (%s) cannot be combined with chroot (%s): its processes would stay outside; remove one of them",
		s.from["fork"], s.from["chroot"])
	wrong.when(c.MaxRSS > 0 && c.MaxRSS < 1<<20,
		"max-rss (%s) is %d bytes, less than any worker needs; write a size with a unit, such as 200M",
		s.from["max-rss"], c.MaxRSS)
	grace := &c.Server.WebSockets.ReloadGrace
	switch {
	case s.from["ws-reload-grace"].Level > FromDefault:
		wrong.when(*grace > c.GracefulTimeout,
			"ws-reload-grace (%s) is %v, longer than graceful-timeout, %v, after which the old code ends",
			s.from["ws-reload-grace"], *grace, c.GracefulTimeout)
	case c.Dev:
		*grace = 0
	default:
		*grace = min(*grace, c.GracefulTimeout)
	}
	for _, row := range table() {
		wrong.when(strings.HasPrefix(row.Name, "sandbox-") && s.from[row.Name].Level > FromDefault && !c.Sandboxed(),
			"%s (%s) has no effect without sandbox; add --sandbox", row.Name, s.from[row.Name])
	}
	s.fitHead(&c, &wrong)
	return c, errors.Join(slices.DeleteFunc(wrong, func(err error) bool { return mentions(err, s.rejected) })...)
}

type contradictions []error

func (w *contradictions) when(wrong bool, format string, args ...any) {
	if wrong {
		*w = append(*w, fmt.Errorf(format, args...))
	}
}

// mentions reports whether the text of err contains one of the names as a word.
func mentions(err error, names []string) bool {
	words := strings.FieldsFunc(err.Error(), func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') })
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.Contains(names, strings.TrimPrefix(word, "--"))
	})
}

// fitHead makes the limit for the request head at least as large as the limit for the request line, by changing the
// limit that the user has not set. If the user has set both limits, a smaller limit for the head is wrong.
func (s *Settings) fitHead(c *Config, wrong *contradictions) {
	const line, head = "limit-request-line", "limit-request-head"
	limits := &c.Server.Sites.Limits
	if s.from[head].Level == FromDefault {
		limits.Head = max(limits.Head, limits.RequestLine+56<<10)
	} else if s.from[line].Level == FromDefault {
		limits.RequestLine = min(limits.RequestLine, limits.Head)
	}
	wrong.when(limits.Head < limits.RequestLine, "%s (%s, %s) is less than %s (%s, %s)", head,
		showSize(int64(limits.Head)), s.from[head], line, showSize(int64(limits.RequestLine)), s.from[line])
}

// addressPart returns the name of the setting, host or port, that changes a part of the address, or "" if neither does.
// The setting has an effect only if its level is above the level of the address.
func (s *Settings) addressPart() string {
	best := ""
	for _, part := range []string{"host", "port"} {
		if s.from[part].Level > max(s.from["bind"].Level, s.from[best].Level) {
			best = part
		}
	}
	return best
}

// AddressSettled reports whether the global variable SERVER cannot change the address any further, because the setting
// bind, or both host and port, have a higher level than a script.
func (s *Settings) AddressSettled() bool {
	above := func(name string) bool { return s.from[name].Level > FromScript }
	return above("bind") || above("host") && above("port")
}

func (s *Settings) Source(name string) Source {
	if s.byDev(name) {
		return s.from["dev"]
	}
	if name == "bind" {
		if part := s.addressPart(); part != "" {
			return s.from[part]
		}
	}
	return s.from[name]
}

// Widths of two columns of --print-config: the length of the longest name, and of usual values.
const (
	configNames  = 31
	configValues = 24
)

// ConfigLine returns a line of --print-config.
func ConfigLine(name, value, origin string) string {
	return strings.TrimRight(fmt.Sprintf("%-*s %-*s %s", configNames, name, configValues, value, origin), " ") + "\n"
}

// WriteConfig writes the output of --print-config: each setting with its value and origin. The origin of a long value is
// below it, so that all origins are in one column.
func (s *Settings) WriteConfig(w io.Writer) error {
	conf, err := s.Config()
	if err != nil {
		return err
	}
	for _, row := range settingsOf(&conf) {
		if row.sugar {
			continue
		}
		shown := cmp.Or(row.value.show(), "-")
		line := ConfigLine(row.Name, shown, s.Source(row.Name).String())
		if utf8.RuneCountInString(shown) > configValues {
			line = ConfigLine(row.Name, shown, "") + ConfigLine("", "", s.Source(row.Name).String())
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

// settleDev applies the settings that Dev implies, unless they are set explicitly.
func (s *Settings) settleDev(c *Config) {
	c.Server.Debug = c.Debug // --dev does not change the debug level of the event loop
	if s.byDev("reload") {
		c.Reload = true
	}
	if s.byDev("debug") {
		c.Debug = 1
	}
}

func (s *Settings) byDev(name string) bool {
	if !s.conf.Dev {
		return false
	}
	switch name {
	case "reload":
		return !s.conf.Reload
	case "bind":
		return s.from["bind"].Level == FromDefault && s.addressPart() == ""
	case "debug":
		return s.from["debug"].Level <= FromScript && s.conf.Debug == 0
	}
	return false
}

// checkDev finds a mistake if clients on other machines can reach an address, because the tracebacks that --dev shows
// contain code and the values of variables.
func (s *Settings) checkDev(c *Config, wrong *contradictions) {
	for _, addr := range c.Bind {
		wrong.when(c.Dev && !c.DevAnywhere && !isLocal(addr), "--dev serves this machine only, but %s (%s) is reachable "+
			"from others: bind 127.0.0.1, or add --dev-anywhere", addr, s.Source("bind"))
	}
}

// isLocal reports whether an address of Config.Bind can be reached only from this machine, without looking up host
// names.
func isLocal(addr string) bool {
	// for addresses such as systemd and fd://3, which can be any socket, tcp is false
	host, port, _, tcp := splitTCP(addr)
	return strings.HasPrefix(addr, "unix:") || tcp && host != "" && http1.LocalHost(net.JoinHostPort(host, port))
}
