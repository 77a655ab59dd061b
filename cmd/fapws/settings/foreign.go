package settings

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// foreign lists words that users of other servers type or set, each with a line of advice. If several rows contain a
// word, the first row with a matching condition applies. A flag that has the same meaning in fapws is not listed here,
// but is an alias in the tables of settings.
var foreign = []struct {
	// words, separated by spaces: flags ("--name", "-n"), keys in a configuration file ("key="), files ("/Caddyfile",
	// or a pattern), commands, and global variables in a script (in capitals).
	names string
	// when is the condition: a regular expression that must match the whole value of the flag. A missing value is "".
	// If when is empty, it matches every value. A row for a word that is also a flag of fapws must have a condition.
	when string
	// answer is the advice. The advice is printed after "unknown flag --name: " or, for a file, after the name of the
	// file and "is". In answer, %s is replaced by the value, the word after the command, or the file. %d is replaced by
	// the directory of the file, and %m by the module of its Django site.
	answer string
}{
	{"-t --timeout", `|-[^0-9].*|.*\.(conf|toml|ini|py)`,
		"to test a configuration, type fapws check; -t TIME limits the time of a handler"},
	{"-g --group", `|-.*|.*;.*`, "not needed; fapws always stays in the foreground; -g GROUP chooses the group of " +
		"the workers"},
	{"-c --config", `.*\.py|python:.*`, "fapws does not read a configuration of gunicorn; write its settings into " +
		"fapws.toml, such as threads = 4"},
	{"-p --port", `.*[^0-9].*`, "-p is the port; a pid file is --pid FILE"},
	{"-w --workers", "auto|max|-1|cpus?", "use --workers 0 for one worker per core"},
	{"--cert --certfile --ssl-certfile", "adhoc",
		"use --tls auto; fapws then makes certificates with a CA for this machine"},
	{"--access-log --access-logfile --error-log --error-logfile --log-file", `.*\.py`,
		"%s is a script, not a log file; a name precedes it, or - for standard output: --access-log - %s"},
	{"--log-level", "trace|notset", "use --log-level debug, and --debug 2 for events of the server"},

	{"-k --worker-class --interface-type --http-workers", "",
		"fapws has one kind of worker, for WSGI and ASGI; --threads sets its threads, 0 runs handlers inline"},
	{"-D --daemon --daemonize --background", "",
		"fapws stays in the foreground; run it from systemd, or with nohup fapws ... &"},
	{"--preload --preload-app --lazy-apps", "",
		"not needed; each worker loads the application itself, and a reload replaces workers one after the other"},
	{"--worker-tmp-dir --worker-exit-timeout", "", "not needed; workers report to the supervisor over a socket"},
	{"--master --enable-threads --vacuum --die-on-term --need-app --single-interpreter --respawn-failed-workers", "",
		"not needed; fapws always works this way"},
	{"--initgroups", "", "not needed; --user always takes the supplementary groups of the user"},
	{"--reuse-port", "", "not needed; workers share the addresses by themselves"},
	{"--no-sendfile", "", "not needed; files are sent with sendfile whenever possible"},
	{"--no-respawn-failed-workers --rss-sample-interval --rss-samples --respawn-interval " +
		"--timeout-worker-healthcheck --worker-healthcheck-timeout", "",
		"not needed; the supervisor replaces a worker that stops, with a growing pause if that repeats"},
	{"--harakiri --workers-kill-timeout", "",
		"use --timeout TIME, which answers 504, logs the Python stack and replaces a stuck worker"},
	{"--workers-max-rss --reload-on-rss --limit-memory", "", "use --max-rss SIZE, such as --max-rss 200M"},
	{"--workers-lifetime --max-worker-lifetime", "", "use --max-requests N or --max-rss SIZE"},
	{"--cheaper --cheaper-algo --cheaper-initial --cheaper-step --workers-min", "",
		"fapws keeps --workers N processes; --idle-stop TIME ends an application that is not used"},
	{"--offload-threads", "", "not needed; files are sent without a thread of Python"},
	{"--mule --mules --farm --spooler --attach-daemon --dirty-*", "",
		"fapws runs no other processes; run them as services, or use fapws.defer for short work after a response"},
	{"--cron --cron2 --timer", "", "use cron, a timer of systemd, or fapws.timer in the application"},
	{"-e --env --raw-env --environment", "", "set variables in the environment, or use --env-file FILE"},
	{"-R --enable-stdio-inheritance --capture-output", "",
		"not needed; output of the application goes to standard output and to the error log"},
	{"--spew", "", "use --debug 2 for events of the server, and fapws ctl stack for Python stacks"},
	{"--wsgi --asgi --wsgi-app", "", "not needed; fapws tells WSGI from ASGI; --interface decides otherwise"},

	{"-A --app --wsgi-file --module --mount", "", "name the application itself: fapws app.py, or fapws module:app"},
	{"--pyargv", "", "arguments of the application follow --: fapws app.py -- %s"},
	{"-H", `[^-].*[.:].*|localhost`, "use --host %s"},
	{"-H --home --pyhome", "", "use --venv DIR"},
	{"--callable", "", "name the object after a colon: fapws app.py:OBJECT"},
	{"--ini --yaml --yml --xml", "", "fapws does not read files of uWSGI; fapws help migrate shows its options as " +
		"flags and in fapws.toml"},
	{"--paste --paster --paste-global --ini-paste", "",
		"fapws does not read Paste files; name the application: fapws module:app"},
	{"--task-impl --runtime-threads --runtime-blocking-threads --runtime-mode --blocking-threads-idle-timeout --opt",
		"", "not needed; fapws has one event loop in each process; --threads and --workers set the rest"},
	{"--ws --websockets", "", "not needed; WebSockets are always on"},
	{"--http", `.*:[0-9]+|[0-9]{2,}`, "use -b %s"},
	{"--http", "h11|httptools|zttp", "not needed; fapws has one parser for HTTP/1, and HTTP/2"},
	{"--http-parser", "", "not needed; fapws has one parser for HTTP/1"},
	{"--http --http-protocols --alpn-protocols", "",
		"not needed; clients with TLS choose between HTTP/2 and HTTP/1.1; --no-http2 leaves them HTTP/1.1"},
	{"--no-ws --ws-max-queue --reset-contextvars --h11-max-incomplete-event-size", "",
		"not supported; fapws --help all lists the limits"},
	{"--with-threads --threaded", "", "not needed; handlers run on threads; --threads sets how many"},
	{"--inline", "", "use --threads 0"},
	{"--all", "", "every flag is listed by fapws --help all"},
	{"--without-threads", "", "use --threads 1 for one thread, or --threads 0 to run handlers inline"},
	{"--backpressure", "", "use --max-queue N and --max-clients N"},
	{"--debugger --use-debugger --dev-mode", "", "use --dev: it reloads, and shows tracebacks in the browser"},
	{"--no-debugger --no-debug", "", "not needed; tracebacks stay in the log without --dev and --debug"},
	{"--expose-tracebacks --no-expose-tracebacks", "", "tracebacks go to the browser with --debug 1 or --dev only"},

	{"--reload-engine --reload-delay --reload-tick --reload-ignore-worker-failure " +
		"--no-reload-ignore-worker-failure", "",
		"not needed; fapws watches the files by itself, and new code that fails leaves the old one serving"},
	{"--touch-reload --py-touch-reload --touch-chain-reload", "",
		"to reload, type fapws ctl reload; --reload watches the files of the application, and others with " +
			"--reload-include %s"},
	{"--py-autoreload --autoreload", "", "use --reload"},

	{"--proxy-headers", "", "use --forwarded-allow-ips with the addresses of the proxies; without it, no such " +
		"field is trusted"},
	{"--no-proxy-headers --clear-untrusted-proxy-headers --log-untrusted-proxy-headers", "",
		"not needed; only --forwarded-allow-ips makes fapws trust a proxy"},
	{"--proxy-allow-from", "", "use --proxy-protocol with --forwarded-allow-ips"},
	{"--trusted-proxy-count --trusted-proxy-headers --forwarder-headers --proxy-headers-* --url-scheme", "",
		"use --forwarded-allow-ips; the proxy sends the scheme in X-Forwarded-Proto"},
	{"--uwsgi-allow-from", "", "fapws does not speak the protocol of uWSGI; use proxy_pass instead of uwsgi_pass in " +
		"nginx, and --forwarded-allow-ips"},
	{"--socket --uwsgi-socket -s", `.*[:/.].*`,
		"fapws does not speak the protocol of uWSGI; use -b %s, with proxy_pass instead of uwsgi_pass in nginx"},
	{"--http-socket --https-socket --socket --uwsgi-socket --http-port --server-address --endpoint -S", "",
		"use -b ADDR, such as -b 127.0.0.1:8000 or -b unix:/run/app.sock"},
	{"--chmod-socket --control-socket-mode", "", "use --uds-permissions MODE, such as 660"},
	{"--protocol --http1-buffer-size --http1-pipeline-flush --no-http1-pipeline-flush --http1-keep-alive " +
		"--no-http1-keep-alive", "", "not needed; fapws speaks HTTP/1.0 and HTTP/1.1 with keep-alive and pipelining"},
	{"--quic-bind", "", "fapws has no HTTP/3; use a proxy such as caddy before it"},
	{"--insecure-bind", "", "repeat --bind: --bind :80 --bind https://:443"},
	{"--ipv4 --ipv6 --no-ipv4 --no-ipv6 --sockets", "",
		"not needed; -b ADDR takes IPv4 and IPv6 addresses, and repeats"},
	{"--http1-header-read-timeout --header-timeout", "", "use --head-timeout TIME"},
	{"--read-timeout", "", "use --body-timeout TIME"},
	{"--asgi-disconnect-grace-period --application-close-timeout", "",
		"not needed; receive() returns http.disconnect, and fapws cancels no task because its client has left"},
	{"--websocket-max-frame-size", "", "use --ws-max-size SIZE"},
	{"--websocket-timeout --websocket-connect-timeout", "",
		"not needed; fapws closes WebSockets whose client has left: --ws-ping-interval and --ws-ping-timeout"},
	{"--http-timeout --socket-timeout", "", "use --timeout TIME"},
	{"--limit-post", "", "use --max-body-size %s"},
	{"--rate-limit --limit-req --limit-req-zone", "",
		`use the key rate of fapws.toml, such as rate = "20/s burst 40"; see fapws help rates`},
	{"--keyfile-password --ssl-keyfile-password", "",
		"fapws starts without asking for a password: decrypt the key (openssl pkey), keep the file to yourself " +
			"(chmod 600), and name it with --keyfile"},
	{"--ssl-version", "", "use --tls-min 1.2 or --tls-min 1.3"},
	{"--ssl-ciphers --ciphers", "", "not needed; fapws uses the cipher suites that Mozilla recommends " +
		"(intermediate), or only those of TLS 1.3 with --tls-min 1.3"},
	{"--do-handshake-on-connect --suppress-ragged-eofs", "", "not needed; handshakes never keep other clients waiting"},
	{"--verify-mode --ssl-client-verify --no-ssl-client-verify", "",
		"use --cert-reqs none, optional or required, with --ca-certs FILE"},
	{"--ssl-crl", "", "add the revocation list, in PEM format, to the file of --ca-certs"},
	{"--ssl-context-factory", "", "fapws makes the TLS configuration itself: --certfile, --keyfile, --ca-certs, " +
		"--cert-reqs and --tls-min"},
	{"--https", "", "use --certfile FILE --keyfile FILE, and --bind https://:443 if other addresses are to stay plain"},
	{"--server-name", "", "the configuration file has hosts: [[host]] name = \"example.org\""},
	{"--ident --server-header --no-server-header --no-server-name --date-header --no-date-header --header", "",
		"set or remove fields with headers and remove-headers in the configuration file"},
	{"--permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method " +
		"--permit-unconventional-http-version --tolerate-dangerous-framing --casefold-http-method --header-map", "",
		"not supported: requests that violate RFC 9112 always get 400"},
	{"--recv-bytes --send-bytes --outbuf-overflow --outbuf-high-watermark --inbuf-overflow --cleanup-interval " +
		"--asyncore-loop-timeout --asyncore-use-poll --channel-request-lookahead --buffer-size", "",
		"not needed; fapws sets its buffers itself, and bounds them"},

	{"--docroot --root --document-root --directory -d --static-path-mount --check-static", "",
		"name the directory: fapws DIR; or, along with an application, --static /PREFIX=DIR"},
	{"--static-path-route", "", "use --static /PREFIX=DIR"},
	{"--static-expires --static-path-expires --max-age", "",
		"use --expires PATTERN=TIME, such as --expires '*.css=30d'"},
	{"-s", "", "for a running server, type fapws ctl reload or fapws ctl stop"},
	{"--cgi", "", "use a configuration file: [[host.route]] with cgi = \"DIR\", or CGIApplication in PATHS"},
	{"--gzip --precompressed", "", "not needed; fapws compresses files itself; --no-compress turns that off"},

	{"--log-config --log-config-json --logger-class", "",
		"configure Python's logging in the application; --access-log, --error-log and --log-level are for the server"},
	{"--log-syslog --log-syslog-to --log-syslog-prefix --log-syslog-facility --disable-redirect-access-to-syslog", "",
		"write to standard error and let systemd's journal take it, or use --access-log and --error-log"},
	{"--use-colors --no-use-colors", "", "not needed; fapws writes plain text"},
	{"--log-format --logformat --log-fmt --log-access-format", "",
		"use --access-log-format FORMAT, with --access-log FILE"},
	{"--log --logto --logto2 --req-logger --logfile", "", "use --error-log FILE, or --access-log FILE"},
	{"--no-log -q --quiet --silent", "", "use --log-level error"},
	{"-v --verbose --verbosity", "",
		"use -V for versions, --log-level debug for more messages, or --debug 1 to see requests"},
	{"--statsd-host --statsd-prefix --dogstatsd-tags --metrics --metrics-host --metrics-port --metrics-address " +
		"--metrics-scrape-interval --no-metrics --enable-backlog-metric --stats", "",
		"use --status PREFIX, such as --status /_fapws: Prometheus reads metrics from /_fapws/metrics; fapws ctl top " +
			"shows them, too"},
	{"--from --to", "", "use a configuration file: [[host.route]] with proxy = \"http://127.0.0.1:9000\""},
	{"--watch -W", "", "use --reload, or --dev"},
	{"--http2-max-header-list-size", "", "use --limit-request-head SIZE"},
	{"--http2-adaptive-window --no-http2-adaptive-window --http2-initial-window-size " +
		"--http2-initial-stream-window-size --http2-keep-alive-interval " +
		"--http2-keep-alive-timeout --http2-max-frame-size --http2-max-headers-size --http2-max-send-buffer-size", "",
		"not needed; the limits of HTTP/2 are --http2-max-streams, --http2-max-resets, --http2-max-window and " +
			"--http2-connection-window"},

	{"proxy-pass= reverse-proxy= upstream= backend= proxypass=", "",
		`use proxy = "http://127.0.0.1:9000" in [[host.route]]`},
	{"proxy-timeout= proxy-read-timeout= proxy-connect-timeout= proxy-send-timeout= fastcgi-read-timeout= " +
		"read-timeout=", "", `use timeout = "30s", of the route, the host or all`},
	{"proxy-set-header= proxy-headers= header-up=", "",
		"not needed; a proxied request has Forwarded, X-Forwarded-* and the Host of the client, see " +
			"proxy-preserve-host"},
	{"proxy-buffering= proxy-http-version= proxy-redirect=", "",
		"not needed; fapws streams responses of upstreams over HTTP/1.1"},
	{"proxy-cache= proxy-cache-valid= fastcgi-cache=", "", `use cache = true, or cache = "60s"`},
	{"proxy-ssl-verify= proxy-ssl-server-name=", "", "use proxy-tls-verify and proxy-tls-name"},
	{"fastcgi-pass= php-fastcgi= fastcgi-server=", "",
		`use fastcgi = "unix:/run/php/php-fpm.sock", or php = true, in [[host.route]]`},
	{"uwsgi-pass= http-socket=", "", `fapws does not speak the protocol of uWSGI; use proxy = "http://127.0.0.1:9000"`},
	{"location= path= uri= handle= handle-path= route-path=", "",
		`use prefix = "/path/" or match = "*.php" in [[host.route]]`},
	{"server-name= servername= serveralias= hostname= domain= names=", "", `use name = "example.org" in [[host]]`},
	{"document-root= documentroot= docroot= alias= file-server= directory= folder=", "",
		`use files = "DIR" in [[host.route]], or root = "DIR" in [[host]]`},
	{"try-files=", "", `use spa = "index.html", or php = { front = "/index.php" }`},
	{"return= redir= respond=", "", `use redirect = "https://example.org${path}", or status = 404, in [[host.route]]`},
	{"client-max-body-size= max-upload-size= request-body=", "", `use max-body-size = "20M"`},
	{"auth-basic= auth-basic-user-file= basicauth= basic-auth=", "",
		`use auth = { realm = "admin", users = "htpasswd" }`},
	{"add-header= header= header-down=", "", `use headers = { "X-Frame-Options" = "DENY" }`},
	{"gzip= gzip-static= encode= brotli=", "", "not needed; fapws compresses; compress = false turns that off"},
	{"ssl-certificate-key=", "", `use keyfile = "FILE", with certfile = "FILE"`},
	{"application= script= module= wsgi-file= wsgi= asgi= callable=", "", `use app = "module:app"`},
	{"http-port= https-port=", "", `use bind = [":80", "https://:443"]`},

	{"/Caddyfile /*.caddyfile", "", "the configuration of Caddy; fapws reads fapws.toml, and fapws help migrate " +
		"shows the directives there"},
	{"/nginx.conf /*.nginx /default.conf", "",
		"a configuration of nginx; fapws reads fapws.toml, and fapws help migrate shows the directives there"},
	{"/httpd.conf /apache2.conf /.htaccess", "",
		"a configuration of Apache; fapws reads fapws.toml, see fapws help migrate"},
	{"/web.conf", "", "a configuration of httPyServer: type fapws import %s > fapws.toml"},
	{"/uwsgi*.ini /uwsgi*.yaml /uwsgi*.yml /uwsgi*.xml /uwsgi*.json", "",
		"a configuration of uWSGI; fapws help migrate shows its options as flags and in fapws.toml"},
	{"/gunicorn.conf.py /gunicorn_conf.py /gunicorn_config.py", "",
		"a configuration of gunicorn; write its settings into fapws.toml, such as threads = 4, see fapws help migrate"},
	{"/*.ini", "", "a configuration of another server; name the application: fapws module:app"},
	{"/Procfile", "", "a list of commands; type the one of web with fapws: fapws -b :$PORT APP"},
	{"/manage.py", "", "the command of a Django site, not an application: type fapws %m"},
	{"/*.toml", "", "a configuration file, not an application: type fapws -c %s"},
	{"/*.html /*.htm /*.css /*.js", "", "not a Python application; to serve the files of its directory, type fapws %d"},
	{"/*.php", "",
		`not a Python application; for PHP use a configuration file: [[host]] root = "DIR", ` +
			`[[host.route]] match = "*.php", php = true`},

	{"PORT HOST ADDRESS BIND LISTEN", "", `set SERVER = "127.0.0.1:8000", or use -b ADDR`},
	{"WORKERS PROCESSES", "", "use --workers N"},
	{"RELOAD AUTORELOAD", "", "use --reload, or --dev"},

	{"serve start server runserver up file-server web", "", "to serve, type fapws %s"},
	{"dev develop development watch", "", "for development, type fapws --dev %s"},
	{"reload restart", "", "for a running server, type fapws ctl reload"},
	{"stop quit kill down shutdown", "", "for a running server, type fapws ctl stop"},
	{"status ps list", "", "for a running server, type fapws ctl status"},
	{"top", "", "for a running server, type fapws ctl top"},
	{"metrics", "", "for a running server, type fapws ctl metrics"},
	{"init new create startproject", "", "fapws needs no project: write app.py, and type fapws app.py"},
	{"fmt format lint", "", "fapws has no formatter; to test fapws.toml, type fapws check"},
	{"adapt convert", "", "fapws reads fapws.toml; fapws help migrate shows the directives of nginx and Caddy there"},
	{"trust untrust", "", "fapws changes no trust store; fapws ctl ca shows the CA of --tls auto, and fapws " +
		"help https how clients trust it"},
	{"install service", "",
		"fapws help install shows how to install fapws as a service: ./build.sh install --system, or the package"},
	{"stack trace", "", "for a running server, type fapws ctl stack"},
	{"test validate verify", "", "to test an application, type fapws check %s"},
	{"config", "", "to see the settings, type fapws --print-config %s"},
	{"daphne django-admin flask granian gunicorn hypercorn python3 uvicorn waitress-serve", `.*[.:].*`,
		"fapws replaces this command; type fapws %s"},
	{"daphne django-admin flask granian gunicorn hypercorn python3 uvicorn waitress-serve", "",
		"fapws replaces this command; type fapws APP, such as main:app or app.py"},
	{"python repl", "", "for a Python prompt, type fapws shell %s"},
	{"passwd htpasswd password", "", "for a user of auth, type fapws hash-password USER"},
}

// foreignAnswer returns the advice about a word, or "" if the table foreign contains no matching row. value is the
// value of the flag, or the word that follows the command.
func foreignAnswer(word, value string) string {
	if word == "" {
		return ""
	}
	if !strings.HasPrefix(word, "/") {
		word = strings.ReplaceAll(word, "_", "-")
	}
	for _, f := range foreign {
		if !slices.ContainsFunc(strings.Fields(f.names), func(name string) bool { return fits(name, word) }) {
			continue
		}
		if f.when == "" || regexp.MustCompile("^(?:"+f.when+")$").MatchString(value) {
			if strings.Contains(f.answer, "%m") {
				return strings.ReplaceAll(f.answer, "%m", DjangoArguments(value, "PROJECT.wsgi"))
			}
			return strings.NewReplacer("%s", value, "%d", filepath.Dir(value)).Replace(f.answer)
		}
	}
	return ""
}

func fits(name, word string) bool {
	if strings.HasPrefix(name, "/") {
		name, word = strings.ToLower(name), strings.ToLower(word)
	}
	ok, _ := path.Match(name, word)
	return ok
}

// ForeignFile returns advice about a file, or "" if there is none. There is advice for two kinds of file names: names
// of files that another server uses, and names of files that fapws serves only with another command.
func ForeignFile(name string) string { return foreignAnswer("/"+filepath.Base(name), name) }

func foreignKey(key string) string {
	if answer := foreignAnswer(key+"=", ""); answer != "" {
		return answer
	}
	return foreignAnswer("--"+key, "VALUE")
}

// UnknownWord returns advice if a word that the user has typed as a command is a command of another tool or resembles a
// word in typedWords.
func UnknownWord(word, app string) string {
	if app == "" {
		app = "APP"
	}
	if answer := foreignAnswer(word, app); answer != "" && word == strings.ToLower(word) {
		return answer
	}
	switch near := Nearest(word, typedWords); Word(near) {
	case "":
	case WordRun, WordCheck, WordRoutes, WordShell, WordUnit:
		return fmt.Sprintf("did you mean fapws %s %s?", near, app)
	default:
		return fmt.Sprintf("did you mean fapws %s?", near)
	}
	return ""
}

// unexpected returns the error about superfluous words after APP, which is words[0].
func (p *parser) unexpected(word Word, words []string) error {
	for _, one := range words {
		if toggle := p.toggleBefore(one); toggle != "" {
			return fmt.Errorf("unexpected word %s: %s takes a value only with =, %s=%s", one, toggle, toggle, one)
		}
	}
	app, extra := words[0], words[1]
	if err := notAnApp(app, extra); err != nil {
		return err
	}
	if what := ForeignFile(app); what != "" {
		return fmt.Errorf("%s is %s", app, what)
	}
	if word == WordRun && !strings.ContainsAny(app, ".:(/") {
		if answer := UnknownWord(app, extra); answer != "" {
			return fmt.Errorf("unknown command %s: %s", app, answer)
		}
	}
	switch {
	case slices.Contains(typedWords, extra):
		return fmt.Errorf("unexpected word %s after %s: a command precedes the application, fapws %s %s", extra, app,
			extra, app)
	case digitsOnly(extra):
		return fmt.Errorf("unexpected word %s after %s: for a port use -p %s", extra, app, extra)
	case isHost(extra):
		return fmt.Errorf("unexpected word %s after %s: for an address use -b %s", extra, app, extra)
	}
	return fmt.Errorf("unexpected word %s after %s; arguments of the application follow --: fapws %s -- %s",
		extra, app, app, strings.Join(words[1:], " "))
}

func (p *parser) toggleBefore(word string) string {
	if _, err := onOff(word); err != nil {
		return ""
	}
	at := slices.Index(p.typed, word)
	if at < 1 {
		return ""
	}
	for _, row := range p.rows {
		if before := p.typed[at-1]; row.Arg == "" && before == "--"+row.Name {
			return before
		}
	}
	return ""
}

// notAnApp returns an error if APP is an address or a port, which users of php -S and http.server type in this place.
func notAnApp(app, next string) error {
	if next == "" {
		next = "APP"
	}
	if _, rest, isURL := strings.Cut(app, "://"); isURL {
		app = strings.TrimRight(rest, "/")
	}
	switch {
	case digitsOnly(app):
		return fmt.Errorf("%s is a port, not an application: type fapws -p %s %s", app, app, next)
	case isHost(app):
		return fmt.Errorf("%s is an address, not an application: type fapws -b %s %s", app, app, next)
	}
	return nil
}

// isHost reports whether a word is an IP address or localhost, optionally with a port, or only a port: ":8000".
func isHost(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "0"
		if host == "" {
			return false
		}
	}
	_, err = netip.ParseAddr(host)
	return digitsOnly(port) && (host == "" || host == "localhost" || err == nil)
}

const foreignArguments = "GUNICORN_CMD_ARGS"

// foreignPrefixes lists prefixes of environment variables that servers other than fapws read. The rest of the
// variable's name is the name of a flag.
var foreignPrefixes = []string{"UVICORN_", "HYPERCORN_", "GRANIAN_", "FLASK_RUN_"}

// TakeForeign reads environment variables of other servers, such as UVICORN_PORT, from environ ("NAME=value").
// TakeForeign changes only settings that still have their default, so settings for fapws take precedence, including
// settings in the file and the script. TakeForeign returns a line for each flag or value that fapws does not support.
func (s *Settings) TakeForeign(environ []string) (lines []string) {
	environ = slices.Sorted(slices.Values(environ))
	for _, one := range environ {
		name, value, _ := strings.Cut(one, "=")
		if name == foreignArguments {
			lines = append(lines, s.takeFlags(name, shellWords(value))...)
			continue
		}
		for _, prefix := range foreignPrefixes {
			if rest, ok := strings.CutPrefix(name, prefix); ok && value != "" {
				flag := "--" + strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
				lines = append(lines, s.takeFlags(name, []string{flag + "=" + value})...)
			}
		}
	}
	return lines
}

// shellWords splits text into words as a shell does, but supports no syntax of the shell except quotes.
func shellWords(text string) []string {
	words := regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`).FindAllString(text, -1)
	for i := range words {
		words[i] = strings.NewReplacer(`"`, "", `'`, "").Replace(words[i])
	}
	return words
}

func (s *Settings) takeFlags(name string, words []string) (lines []string) {
	refuse := func(what any) { lines = append(lines, fmt.Sprintf("%s in the environment: ignored: %v", name, what)) }
	rows := slices.DeleteFunc(slices.Clone(table()), func(row *Setting) bool { return !row.inFile() })
	p := newParser(rows, words)
	// A word that is not a flag is the value of an unknown flag, or the application.
	for n := 1; len(words) > 0; words, n = words[n:], 1 {
		err := p.set.Parse(words[:1])
		if bare := new(pflag.ValueRequiredError); errors.As(err, &bare) && len(words) > 1 {
			n, err = 2, p.set.Parse(words[:2])
		}
		if err != nil {
			refuse(p.explain(err))
		}
	}
	for _, row := range rows {
		f, given := p.cmd.Flags[row.Name]
		if !given || s.from[row.Name].Level > FromSurroundings {
			continue
		}
		if err := row.value(&s.conf).parse(f.text); err != nil {
			refuse(fmt.Sprintf("%s %s: must be %v", f.as, shorten(f.text), err))
			continue
		}
		from := name
		if name == foreignArguments {
			from += " " + f.as
		}
		s.from[row.Name] = Source{FromForeign, from}
	}
	return lines
}

// ForeignGlobals returns a line of advice for each global variable in the source of a script with PATHS that looks like
// a setting but is not, and that the script does not use.
func (s *Settings) ForeignGlobals(script string, source []byte) (lines []string) {
	ours := s.Globals()
	for statement := range statements(source) {
		end := strings.IndexFunc(statement, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') })
		if end < 1 {
			continue
		}
		name := statement[:end]
		if _, set := assignment(statement, name); !set || slices.Contains(ours, name) || name == "PATHS" ||
			len(regexp.MustCompile(`\b`+name+`\b`).FindAll(source, -1)) > 1 {
			continue
		}
		if answer := foreignAnswer(name, ""); answer != "" {
			lines = append(lines, fmt.Sprintf("%s: %s is not a setting of scripts: %s", script, name, answer))
		} else if near := Nearest(name, ours); near != "" {
			lines = append(lines, fmt.Sprintf("%s: %s is not a setting of scripts, did you mean %s?", script, name,
				near))
		}
	}
	return lines
}
