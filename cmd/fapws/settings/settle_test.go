package settings

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

type places struct {
	flags  string
	env    map[string]string
	script map[string]any
	paths  bool
}

func (p places) settle(t *testing.T) (*Settings, Config, error) {
	t.Helper()
	cmd, err := ParseCommand(append(strings.Fields(p.flags), "app.py"), nil)
	checktest.Mustf(t, err, "%s", p.flags)
	s, err := New(cmd.Flags, func(name string) (string, bool) { v, ok := p.env[name]; return v, ok })
	if err != nil {
		return nil, Config{}, err
	}
	if err := s.ReadScript("app.py", p.script); err != nil {
		return nil, Config{}, err
	}
	s.NotePATHS(p.paths)
	c, err := s.Config()
	return s, c, err
}

func TestDefaultMaxClientsDependsOnOpenFiles(t *testing.T) {
	for open, want := range map[uint64]int{0: 768, 16: 1, 64: 32, 256: 192, 1024: 768, 4096: 3072, 20000: 15000,
		1 << 30: 65536} {
		checktest.Equalf(t, defaultClients(open), want, "defaultClients(%d)", open)
	}
}

func TestAddressIsTakenFromThePlaceWithPriority(t *testing.T) {
	for given, want := range cases(t, "addresses.txt") {
		p := places{env: map[string]string{}}
		for word := range strings.FieldsSeq(given) {
			name, value, found := strings.Cut(word, "=")
			switch {
			case name == "PATHS":
				p.paths = true
			case name == "SERVER":
				p.script = map[string]any{name: value}
			case found && name == strings.ToUpper(name):
				p.env[name] = value
			default:
				p.flags += " " + word
			}
		}
		s, c, err := p.settle(t)
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		got := strings.Join(c.Bind, ",")
		if strings.Contains(want, " from ") {
			got += " from " + s.Source("bind").String()
		}
		if c.Reload {
			got += ", reload"
		}
		if c.Debug > 0 {
			got += fmt.Sprint(", debug ", c.Debug)
		}
		if c.Server.Debug > 0 {
			got += fmt.Sprintf(", debug %d of the loop", c.Server.Debug)
		}
		checktest.Equalf(t, got, want, "%s", given)
	}
}

func TestClientCertificatesAreRequestedByWordOrNumber(t *testing.T) {
	for given, want := range map[string]string{"1": "optional", "2": "required", "CERT_REQUIRED": "required",
		"Optional": "optional"} {
		_, conf, err := places{flags: "--certfile c --ca-certs a --cert-reqs " + given}.settle(t)
		checktest.Truef(t, err == nil && conf.CertReqs == want, "--cert-reqs %s: %s, %v", given, conf.CertReqs, err)
	}
}

func TestInvalidValuesAreReportedWithTheirPlace(t *testing.T) {
	const (
		bytesAllowed = "a number of bytes, or one with K, M, G or T, from 1 to 1024T"
		address      = `an address such as "127.0.0.1:8888", ":8888", "[::1]:8888", "/run/x.sock", "fd://3" or "systemd"`
		target       = "must be off, a path such as /health, or http://host/health"
		timeAllowed  = "seconds, or a time such as 500ms, 30s, 5m, 1h or 7d, from 1ms to a year"
	)
	env := func(name, text string) places { return places{env: map[string]string{name: text}} }
	script := func(name string, x any) places { return places{script: map[string]any{name: x}} }
	for _, tt := range []struct {
		places
		want string
	}{
		{env("FAPWS_RELOAD_CHECK", "/a HTTP/1.1\r\nX: y"),
			"FAPWS_RELOAD_CHECK=/a HTTP/1.1\r\nX: y in the environment: " + target},
		{env("FAPWS_ACCESS_LOG", "-b :8000"),
			"FAPWS_ACCESS_LOG=-b :8000 in the environment: must be a value, not the flag -b"},
		{env("FAPWS_NAME", "--workers=2"),
			"FAPWS_NAME=--workers=2 in the environment: must be a value, not the flag --workers=2"},
		{env("FAPWS_THREADS", "many"), "FAPWS_THREADS=many in the environment: must be an integer from 0 to 256"},
		{places{flags: "--dev", env: map[string]string{"FAPWS_BIND": "10.0.0.1"}}, "--dev serves this machine only, but " +
			"10.0.0.1:8888 (environment FAPWS_BIND) is reachable from others: bind 127.0.0.1, or add --dev-anywhere"},
		{places{flags: "--dev", script: map[string]any{"SERVER": "0.0.0.0:8888"}}, "--dev serves this machine only, " +
			"but 0.0.0.0:8888 (script app.py (SERVER)) is reachable from others: bind 127.0.0.1, or add --dev-anywhere"},
		{env("PORT", "http"), "PORT=http in the environment: must be an integer from 0 to 65535"},
		{script("DEBUG", 1.0), "app.py: DEBUG is 1.0: must be an integer from 0 to 3"},
		{script("DEBUG", int64(4)), "app.py: DEBUG is 4: must be an integer from 0 to 3"},
		{script("DEBUG", "1"), `app.py: DEBUG is "1": must be an integer from 0 to 3`},
		{script("DEBUG", fmt.Errorf("None")), "app.py: DEBUG is None: must be an integer from 0 to 3"},
		{script("MAX_BODY_SIZE", false), "app.py: MAX_BODY_SIZE is False: must be " + bytesAllowed},
		{script("MAX_BODY_SIZE", int64(-1)), "app.py: MAX_BODY_SIZE is -1: must be " + bytesAllowed},
		{script("MAX_BODY_SIZE", 1e6), "app.py: MAX_BODY_SIZE is 1000000.0: must be " + bytesAllowed},
		{script("SERVER", int64(8888)), "app.py: SERVER is 8888: must be " + address},
		{script("SERVER", ""), `app.py: SERVER is "": must be ` + address},
		{script("SERVER", "nonsense here"),
			`app.py: SERVER is "nonsense here": must be an address whose host is an IP address or a name, not "nonsense here"`},
		{script("SERVER", []any{"127.0.0.1", int64(80)}), `app.py: SERVER is ["127.0.0.1", 80]: must be ` + address},
		{script("SERVER", fmt.Errorf("<socket 3>")), "app.py: SERVER is <socket 3>: must be " + address},
		{script("KEEP_ALIVE", fmt.Errorf("datetime.timedelta(0)")),
			"app.py: KEEP_ALIVE is datetime.timedelta(0): must be " + timeAllowed},
		{script("ACCESS_LOG", int64(1)), "app.py: ACCESS_LOG is 1: must be a string"},
		{script("LOG_LEVEL", int64(15)), "app.py: LOG_LEVEL is 15: must be one of debug, info, warning, error"},
		{script("LOG_LEVEL", strings.Repeat("x", 99)),
			`app.py: LOG_LEVEL is "` + strings.Repeat("x", 59) + "...: must be one of debug, info, warning, error"},
	} {
		_, _, err := tt.settle(t)
		checktest.Truef(t, err != nil && err.Error() == tt.want, "%+v:\n got %v\nwant %s", tt.places, err, tt.want)
	}
}

func TestScriptSetsValuesUnlessNamesAreTooCommon(t *testing.T) {
	_, c, err := places{script: map[string]any{
		"SERVER": []any{":1", "[::1]:2"}, "THREADS": int64(0), "MAX_BODY_SIZE": "100M", "KEEP_ALIVE": 1.5,
		"GRACEFUL_TIMEOUT": int64(0), "HEAD_TIMEOUT": "2m", "LOG_LEVEL": int64(30), "ACCESS_LOG": "-",
		"HOST": "smtp.lan", "PORT": int64(25), "CHDIR": "/", // these names are too common in scripts
	}}.settle(t)
	checktest.Must(t, err)
	got := []any{c.Bind, c.Threads, c.Server.Sites.MaxBodySize, c.Server.Sites.KeepAlive, c.GracefulTimeout,
		c.Server.Sites.HeadTimeout, c.LogLevel, c.AccessLog, c.Chdir}
	want := []any{[]string{":1", "[::1]:2"}, 0, int64(100 << 20), 1500 * time.Millisecond, time.Duration(0),
		2 * time.Minute, "warning", "-", ""}
	checktest.Equal(t, got, want)
}

func TestGraceOfWebSocketsFitsTheTimeOfTheOldCode(t *testing.T) {
	for flags, want := range map[string]time.Duration{
		"": 5 * time.Second, "--graceful-timeout 2s": 2 * time.Second, "--dev": 0, "--dev --ws-reload-grace 3s": 3 * time.Second,
	} {
		_, c, err := places{flags: flags}.settle(t)
		checktest.Must(t, err)
		checktest.Equalf(t, c.Server.WebSockets.ReloadGrace, want, "%s", flags)
	}
}

func TestLimitOfAHeadHasRoomForItsLine(t *testing.T) {
	for _, tt := range []struct {
		flags      string
		line, head int
	}{
		{"--limit-request-line 8K", 8 << 10, 64 << 10},
		{"--limit-request-line 64K", 64 << 10, 120 << 10},
		{"--limit-request-head 4K", 4 << 10, 4 << 10},
		{"--limit-request-head 4K --limit-request-line 1K", 1 << 10, 4 << 10},
	} {
		_, c, err := places{flags: tt.flags}.settle(t)
		checktest.Truef(t, err == nil && c.Server.Sites.Limits.RequestLine == tt.line &&
			c.Server.Sites.Limits.Head == tt.head, "%s: line %d, head %d, %v; want %d, %d", tt.flags,
			c.Server.Sites.Limits.RequestLine, c.Server.Sites.Limits.Head, err, tt.line, tt.head)
	}
}

func TestDebugOnAndOffAre1And0InEveryPlace(t *testing.T) {
	for _, tt := range []struct {
		places
		want int
	}{
		{places{script: map[string]any{"DEBUG": true}}, 1},
		{places{script: map[string]any{"DEBUG": false}}, 0},
		{places{script: map[string]any{"DEBUG": int64(2)}}, 2},
		{places{env: map[string]string{"FAPWS_DEBUG": "true"}}, 1},
		{places{env: map[string]string{"FAPWS_DEBUG": "off"}, script: map[string]any{"DEBUG": int64(2)}}, 0},
		{places{flags: "--debug"}, 1},
		{places{flags: "--debug no"}, 0},
		{places{flags: "--no-dev --debug 3"}, 3},
	} {
		_, c, err := tt.settle(t)
		checktest.Truef(t, err == nil && c.Debug == tt.want, "%+v: %d, %v; want %d", tt.places, c.Debug, err, tt.want)
	}
	for text, want := range map[string]int{"true": 1, "false": 0, "2": 2} {
		c, err := checktest.Try(read(t, "debug = "+text)).Must(t).Config()
		checktest.Truef(t, err == nil && c.Debug == want, "debug = %s: %d, %v; want %d", text, c.Debug, err, want)
	}
}

// An IPv4 address or network in IPv6 notation becomes an IPv4 network.
func TestTrustedAddressIsANetworkOfItsOwn(t *testing.T) {
	for list, want := range map[string]string{
		"unix":                "[] true",
		"*":                   "[0.0.0.0/0 ::/0] true",
		"10.1.2.3":            "[10.1.2.3/32] false",
		"10.1.2.3/8":          "[10.0.0.0/8] false",
		"::1":                 "[::1/128] false",
		"2001:db8::7/32":      "[2001:db8::/32] false",
		"::ffff:10.0.0.1":     "[10.0.0.1/32] false",
		"::ffff:10.0.0.1/104": "[10.0.0.0/8] false",
	} {
		_, c, err := places{flags: "--forwarded-allow-ips " + list}.settle(t)
		got := fmt.Sprint(c.Server.Sites.Proxies, c.Server.Sites.ProxyUnix)
		checktest.Truef(t, err == nil && got == want, "%s: %s, want %s", list, got, want)
	}
}
