package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/metrics"
	"fapws/runtime/source/cache"
	"fapws/runtime/system"
)

// An error has only one line. If the server was not contacted, the error is a process.ExitError.
func Run(args []string, stdout io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(stdout, Help(o.command))
		return err
	}
	if err != nil {
		return process.ExitUsage(err)
	}
	path := o.socket
	if path == "" {
		if path, err = choose(o.pid); err != nil {
			return err
		}
	}
	if o.command == Top {
		return o.top(path, stdout)
	}
	command := o.command
	if command == CA {
		command = Status
	}
	if o.name != "" {
		command += " " + Command(o.name)
	}
	within := answerWithin
	if slices.Contains(NamedCommands, o.command) { // Reload has no time limit, because the application can take long to load
		within = 0
	}
	a, err := converse(path, &request{Command: command, Purge: o.purge}, within)
	if err != nil {
		return err
	}
	switch o.command {
	case Status:
		err = a.Status.write(stdout, o.json)
	case CA:
		if a.Status.CA == nil {
			return errors.New("this server has no CA of its own; start it with --tls auto")
		}
		_, err = fmt.Fprintf(stdout, "%s\nSHA-256 %s\n", visible(a.Status.CA.Path), visible(a.Status.CA.SHA256))
	case Stack:
		_, err = io.WriteString(stdout, visible(a.Text))
	case Metrics:
		text := metrics.OpenMetrics
		if o.plain {
			text = metrics.Plain
		}
		_, err = io.WriteString(stdout, visible(text(a.Families)))
	case Logs:
		for _, line := range inOrder(a.Lines) {
			if _, err = fmt.Fprintln(stdout, visible(line.Text)); err != nil {
				break
			}
		}
	case Reload:
		_, err = fmt.Fprintln(stdout, strings.TrimSpace("reloaded "+o.name))
		if a.Text != "" {
			fmt.Fprintln(stdout, "warning: "+visible(a.Text))
		}
	case Restart, Start:
		_, err = fmt.Fprintf(stdout, "%sed %s\n", o.command, o.name)
	case Purge:
		_, err = fmt.Fprintln(stdout, "purged "+pool.Count(a.Pages, "page"))
	case Rotate:
		_, err = fmt.Fprintln(stdout, "rotated")
	case Stop:
		_, err = fmt.Fprintln(stdout, strings.TrimSpace("stopped "+o.name))
	}
	return err
}

type options struct {
	command Command
	name    string // of an application; "" for the whole server
	purge   cache.Pattern
	pid     int
	socket  string
	json    bool
	plain   bool
	once    bool
}

func commandNames() []string {
	names := make([]string, len(Commands))
	for i, c := range Commands {
		names[i] = string(c)
	}
	return names
}

// Check returns an error if c is not a command of fapws ctl. The error names a similar command.
func (c Command) Check() error {
	if slices.Contains(Commands, c) {
		return nil
	}
	hint := "; fapws ctl --help lists them"
	if near := settings.Nearest(string(c), commandNames()); near != "" {
		hint = ", did you mean " + near + "?"
	}
	return fmt.Errorf("unknown command %s%s", c, hint)
}

func parse(args []string) (o options, err error) {
	p := &o.purge
	all := false
	set := pflag.NewFlagSet("ctl", pflag.ContinueOnError)
	set.FuncP("pid", "p", "", func(value string) (err error) {
		if o.pid, err = strconv.Atoi(value); err != nil || o.pid <= 0 {
			return errors.New("must be the number of a process")
		}
		return nil
	})
	set.StringVarP(&o.socket, "socket", "s", "", "")
	set.StringVar(&p.Host, "host", "", "")
	set.StringVar(&p.Tag, "tag", "", "")
	set.BoolVar(&all, "all", false, "")
	set.BoolVar(&o.json, "json", false, "")
	set.BoolVar(&o.plain, "plain", false, "")
	set.BoolVar(&o.once, "once", false, "")
	words, err := settings.ParseFlags(set, args)
	if len(words) > 0 {
		o.command, words = Command(words[0]), words[1:]
	}
	if errors.Is(err, pflag.ErrHelp) && o.command != "" {
		return o, cmp.Or(o.command.Check(), err)
	}
	if err != nil {
		return o, err
	}
	if all {
		p.Path = "*"
	} else if o.command == Purge && len(words) > 0 {
		p.Path, words = words[0], words[1:]
	} else if slices.Contains(NamedCommands, o.command) && len(words) > 0 {
		o.name, words = words[0], words[1:]
	}
	switch {
	case o.command == "":
		return o, fmt.Errorf("no command given; usage: fapws ctl %s; see fapws ctl --help", strings.Join(commandNames(), "|"))
	case len(words) > 0:
		return o, fmt.Errorf("one command at a time, not %s and %s", o.command, words[0])
	case !slices.Contains(Commands, o.command):
		return o, o.command.Check()
	case (o.command == Start || o.command == Restart) && o.name == "":
		return o, fmt.Errorf("%s needs the name of an application, which fapws ctl status lists", o.command)
	case o.pid > 0 && o.socket != "":
		return o, errors.New("use --pid or --socket, not both")
	case o.command == Purge && (p.Path == "") == (p.Tag == ""):
		return o, errors.New("purge needs a path, a prefix with *, --tag TAG or --all")
	case o.command != Purge && *p != cache.Pattern{}:
		return o, errors.New("--host, --tag and --all require purge")
	case o.plain && o.command != Metrics:
		return o, errors.New("--plain requires metrics")
	case o.once && o.command != Top:
		return o, errors.New("--once requires top")
	case o.json && o.command != Status && o.command != Top:
		return o, errors.New("--json requires status or top")
	}
	if name := os.Getenv("FAPWS_CTL_SOCKET"); o.pid == 0 && o.socket == "" && name != Auto && name != Off {
		o.socket = name // the values Auto and Off are only meant for a server
	}
	return o, nil
}

// Reaches reports whether the command ctl finds the server whose process ID is pid.
func Reaches(pid int) bool {
	_, err := choose(pid)
	return err == nil
}

// Serves reports whether the process pid is a server that serves site (Report.Site). socket is the setting ctl-socket.
func Serves(pid int, site, socket string) bool {
	paths := []string{socket, variableOf(pid, "FAPWS_CTL_SOCKET")}
	if path, err := choose(pid); err == nil {
		paths = append(paths, path)
	}
	return site != "" && slices.ContainsFunc(paths, func(path string) bool {
		return path != "" && path != Auto && path != Off && siteAt(path) == site
	})
}

// siteAt returns Report.Site of the server that listens on the control socket at path, or "".
func siteAt(path string) string {
	a, err := converse(path, &request{Command: Status}, connectWithin)
	if err != nil {
		return ""
	}
	return a.Status.Site
}

// variableOf returns a variable of the environment with which a process was started, or "" if this user may not see it.
func variableOf(pid int, name string) string {
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	for one := range strings.SplitSeq(string(environ), "\x00") {
		if value, ok := strings.CutPrefix(one, name+"="); ok {
			return value
		}
	}
	return ""
}

// choose returns the socket path of the server whose process ID is pid. If pid is 0, exactly one server must be
// running, and choose returns its socket path. For root, choose searches the servers of all users; otherwise only the
// servers of the current user.
func choose(pid int) (string, error) {
	uid := os.Getuid()
	running := search(uid, pid)
	if uid == 0 {
		for _, other := range users() {
			if other != uid {
				running = append(running, search(other, pid)...)
			}
		}
	}
	return pick(running, pid, uid)
}

func pick(running []found, pid, uid int) (path string, err error) {
	switch {
	case len(running) == 1:
		return running[0].path, nil
	case len(running) == 0 && pid > 0 && unix.Kill(pid, 0) == unix.ESRCH:
		return "", fmt.Errorf("process %d is not running", pid)
	case len(running) == 0 && pid > 0:
		return "", fmt.Errorf("process %d: control socket of user %s not found; this process is not the main process "+
			"of a server, or the server's --ctl-socket must be named with --socket FILE", pid, system.UserName(uid))
	case len(running) == 0:
		return "", fmt.Errorf("no server of user %s found: no control socket in %s; a server that can write to none "+
			"of these needs --ctl-socket FILE", system.UserName(uid), strings.Join(places(uid), ", "))
	}
	var lines []string
	for _, f := range running {
		line := "\n  --pid " + strconv.Itoa(f.pid) + describe(f.path)
		if st := new(unix.Stat_t); unix.Stat(f.path, st) == nil && int(st.Uid) != uid {
			line += "  user " + system.UserName(int(st.Uid))
		}
		lines = append(lines, line)
	}
	return "", fmt.Errorf("%d servers are running; choose one:%s", len(running), strings.Join(lines, ""))
}

func describe(path string) string {
	a, err := converse(path, &request{Command: Status}, connectWithin)
	if err != nil {
		return ""
	}
	return visible("  " + a.Status.App + "  " + strings.Join(a.Status.Addresses, "  "))
}

// visible removes control characters from a text that a server has sent. Otherwise a client of the server could send
// control sequences to the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

type Cache struct {
	Entries     int   `json:"entries"`
	Bytes       int64 `json:"bytes"`
	Limit       int64 `json:"limit"`
	Hits        int64 `json:"hits"`
	Stale       int64 `json:"stale"`
	Misses      int64 `json:"misses"`
	Revalidated int64 `json:"revalidated"` // misses for which a handler confirmed the cached page
	Bypassed    int64 `json:"bypassed"`
}

func (c *Cache) Add(o *Cache) {
	c.Entries += o.Entries
	c.Bytes += o.Bytes
	c.Limit += o.Limit
	c.Hits += o.Hits
	c.Stale += o.Stale
	c.Misses += o.Misses
	c.Revalidated += o.Revalidated
	c.Bypassed += o.Bypassed
}

func (c *Cache) asked() int64 { return c.Hits + c.Stale + c.Misses + c.Bypassed }

// rate returns the percentage of requests for cacheable pages that the cache has answered.
func (c *Cache) rate() float64 { return 100 * float64(c.Hits+c.Stale) / float64(max(1, c.asked())) }

func (c *Cache) String() string {
	return fmt.Sprintf("cache: %s, %.1f of %.1f MB, %.1f %% of %d requests answered from it",
		pool.Count(c.Entries, "page"), float64(c.Bytes)/1e6, float64(c.Limit)/1e6, c.rate(), c.asked())
}
