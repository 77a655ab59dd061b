package settings

import (
	"time"

	"fapws/runtime"
	"fapws/runtime/source/static"
)

// Config holds the final value of every setting. Sizes are in bytes.
//
// Some settings are stored in embedded types of other packages, such as runtime.Config.
type Config struct {
	Server runtime.Config `json:"-"` // unused by the supervisor

	HostCerts   bool
	ClientRules bool

	// Bind lists addresses in the form of conn.Listen, with a prefix for HTTPS (SplitSecure).
	Bind    []string
	Host    string `json:"-"`
	Port    int    `json:"-"`
	Backlog int
	// SocketMode is -1 if the umask determines the mode.
	SocketMode  int
	SocketOwner string
	// Proxies contains the addresses of trusted proxies as typed.
	Proxies []string

	CertFiles []string
	KeyFiles  []string
	TLS       string
	ACMEHosts []string
	ACMEEmail string
	ACMEURL   string
	// programs that add and remove records in the DNS; empty if the CA connects to this machine
	ACMEDNSHook    string
	ACMEDNSCleanup string

	StateDir string
	CacheDir string // of an executable that fapws bundle has written
	CACerts  string
	CertReqs string
	// TLSMin is the minimum TLS version, as a constant of package crypto/tls.
	TLSMin       uint16
	TLSStrictSNI bool
	// HTTPSRedirect is "no", "yes" or a port; "yes" is replaced by a port when all settings are known.
	HTTPSRedirect string

	LoginUsers string
	LoginIdle  time.Duration
	LoginAge   time.Duration

	HTTP2 bool

	Threads    int
	MaxQueue   int
	Chdir      string
	Interface  string
	Lifespan   string
	Loop       string
	Factory    bool
	PythonPath []string
	EnvFiles   []string
	Venv       string

	File   string
	Static []static.AccelRoot
	static.Options
	SSI bool

	Cache bool

	Workers       int
	Fork          bool
	IdleStop      time.Duration
	MaxRequests   int
	MaxRSS        int64
	Reload        bool
	ReloadDirs    []string
	ReloadInclude []string
	ReloadExclude []string
	ReloadCheck   string // a target for a GET request (ReloadTarget), NoReloadCheck, or "" without a request
	NoHeal        bool
	Dev           bool
	DevAnywhere   bool
	NoDevRefresh  bool
	User          string
	Group         string
	Chroot        string
	AllowRoot     bool
	Sandbox       string
	SandboxRead   []string
	SandboxWrite  []string
	SandboxExec   []string
	// SandboxConnect lists ports. The value 0 stands for unix sockets.
	SandboxConnect []uint16
	SandboxBind    []uint16
	Name           string // name of the processes; "" means the name of the executable
	// Umask is -1 if the process keeps its umask.
	Umask         int
	PidFile       string
	ControlSocket string
	Status        string
	Health        string
	LoadTimeout   time.Duration

	Channels string

	MaxCGI int

	GracefulTimeout time.Duration
	ShutdownDelay   time.Duration

	AccessLog       string
	AccessLogFormat string
	ErrorLog        string
	ErrorLogFormat  string
	LogMaxSize      int64
	LogRotate       string
	LogKeep         int
	LogFlush        time.Duration
	LogLevel        string
	Debug           int
	OTel            bool
}

// NoReloadCheck is the value of ReloadCheck with which a process without a supervisor loads changed code without a check.
const NoReloadCheck = "off"

// ReloadTarget returns the target of the GET request that new code must answer before it serves, or "" without such a request.
func (c *Config) ReloadTarget() string {
	if c.ReloadCheck == NoReloadCheck {
		return ""
	}
	return c.ReloadCheck
}

// Forks returns the maximum number of processes that run requests at the same time with --fork.
func (c *Config) Forks() int { return max(1, c.Threads) }
