package settings

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime"
	"fapws/runtime/source/static"
)

// Config holds the settled value of every setting. Sizes are in bytes.
type Config struct {
	Server runtime.Config `json:"-"` // of a process that serves; the supervisor needs none of it

	Bind    []string // addresses as conn.Listen takes them
	Backlog int      // connections the kernel queues for each address; 0: the system's limit
	Chdir   string   // directory to change to before anything else; "" stays

	SocketMode  int      // permissions of unix sockets; -1: as umask leaves them
	SocketOwner string   // of unix sockets, "user:group"; "" keeps it
	Proxies     []string // trusted about clients: addresses, networks, "unix", "*"

	TLS          string        // one of TLSModes: where certificates come from, in addition to CertFiles
	LoginUsers   string        // file of users who have to log in by a form; "": none
	LoginIdle    time.Duration // a session ends that was not used for so long
	LoginAge     time.Duration // a session ends then in any case
	StateDir     string        // directory of files that fapws makes for itself; "": the usual one
	ACMEEmail    string        // that the public authority may write to; "": none
	ACMEURL      string        // directory URL of the authority
	ACMEHosts    []string      // that certificates are ordered for; none: the hosts of the configuration file
	CertFiles    []string      // certificates of HTTPS
	KeyFiles     []string      // their keys, in the same order; none: in CertFiles
	CACerts      string        // file of the authorities of client certificates
	CertReqs     string        // one of CertReqs: what clients must show
	TLSMin       uint16        // oldest version of TLS, as crypto/tls has it
	TLSStrictSNI bool          // clients must name a known host

	HTTPSRedirect string // "no", "yes" or the port that clients of HTTP are sent to

	Interface  string   // "auto", "paths", "wsgi" or "asgi"
	Lifespan   string   // "auto", "on" or "off"
	Loop       string   // "auto", "asyncio" or "uvloop"
	Factory    bool     // APP names a function that makes the application
	PythonPath []string // folders that go before sys.path's
	EnvFiles   []string // files of environment variables for the application
	Venv       string   // folder of a virtual environment

	Workers           int           // processes; 0: one per core
	Fork              bool          // a process for each request
	MaxForks          int           // maximum number at a time
	IdleStop          time.Duration // without a request until Python ends; 0: never
	MaxRequests       int           // of a worker until it is replaced; 0: any
	MaxRequestsJitter int           // maximum random addition to it
	MaxRSS            int64         // resident bytes of a worker until it is replaced; 0: any
	Reload            bool          // when files change
	ReloadDirs        []string      // folders that are watched
	ReloadInclude     []string      // patterns of files that count in addition to those of Python
	ReloadExclude     []string      // patterns of files and folders that do not count
	ReloadCheck       string        // path that a new worker must answer
	Dev               bool          // reload, tracebacks, requests in the log
	DevAnywhere       bool          // also on addresses that others reach
	User, Group       string        // to run as; "" stays
	Chroot            string        // root directory of workers, once they have loaded; "" stays
	AllowRoot         bool          // that may be root
	Sandbox           string        // one of SandboxModes
	SandboxRead       []string      // files and folders that workers may read in it, in addition to those of the application
	SandboxWrite      []string      // that they may change
	SandboxExec       []string      // programs, or folders of them, that they may run
	SandboxConnect    []uint16      // TCP ports that they may connect to; 0: unix sockets, too
	SandboxBind       []uint16      // TCP ports that they may listen on
	Umask             int           // -1: stays
	PidFile           string        // or ""
	ControlSocket     string        // "auto", "off" or a path
	Health            string        // prefix of the health check, "/healthz"; "": there is none
	Status            string        // prefix of the status page, "/_fapws"; "": there is none
	LoadTimeout       time.Duration // of a new worker

	File   string             // configuration file; "" looks for one, "off" reads none
	Static []static.AccelRoot // directories served in addition to the application
	SSI    bool               // *.shtml have elements

	static.Options // of all folders

	Cache bool // answers are kept that allow it themselves

	Threads  int // most Python threads for handlers; 0: inline, on the loop
	MaxQueue int // requests that may wait for a thread
	MaxCGI   int // CGI programs that run at the same time

	GracefulTimeout time.Duration // to finish active requests when told to stop
	ShutdownDelay   time.Duration // to serve on before that

	HTTP2 bool // connections with TLS may choose HTTP/2

	Channels string // URL of the broker that connects channels of several servers; "": none

	AccessLog       string        // file, "-" for standard output, "off"
	AccessLogFormat string        // as logfile.ParseFormat takes it
	ErrorLog        string        // file, "-" for standard error
	LogMaxSize      int64         // of a log file; 0: any
	LogRotate       string        // "off", "hourly", "daily", "weekly" or a duration
	LogKeep         int           // compressed files of each log
	LogBuffer       int           // bytes of the access log that are written together
	LogFlush        time.Duration // that they wait at most

	LogLevel string // one of LogLevels
	Debug    int    // 0 to 3

	host string // sugar: replaces the host in Bind
	port int    // sugar: replaces the port in Bind

	HostCerts   bool // hosts of the configuration file have certificates
	ClientRules bool // the configuration file has rules about the certificates of clients
}

// LogLevels are the values of Config.LogLevel, the most talkative first.
var LogLevels = []string{"debug", "info", "warning", "error"}

// groups are headings in the help under which settings stand together, in its order.
var groups = []string{"Address", "Application", "Files", "Processes", "Limits", "Timeouts", "Logs"}

// Setting is a row of the table.
type Setting struct {
	Name    string   // of the flag, without dashes
	Short   string   // one letter, or ""
	Aliases []string // names of this flag in other servers
	Group   string   // one of groups
	Arg     string   // stands for the value in the help
	Default string   // as a user would type it
	Note    string   // stands for Default in the help where that depends on the machine
	Brief   string   // for --help, which shows the settings that have one
	Help    string   // for --help all, if that is longer; without a full stop
	Env     string   // in addition to FAPWS_<NAME>: a variable that other tools set
	Global  string   // name in the script; "" if a script cannot set it

	variants []variant // names in other servers that give the setting in another way

	alone string // value of the flag if none follows, as with --debug
	kept  bool   // a supervisor has it for as long as it runs
	path  bool   // names a file or folder: relative to a configuration file if that names it
	sugar bool   // another way to give a setting, so --print-config leaves it out
	value func(*Config) *value
}

// EnvName returns the variable of the environment that holds the setting.
func (s *Setting) EnvName() string { return "FAPWS_" + capitals(s.Name) }

// shownDefault returns the default as the help shows it.
func (s *Setting) shownDefault() string { return cmp.Or(s.Note, s.Default) }

// explanation is the help as --help all, the man page and the README have it.
func (s *Setting) explanation() string { return cmp.Or(s.Help, s.Brief) }

func capitals(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// OpenFiles returns the limit of open files of this process; 0 if it is not known. Go's start-up has raised the soft
// limit to the hard one.
func OpenFiles() uint64 {
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur)
}

// table is made of settings.
type table struct {
	rows  []*Setting
	group string // of the next ones
	none  Config // is never set; only its fields are pointed at
}

// Table returns the rows of all settings in the order of the help. The limit of open files decides the default of max-clients.
func Table(openFiles uint64) []*Setting {
	t := &table{}
	for _, part := range []func(){t.address, t.tls, t.login, t.app, t.file, t.cache, t.process, func() { t.limit(openFiles) }, t.http2, t.websocket, t.channel, t.log} {
		part()
	}
	slices.SortStableFunc(t.rows, func(a, b *Setting) int { return slices.Index(groups, a.Group) - slices.Index(groups, b.Group) })
	return t.rows
}

// add adds a setting, with its default as a user would type it.
func (t *table) add(name, usual string, of func(*Config) *value) *Setting {
	s := &Setting{Name: name, Group: t.group, Default: usual, value: of, Arg: of(&t.none).arg}
	t.rows = append(t.rows, s)
	return s
}

// also adds other names, with blanks between them: a letter with its dash, and those that other servers have.
func (s *Setting) also(names string) *Setting {
	for name := range strings.FieldsSeq(names) {
		if short, ok := strings.CutPrefix(name, "-"); ok {
			s.Short = short
		} else {
			s.Aliases = append(s.Aliases, name)
		}
	}
	return s
}

func (s *Setting) set(field *string, to string) *Setting {
	*field = to
	return s
}

func (s *Setting) brief(text string) *Setting { return s.set(&s.Brief, text) }
func (s *Setting) help(text string) *Setting  { return s.set(&s.Help, text) }
func (s *Setting) takes(arg string) *Setting  { return s.set(&s.Arg, arg) }
func (s *Setting) shows(note string) *Setting { return s.set(&s.Note, note) }
func (s *Setting) from(env string) *Setting   { return s.set(&s.Env, env) }
func (s *Setting) bare(text string) *Setting  { return s.set(&s.alone, text) }
func (s *Setting) global(n string) *Setting   { return s.set(&s.Global, n) }
func (s *Setting) inScript() *Setting         { return s.global(capitals(s.Name)) }

func (s *Setting) takesPath(arg string) *Setting {
	s.path = true
	return s.takes(arg)
}

func (s *Setting) keep() *Setting {
	s.kept = true
	return s
}

func (s *Setting) or(v ...variant) *Setting {
	s.variants = v
	return s
}

func (s *Setting) asSugar() *Setting {
	s.sugar = true
	return s
}

// variant is a name of a setting, of a flag and in a file.
type variant struct {
	name   string
	prefix string // goes before the value
	fixed  string // the only value
}

// names are those of a setting, its own first.
func (s *Setting) names() []variant {
	all := []variant{{name: s.Name}}
	for _, alias := range s.Aliases {
		all = append(all, variant{name: alias})
	}
	return append(all, s.variants...)
}

// KeyDoc describes a key of the configuration file that is not a setting.
type KeyDoc struct {
	Table string // "" is the top, "host", "host.route", or "rules" for both of these
	Key   string
	Value string // as an example shows it, in TOML
	Help  string // without a full stop
}

// keyTables are the headings under which keys stand together.
var keyTables = []struct{ table, heading string }{
	{"", "at the top, in addition to the names of the flags"},
	{"host", "[[host]], which also takes the rules below, and the flags index, autoindex, spa, mime-types, charset, compress, expires, symlinks, dotfiles, expose and cache-files-max"},
	{"host.route", "[[host.route]], which has prefix, match or both, at most one source (app, files, cgi, php, fastcgi, redirect, rewrite, proxy, upload or status), and takes the same flags and rules"},
	{"rules", "rules, of a host for all its routes, or of one route; the first six also at the top, for all hosts"},
}

func writeKeysMarkdown(w io.Writer, keys []KeyDoc) {
	fmt.Fprint(w, "| key | example | meaning |\n|---|---|---|\n")
	for _, t := range keyTables {
		fmt.Fprintf(w, "| **%s** | | |\n", t.heading)
		for _, k := range keys {
			if k.Table == t.table {
				fmt.Fprintf(w, "| `%s` | `%s` | %s |\n", k.Key, k.Value, k.Help)
			}
		}
	}
}

func writeKeysMan(w io.Writer, keys []KeyDoc) {
	fmt.Fprint(w, `.SH CONFIGURATION FILE
The file of
.B \-\-config
is TOML. Its keys are the names of the flags, with arrays where a flag may be
repeated. Relative paths in it are relative to its folder. With
.B check
every mistake is reported with its line. HUP makes workers read the file again.
.B fapws import web.conf
writes one from the file of httPyServer.
`)
	for _, t := range keyTables {
		fmt.Fprintf(w, ".SS %s\n", roff(t.heading))
		for _, k := range keys {
			if k.Table == t.table {
				fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(k.Key+" = "+k.Value), roff(k.Help))
			}
		}
	}
}
