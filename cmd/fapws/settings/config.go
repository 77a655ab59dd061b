package settings

import (
	"time"

	"fapws/runtime"
	"fapws/runtime/source/static"
)

// Config holds the settled value of every setting. Sizes are in bytes.
//
// Each field with the tag "key" is a setting, in the order of the help; one called _ stands for a field of another Config, which the tag "of"
// names. Those of static.Options are keys of hosts and routes, too. Its kind and limits follow from its type and the tags is and range, as for the keys of a table: see DecodeTOML. Further tags:
//
//   - default: as a user would type it. note: stands for it in the help where it depends on the machine.
//   - group: the heading of this setting and of those after it.
//   - also: other names of the flag, of other servers: "-b" is a letter, "uds=unix:*" takes a part of the value, "no-access-log=off" has this one.
//   - arg: stands for the value in the help. path: the same for files and folders, which are relative to a configuration file that names them.
//   - alone: the value of the flag if none follows, as with --debug.
//   - script: the name of the global; without it, a script cannot set it. env: a variable that other tools set.
//   - kept: a supervisor has it for as long as it runs. sugar: another way to give a setting, so --print-config leaves it out.
//   - brief: for --help, which shows the settings that have one. help: for --help all, if that is longer; without a full stop.
type Config struct {
	Server runtime.Config `json:"-"` // of a process that serves; the supervisor needs none of it

	HostCerts   bool // hosts of the configuration file have certificates
	ClientRules bool // the configuration file has rules about the certificates of clients

	// Bind has addresses as conn.Listen takes them.
	Bind    []string `group:"Address" key:"bind" default:"0.0.0.0:8888" is:"addresses" also:"-b listen uds=unix:* unix-socket=unix:* fd=fd://*" arg:"ADDR" script:"SERVER" kept:"yes" brief:"host:port, :port, https://:443 or /path of a unix socket; repeatable" help:"listen on host:port, :port, [ipv6]:port, https://host:port, an address, a port, a unix socket (/path, unix:path or unix:@name), fd://N (a listening socket inherited from the parent process) or systemd (every socket in LISTEN_FDS, which is also the default when systemd passes any); https+fd://N and https+systemd are these for HTTPS, as are sockets with FileDescriptorName=https; repeatable, or separated by commas"`
	Host    string   `json:"-" key:"host" is:"bind-host" arg:"HOST" kept:"yes" sugar:"yes" help:"replace the host of the address"`
	Port    int      `json:"-" key:"port" range:"0-65535" also:"-p" arg:"PORT" env:"PORT" kept:"yes" sugar:"yes" brief:"port of the address" help:"replace the port of the address; 0 picks a free port"`
	Backlog int      `key:"backlog" default:"0" range:"0-1M" note:"0: system limit" script:"BACKLOG" kept:"yes" help:"maximum number of connections that the kernel queues before they are accepted"`
	// SocketMode is -1 if umask decides.
	SocketMode  int    `key:"uds-permissions" default:"none" is:"mode none" also:"unix-socket-perms" note:"set by umask" kept:"yes" help:"permissions of unix sockets, in octal: 660; set before clients can connect"`
	SocketOwner string `key:"uds-owner" is:"name" arg:"USER:GROUP" kept:"yes" help:"owner of unix sockets: user, user:group or :group, by name or number"`
	// Proxies are as they were typed; Server.Sites has them as networks.
	Proxies []string `key:"forwarded-allow-ips" is:"networks" also:"trusted-proxy" arg:"NETWORKS" env:"FORWARDED_ALLOW_IPS" help:"trust Forwarded and X-Forwarded-For, -Proto, -Host, -Port and -Prefix from proxies in these networks (they must set or remove every one of these fields): 10.0.0.1, 192.168.0.0/16, unix for unix sockets, * for any; ignored from all other clients"`
	_       struct{} `of:"Server.Sites.ProxyProtocol" key:"proxy-protocol" help:"require a PROXY protocol header (v1 or v2) from forwarded-allow-ips; other clients connect without one"`

	CertFiles []string `key:"certfile" also:"ssl-certfile ssl-certificate tls-cert cert" path:"FILE" brief:"certificate for HTTPS; its key is --keyfile FILE" help:"certificate for HTTPS in PEM format, followed by intermediate certificates; the file may also contain the key; repeatable: clients get the certificate that covers the requested host, otherwise the first; without https:// in any --bind, every TCP address serves HTTPS; read again on HUP and when the file changes"`
	KeyFiles  []string `key:"keyfile" also:"ssl-keyfile tls-key key" path:"FILE" help:"private key of the certificate, in PEM format and not encrypted; one for each certfile, in the same order, or none if each certfile has its key"`
	TLS       string   `key:"tls" default:"off" is:"one off auto acme" arg:"WORD" help:"source of certificates in addition to certfile: off (none); auto: fapws creates an authority in the state directory, and certificates for all names and addresses of this machine; clients download the authority from /.well-known/fapws-ca.crt and must trust it; acme: a public authority such as Let's Encrypt, which must reach port 80 or 443 of this machine"`
	ACMEHosts []string `key:"acme-hosts" is:"host-names" arg:"NAMES" help:"hosts that tls=acme orders certificates for; default: the names of all hosts in the configuration file that have no certfile; repeatable, or separated by commas"`
	ACMEEmail string   `key:"acme-email" is:"name" arg:"ADDRESS" help:"address that the authority of tls=acme may write to"`
	ACMEURL   string   `key:"acme-directory" default:"https://acme-v02.api.letsencrypt.org/directory" is:"https-url" arg:"URL" help:"directory URL of the authority of tls=acme, whose terms of service you agree to"`
	StateDir  string   `key:"state-dir" is:"name" path:"DIR" help:"directory for what fapws keeps: keys and certificates that it creates, and ended sessions of login; default: STATE_DIRECTORY of systemd, /var/lib/fapws for root, otherwise ~/.local/state/fapws"`
	CACerts   string   `key:"ca-certs" is:"name" also:"ssl-ca-certs ssl-ca" path:"FILE" help:"authorities whose client certificates are accepted, in PEM format; requires cert-reqs, or a rule client-cert in the configuration file"`
	CertReqs  string   `key:"cert-reqs" default:"none" is:"one none optional required" same:"0=none 1=optional 2=required cert_none=none cert_optional=optional cert_required=required" also:"ssl-cert-reqs" arg:"WORD" help:"client certificates: none (not requested), optional (verified if the client has one) or required (other clients are refused); also 0, 1 and 2, the numbers of Python's ssl module"`
	// TLSMin is the number that crypto/tls gives the version.
	TLSMin       uint16   `key:"tls-min" default:"1.2" also:"ssl-protocol-min" arg:"VERSION" help:"oldest version of TLS: 1.2 or 1.3"`
	_            struct{} `of:"Server.TLSTimeout" key:"tls-timeout" default:"10s" range:"1ms" help:"maximum time for the TLS handshake of a connection"`
	_            struct{} `of:"Server.TLSHandshakes" key:"tls-max-handshakes" default:"1024" range:"1-1M" help:"maximum number of TLS handshakes under way in each process; further clients wait in the listen queue, and a handshake that has waited for its client for longer than a second may end for them"`
	TLSStrictSNI bool     `key:"tls-strict-sni" help:"refuse clients that request no host, or a host that no certificate covers, instead of using the first certificate"`
	// HTTPSRedirect is "no", "yes" or a port; once settled, "no" or a port.
	HTTPSRedirect string `key:"https-redirect" default:"no" is:"https-redirect" arg:"PORT" alone:"yes" help:"redirect plain HTTP to the same page over HTTPS, at the port of the first HTTPS address (yes) or at this port; paths under /.well-known/acme-challenge/ are not redirected"`

	LoginUsers string        `key:"login" is:"name" path:"FILE" help:"require users of this file to log in by a form, for everything but hosts and routes that say otherwise; fapws user add makes users, or the browser the first one, with a code that the log shows"`
	LoginIdle  time.Duration `key:"login-idle" default:"30m" range:"1s" help:"a session of login ends when it was not used for this time"`
	LoginAge   time.Duration `key:"login-age" default:"12h" range:"1s" help:"a session of login ends after this time, even if it is used"`

	HTTP2 bool     `key:"http2" default:"yes" help:"offer HTTP/2 to clients with TLS; --no-http2 leaves them HTTP/1.1"`
	_     struct{} `of:"Server.Sites.H2C" key:"h2c" also:"http2-cleartext" script:"H2C" help:"serve HTTP/2 without TLS to clients that start with it (prior knowledge), such as proxies and load balancers; other clients get HTTP/1"`

	Threads    int      `group:"Application" key:"threads" default:"8" range:"0-256" also:"blocking-threads" script:"THREADS" brief:"maximum Python threads; 0: handlers on the event loop, where a slow handler blocks the server" help:"maximum number of Python handler threads, started on demand; handlers that have waited for long do not count, except with 1; 0 runs handlers inline on the event loop: lowest latency and memory, but a slow handler blocks the server"`
	MaxQueue   int      `key:"max-queue" default:"2048" range:"1-1M" also:"queue" script:"MAX_QUEUE" help:"maximum number of requests waiting for a thread; further requests get 503"`
	Chdir      string   `key:"chdir" is:"name" also:"-C working-dir" path:"DIR" brief:"change to this directory first" help:"change to this directory before anything else"`
	Interface  string   `key:"interface" default:"auto" is:"one auto paths wsgi asgi" arg:"NAME" help:"how to call the application: paths (the PATHS of a script), wsgi, asgi, or auto: look for PATHS, application and app, in this order, and tell WSGI from ASGI by the signature"`
	Lifespan   string   `key:"lifespan" default:"auto" is:"one auto on off" arg:"NAME" help:"ASGI lifespan events: on (startup fails if the application does not support them), off, or auto (if supported)"`
	Loop       string   `key:"loop" default:"auto" is:"one auto asyncio uvloop" arg:"NAME" help:"event loop for async code: asyncio, uvloop, or auto: uvloop if it is installed"`
	Factory    bool     `key:"factory" also:"call" help:"APP names a function that returns the application"`
	PythonPath []string `key:"pythonpath" also:"app-dir pp python-path" path:"DIRS" help:"directories to search for modules before PYTHONPATH; repeatable, or separated by commas"`
	EnvFiles   []string `key:"env-file" also:"env-files" path:"FILES" help:"set the environment variables in these files (NAME=value, such as .env) before the application loads; variables already set win, and fapws itself does not read them as settings; repeatable, or separated by commas"`
	Venv       string   `key:"venv" is:"name" also:"virtualenv" path:"DIR" env:"VIRTUAL_ENV" help:"use the packages of this virtual environment; default: .venv or venv next to the application or in the working directory, if it is of the same Python version; off: none"`
	_          struct{} `of:"Server.Sites.RootPath" key:"root-path" is:"root-path" also:"url-prefix url-path-prefix" arg:"PATH" help:"URL path at which a proxy mounts the application; prepended to SCRIPT_NAME and stripped from requests that include it"`
	_          struct{} `of:"Server.SendfileRoots" key:"x-sendfile" path:"DIRS" script:"X_SENDFILE" help:"let the application send a file in these directories with X-Sendfile: FILE; otherwise the field is passed on; repeatable, or separated by commas"`
	_          struct{} `of:"Server.AccelRoots" key:"x-accel" path:"PREFIX=DIR" script:"X_ACCEL" help:"let the application send a file from DIR with X-Accel-Redirect: /PREFIX/FILE; otherwise the field is passed on; repeatable, or separated by commas"`

	File           string             `group:"Files" key:"config" is:"name" also:"-c" arg:"FILE" brief:"configuration file; ./fapws.toml is found by default" help:"configuration file (TOML): keys are flag names, plus hosts; default: the first of ./fapws.toml, ~/.config/fapws/fapws.toml and, without APP, /etc/fapws/fapws.toml; off: no file"`
	Static         []static.AccelRoot `key:"static" also:"static-map" path:"PREFIX=DIR" brief:"serve the files of DIR under PREFIX; repeatable" help:"serve the files of a directory under a URL prefix before the application: /static=./static; repeatable, or separated by commas"`
	static.Options                    // of all folders
	SSI            bool               `key:"ssi" default:"no" help:"process server-side includes in *.shtml files, as Apache's mod_include does"`

	Cache bool     `key:"cache" default:"no" script:"CACHE" help:"cache responses whose Cache-Control or Expires allows it; without this flag, only responses selected by fapws.cache.cached or a \"cache\" key"`
	_     struct{} `of:"Server.CacheSize" key:"cache-max-size" default:"16M" range:"0-1024T" script:"CACHE_MAX_SIZE" help:"cache size per worker; least recently used entries are evicted first, and one entry may use an eighth of it, up to 1 MiB; 0 disables the cache"`

	Workers           int           `group:"Processes" key:"workers" default:"1" range:"0-512" also:"-w processes" env:"WEB_CONCURRENCY" kept:"yes" brief:"processes under a supervisor; 0: one per core" help:"worker processes under a supervisor that restarts crashed workers, reloads on HUP and upgrades on USR2; 0: one per core that the machine and its control group (container) allow; omitted: a single process without a supervisor, except as process 1"`
	Fork              bool          `key:"fork" help:"answer each request of the application in a separate process, forked from one that has loaded it; synchronous handlers only"`
	MaxForks          int           `key:"max-forks" default:"32" range:"1-1K" help:"maximum number of such processes at a time; max-queue further requests wait, others get 503"`
	IdleStop          time.Duration `key:"idle-stop" default:"0s" help:"end Python when no request or WebSocket of any worker has needed the application for this long; the next request loads it again and waits for it, see start-wait; 0 disables"`
	MaxRequests       int           `key:"max-requests" default:"0" range:"0-1G" also:"limit-max-requests" help:"replace a worker after this many requests; 0 disables"`
	MaxRequestsJitter int           `key:"max-requests-jitter" default:"0" range:"0-1G" also:"limit-max-requests-jitter" help:"add a random number up to this to max-requests, so that workers are not all replaced at once"`
	MaxRSS            int64         `key:"max-rss" default:"0" range:"0-1024T" kept:"yes" help:"replace a worker whose resident memory exceeds this; 0 disables"`
	Reload            bool          `key:"reload" kept:"yes" brief:"reload the application when its files change" help:"reload when a file of the application changes; if the new code fails to load, the old code keeps serving"`
	ReloadDirs        []string      `key:"reload-dir" also:"reload-paths" path:"DIRS" kept:"yes" help:"directories to watch for --reload, including subdirectories; default: the directory of the script, or the working directory for a module; repeatable, or separated by commas"`
	ReloadInclude     []string      `key:"reload-include" also:"reload-extra-file extra-files" arg:"PATTERNS" kept:"yes" help:"files to watch for --reload in addition to *.py: patterns such as *.html or templates/*.txt, or paths; repeatable, or separated by commas"`
	ReloadExclude     []string      `key:"reload-exclude" also:"reload-ignore-patterns reload-ignore-dirs reload-ignore-paths exclude-patterns" arg:"PATTERNS" kept:"yes" help:"files and directories not to watch for --reload, in addition to .*, *~, __pycache__, node_modules and virtual environments; repeatable, or separated by commas"`
	ReloadCheck       string        `key:"reload-check" is:"target" arg:"PATH" help:"a new worker must answer GET PATH with a status below 400 before it serves, without a password where clients need one; /path, or http://host/path for an application that checks Host"`
	Dev               bool          `key:"dev" kept:"yes" brief:"reload, tracebacks in the browser; on 127.0.0.1 only" help:"development mode: --reload, also when a template such as *.html or *.jinja2 changes; the first request after a change waits for the new code (HTTP/1 without TLS); tracebacks in the browser, also when code fails to load; requests in the log; listens on 127.0.0.1:8888 by default, and only on addresses of this machine"`
	DevAnywhere       bool          `key:"dev-anywhere" kept:"yes" help:"allow --dev on any address; anyone who can connect can see your source code"`
	User              string        `key:"user" is:"name" also:"-u uid" arg:"USER" kept:"yes" brief:"run as this user after binding as root" help:"run as this user, by name or number, after binding the addresses as root; the application never runs as root"`
	Group             string        `key:"group" is:"name" also:"-g gid" arg:"GROUP" kept:"yes" help:"run with this group; default: the groups of the user, or 65534 for an unknown user number"`
	Chroot            string        `key:"chroot" is:"name" path:"DIR" kept:"yes" help:"make this directory the root directory of each worker after it has loaded the application; requires root and --user; files opened and modules imported later must be inside it, at the same path"`
	AllowRoot         bool          `key:"allow-root" kept:"yes" help:"serve as root; without it, root must pass --user, except in a container and where no other user exists"`
	Sandbox           string        `key:"sandbox" default:"off" is:"one off on strict" same:"yes=on true=on 1=on no=off false=off 0=off" arg:"MODE" alone:"on" kept:"yes" help:"restrict each worker, after it has loaded the application, to the files, TCP ports and system calls that it needs: on (what the kernel cannot restrict is one warning), strict (then the server does not start), or off; without a value, on; with check, request each path in the sandbox and print denials"`
	SandboxRead       []string      `key:"sandbox-read" path:"FILES" help:"files and directories that a sandbox may read, in addition to Python, the application, and directories that are served; repeatable, or separated by commas"`
	SandboxWrite      []string      `key:"sandbox-write" path:"FILES" help:"files and directories that a sandbox may also change, in addition to a private directory for temporary files and the directories of logs; repeatable, or separated by commas"`
	SandboxExec       []string      `key:"sandbox-exec" path:"FILES" help:"programs, or directories of programs, that a sandbox may run; default: none, or those of the system if the configuration has CGI or PHP; repeatable, or separated by commas"`
	// SandboxConnect has 0 for unix sockets.
	SandboxConnect []uint16 `key:"sandbox-connect" is:"ports unix" help:"TCP ports that a sandbox may connect to, and the word unix for all unix sockets, in addition to those of proxies and FastCGI in the configuration; repeatable, or separated by commas"`
	SandboxBind    []uint16 `key:"sandbox-bind" is:"ports" help:"TCP ports that the application may listen on in a sandbox; repeatable, or separated by commas"`
	// Umask is -1 if it stays.
	Umask         int    `key:"umask" default:"none" is:"mode none" also:"-m" note:"unchanged" kept:"yes" help:"file mode mask, in octal: 027"`
	PidFile       string `key:"pid" is:"name" also:"pidfile pid-file" path:"FILE" kept:"yes" help:"write the process ID of the process that receives signals to this file; removed on exit"`
	ControlSocket string `key:"ctl-socket" default:"auto" is:"name" also:"control-socket no-control-socket=off" path:"FILE" kept:"yes" help:"control socket for fapws ctl: auto (one per server, in a private directory of the user), off, or a path"`
	// Status and Health are "" if there is none.
	Status      string        `key:"status" default:"off" is:"prefix-or-off /_fapws" arg:"PREFIX" help:"serve a status page and metrics for Prometheus under this path, such as /_fapws, to clients on this machine and, if the host has a password, to logged-in users"`
	Health      string        `key:"health" default:"off" is:"prefix-or-off /healthz" arg:"PREFIX" help:"answer 200 under this path, such as /healthz, without Python and for every client; PREFIX/ready gets 503 until the application has loaded, during shutdown-delay, and while requests wait for a thread in vain"`
	LoadTimeout time.Duration `key:"load-timeout" default:"60s" range:"1ms" kept:"yes" help:"maximum time for a new worker to load the application"`
	_           struct{}      `of:"Server.Sites.StartWait" key:"start-wait" default:"30s" kept:"yes" help:"while the application loads, maximum time that requests for it wait; then they get 503 with Retry-After; a browser that opens a page waits 1 second at most, and then shows a page that refreshes itself; 0: nothing waits"`

	Channels string `key:"channels" is:"broker" arg:"URL" kept:"yes" help:"connect channels and groups with those of other servers through Redis or Valkey: redis://HOST, rediss://, unix:// or redis+sentinel://"`

	_      struct{} `group:"Limits" of:"Server.Accept.MaxClients" key:"max-clients" range:"1-1G" also:"limit-concurrency worker-connections connection-limit" note:"limited by open files" script:"MAX_CLIENTS" brief:"maximum open connections; further clients wait" help:"maximum number of open connections; see max-clients-action"`
	_      struct{} `of:"Server.Accept.Refuse" key:"max-clients-action" default:"wait" is:"one wait 503" arg:"WHAT" script:"MAX_CLIENTS_ACTION" help:"at the limit, let new clients wait in the listen queue (wait) or reject them with 503 (503)"`
	_      struct{} `of:"Server.Sites.MaxBodySize" key:"max-body-size" range:"1-1024T" also:"max-request-body-size" note:"10M or 1G" script:"MAX_BODY_SIZE" brief:"maximum request body, otherwise 413" help:"maximum size of a request body; larger bodies get 413; without it, 10M, for a WSGI application 1G and a quarter of the free space where bodies are stored (TMPDIR), and no limit for an ASGI application"`
	_      struct{} `of:"Server.MaxUnsent" key:"max-unsent" default:"0" range:"0-1024T" script:"MAX_UNSENT" help:"maximum memory of responses that wait for slow clients, per worker; the largest does not count, and beyond it responses end whose clients read least for their size; 0: a quarter of the available memory, divided by the workers"`
	MaxCGI int      `key:"max-cgi" default:"16" range:"1-10000" script:"MAX_CGI" help:"maximum number of CGI programs running at once per worker; 256 requests may wait for one, further requests get 503"`
	_      struct{} `of:"Server.Sites.Limits.RequestLine" key:"limit-request-line" default:"8K" is:"size" range:"64-1M" script:"LIMIT_REQUEST_LINE" help:"maximum length of the request line, otherwise 414"`
	_      struct{} `of:"Server.Sites.Limits.FieldLine" key:"limit-request-field-size" default:"32K" is:"size" range:"64-1M" script:"LIMIT_REQUEST_FIELD_SIZE" help:"maximum length of a header field, otherwise 431"`
	_      struct{} `of:"Server.Sites.Limits.Head" key:"limit-request-head" default:"64K" is:"size" range:"256-4M" also:"max-request-header-size" script:"LIMIT_REQUEST_HEAD" help:"maximum length of the request line and all header fields, otherwise 431"`
	_      struct{} `of:"Server.Sites.Limits.Fields" key:"limit-request-fields" default:"100" range:"1-10000" script:"LIMIT_REQUEST_FIELDS" help:"maximum number of header fields, otherwise 431"`

	_ struct{} `of:"Server.HTTP2.MaxStreams" key:"http2-max-streams" default:"128" range:"1-10000" also:"http2-max-concurrent-streams" script:"HTTP2_MAX_STREAMS" help:"maximum number of active requests of an HTTP/2 connection; further requests are refused, and clients may retry them"`
	_ struct{} `of:"Server.HTTP2.MaxResets" key:"http2-max-resets" default:"1000" range:"10-1000000" script:"HTTP2_MAX_RESETS" help:"requests that an HTTP/2 client may cancel in a row, and 3 % of this number more each second; pings, settings and other frames that carry no request count as up to one reset each; a client that exceeds it is disconnected"`
	_ struct{} `of:"Server.HTTP2.MaxWindow" key:"http2-max-window" default:"256K" is:"size" range:"64K-1G" script:"HTTP2_MAX_WINDOW" help:"maximum amount of request data that an HTTP/2 client may send ahead of an application that takes it as it arrives (ASGI, WebSockets, proxies), for each active request; the first 64 KiB are always allowed"`
	_ struct{} `of:"Server.HTTP2.ConnectionWindow" key:"http2-connection-window" default:"8M" is:"size" range:"64K-1G" also:"http2-initial-connection-window-size" script:"HTTP2_CONNECTION_WINDOW" help:"maximum amount of request data that an HTTP/2 client may send ahead of the application on all requests of a connection together; with less than 64K for each of http2-max-streams, requests that wait for the application can hold up others of their connection; request bodies that are not streamed stay in memory up to an eighth of it, further ones are stored in files; all connections of a client address together get up to four times this, and all clients twelve times, above 64K for each connection"`

	_ struct{} `of:"Server.WebSockets.MaxSize" key:"ws-max-size" default:"16M" is:"size" range:"1-1G" script:"WS_MAX_SIZE" help:"maximum size of a WebSocket message after decompression; a larger one closes the connection with 1009"`
	_ struct{} `of:"Server.Sites.NoDeflate" key:"ws-per-message-deflate" default:"yes" is:"not" script:"WS_PER_MESSAGE_DEFLATE" help:"compress WebSocket messages for clients that ask for it (permessage-deflate)"`

	_ struct{} `of:"Server.Channels.Subscribers" key:"channel-subscribers" default:"100000" range:"1-1G" script:"CHANNEL_SUBSCRIBERS" help:"maximum number of subscribers of one channel per worker; further subscribers get 503"`
	_ struct{} `of:"Server.Channels.PerAddress" key:"channel-subscribers-per-address" default:"256" range:"1-1G" script:"CHANNEL_SUBSCRIBERS_PER_ADDRESS" help:"maximum number of subscribers from one address (IPv6: one /64 network) per worker; further subscribers get 503"`
	_ struct{} `of:"Server.Channels.Buffer" key:"channel-buffer" default:"64K" is:"size" range:"4K-64M" script:"CHANNEL_BUFFER" help:"event data queued for a slow subscriber; a subscriber that exceeds it is disconnected"`
	_ struct{} `of:"Server.Channels.History" key:"channel-history" default:"100" range:"0-1M" script:"CHANNEL_HISTORY" help:"number of events of each channel kept for clients that reconnect, for an hour and up to 256K per channel and 16M in total; 0 keeps no events"`
	_ struct{} `of:"Server.Channels.MaxEvent" key:"channel-max-event" default:"64K" is:"size" range:"256-16M" script:"CHANNEL_MAX_EVENT" help:"maximum size of an event as sent; fapws.publish and fapws.broadcast refuse larger ones"`

	_               struct{}      `group:"Timeouts" of:"Server.Sites.HeadTimeout" key:"head-timeout" default:"10s" range:"1ms" script:"HEAD_TIMEOUT" help:"maximum time to receive the request line and header fields, otherwise 408"`
	_               struct{}      `of:"Server.Sites.BodyTimeout" key:"body-timeout" default:"20s" range:"1ms" script:"BODY_TIMEOUT" help:"maximum time without receiving request body data, otherwise 408"`
	_               struct{}      `of:"Server.Sites.BodyRate" key:"body-min-rate" default:"500" range:"0-1T" script:"BODY_MIN_RATE" help:"minimum average rate of a request body in bytes per second, otherwise 408; 0 disables"`
	_               struct{}      `of:"Server.Sites.KeepAlive" key:"keep-alive" default:"75s" range:"1ms" also:"timeout-keep-alive channel-timeout timeout-idle" script:"KEEP_ALIVE" brief:"close a connection after this much idle time"`
	_               struct{}      `of:"Server.WriteTimeout" key:"write-timeout" default:"60s" range:"1ms" script:"WRITE_TIMEOUT" help:"close a connection whose client reads no response data for this long"`
	_               struct{}      `of:"Server.Timeout" key:"timeout" default:"0s" also:"-t" script:"TIMEOUT" brief:"maximum time of a handler, then 504; 0: any" help:"maximum time until a handler starts its response (otherwise 504) and between two chunks; on timeout the Python stack is logged and fapws.Timeout raised in the handler; 0 disables"`
	GracefulTimeout time.Duration `key:"graceful-timeout" default:"30s" also:"timeout-graceful-shutdown shutdown-timeout" script:"GRACEFUL_TIMEOUT" brief:"time to finish active requests when stopping" help:"after SIGTERM or SIGINT, maximum time to finish active requests; a second signal exits immediately"`
	ShutdownDelay   time.Duration `key:"shutdown-delay" default:"0s" help:"after SIGTERM or SIGINT, keep serving for this long before stopping: the readiness of --health is 503, and responses close their connections, so load balancers and clients change to other servers in time"`

	_ struct{} `of:"Server.WebSockets.Ping" key:"ws-ping-interval" default:"20s" also:"websocket-ping-interval" script:"WS_PING_INTERVAL" help:"send a ping on a WebSocket whose client has been silent for this long; 0 disables"`
	_ struct{} `of:"Server.WebSockets.PingTimeout" key:"ws-ping-timeout" default:"20s" script:"WS_PING_TIMEOUT" help:"close a WebSocket whose client does not respond for this long after a ping; 0 disables"`

	_ struct{} `of:"Server.Channels.Heartbeat" key:"channel-heartbeat" default:"45s" range:"1s" script:"CHANNEL_HEARTBEAT" help:"send an SSE comment to a subscriber idle for at most this long; a connection with data unacknowledged for twice this time is dropped"`
	_ struct{} `of:"Server.Channels.Retry" key:"channel-retry" default:"3s" range:"1ms" script:"CHANNEL_RETRY" help:"reconnection delay sent to subscribers"`

	AccessLog       string        `group:"Logs" key:"access-log" default:"off" is:"name" also:"access-logfile no-access-log=off" path:"FILE" script:"ACCESS_LOG" brief:"log requests to a file; \"-\" is standard output" help:"write a line for each request to this file; \"-\" is standard output, off disables"`
	AccessLogFormat string        `key:"access-log-format" default:"combined" is:"format" also:"access-logformat access-log-fmt" arg:"FORMAT" script:"ACCESS_LOG_FORMAT" help:"format of the access log: combined or common (Apache), vhost_combined (Debian's Apache), timed (combined, then microseconds), short, json, or a format string of Apache (%h, %>s, %{Referer}i) or gunicorn (%(h)s)"`
	_               struct{}      `of:"Server.Sites.Trace" key:"trace" script:"TRACE" help:"continue the traces of requests, or begin new ones (W3C Trace Context): the field traceparent reaches applications, programs and upstreams, and its trace-id is in the logs"`
	ErrorLog        string        `key:"error-log" default:"-" is:"name" also:"error-logfile log-file" path:"FILE" kept:"yes" help:"write messages, tracebacks and everything else on standard error to this file; \"-\" is standard error"`
	LogMaxSize      int64         `key:"log-max-size" default:"1M" range:"0-1024T" script:"LOG_MAX_SIZE" help:"rotate a log before it exceeds this size, compressing it to FILE.1.gz and renumbering older files; 0 disables"`
	LogRotate       string        `key:"log-rotate" default:"off" is:"rotate" arg:"WHEN" script:"LOG_ROTATE" help:"also rotate logs hourly, daily, weekly, or after a time such as 6h"`
	LogKeep         int           `key:"log-keep" default:"5" range:"0-100000" script:"LOG_KEEP" help:"number of compressed log files to keep"`
	LogBuffer       int           `key:"log-buffer" default:"32K" is:"size" range:"1-1M" script:"LOG_BUFFER" help:"write the access log when this much has accumulated"`
	LogFlush        time.Duration `key:"log-flush" default:"1s" range:"1ms" script:"LOG_FLUSH" help:"maximum age of buffered log lines before they are written; 60s reduces flash wear"`
	LogLevel        string        `key:"log-level" default:"info" is:"one debug info warning error" same:"warn=warning critical=error fatal=error 0=debug 10=debug 20=info 30=warning 40=error 50=error" arg:"LEVEL" script:"LOG_LEVEL" brief:"debug, info, warning or error" help:"minimum level of messages: debug, info, warning or error"`
	Debug           int           `key:"debug" default:"0" is:"debug" script:"DEBUG" alone:"1" brief:"1: requests and tracebacks; 2: loop; 3: bytes" help:"1: log requests with timings and send tracebacks to browsers; 2: also log loop events; 3: also bytes; without a value, 1"`
}
