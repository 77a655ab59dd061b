package tls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// A pebble is a running Pebble, the ACME test server of Let's Encrypt. Its DNS server resolves every name to this
// machine.
type pebble struct {
	directory, trust, http, https, dns string
	records                            string // URL at which records are added and removed
}

func startPebble(t *testing.T) *pebble {
	t.Helper()
	for _, program := range []string{"pebble", "pebble-challtestsrv"} {
		_, err := exec.LookPath(program)
		fapwstest.Mustf(t, err, "install it with: sudo apt-get install pebble")
	}
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	cert, key := ca.For("localhost", "127.0.0.1").Write(dir)
	ports := make([]string, 6)
	for i := range ports {
		ports[i] = fapwstest.FreePort(t)
	}
	p := &pebble{directory: "https://127.0.0.1:" + ports[0] + "/dir", trust: certtest.Write(t, dir+"/ca.pem", ca.PEM),
		http: ports[2], https: ports[3], dns: "127.0.0.1:" + ports[4], records: "http://127.0.0.1:" + ports[5]}
	number := func(port string) int { n, _ := strconv.Atoi(port); return n }
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": "127.0.0.1:" + ports[0], "managementListenAddress": "127.0.0.1:" + ports[1],
		"certificate": cert, "privateKey": key, "httpPort": number(p.http), "tlsPort": number(p.https),
	}})
	fapwstest.Must(t, err)
	fapwstest.Write(t, dir+"/config.json", string(config))
	names := []string{"-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", p.dns, "-http01", "", "-https01", "",
		"-tlsalpn01", "", "-management", "127.0.0.1:" + ports[5]}
	// Before version 2.10 of pebble-challtestsrv, the flag -dns01 was called -dnsserver.
	if usage, _ := exec.Command("pebble-challtestsrv", "-help").CombinedOutput(); !strings.Contains(string(usage),
		"-dns01 ") {
		names[4] = "-dnsserver"
	}
	run(t, "127.0.0.1:"+ports[5], "pebble-challtestsrv", names...)
	run(t, "127.0.0.1:"+ports[0], "pebble", "-config", dir+"/config.json", "-dnsserver", p.dns)
	return p
}

func run(t *testing.T, address, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	fapwstest.StartProgram(t, cmd)
	fapwstest.Eventually(t, program+" listens", func() bool { return fapwstest.Listens("tcp", address) })
}

// serve starts a server that orders certificates from p. If flags is nil, the hosts are example.org and
// www.example.org.
func (p *pebble) serve(t *testing.T, m fapwstest.Mode, state, http, https string, flags ...string) *fapwstest.Server {
	t.Helper()
	c := fapwstest.Command{Script: "environ.py", Env: []string{"SSL_CERT_FILE=" + p.trust, "SECRET=of the application"}}
	if flags == nil {
		flags = []string{"--acme-hosts", "example.org,www.example.org"}
	}
	c.Flags = slices.Concat(m.Flags, flags, []string{"--bind", "https://127.0.0.1:" + https, "--bind",
		"127.0.0.1:" + http, "--https-redirect", "--tls", "acme", "--acme-email", "root@example.org",
		"--acme-directory", p.directory, "--state-dir", state})
	s := c.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	return s
}

func issued(t *testing.T, s *fapwstest.Server, name string) (c *x509.Certificate) {
	t.Helper()
	fapwstest.Eventually(t, "there is a certificate for "+name, func() bool {
		tc, err := tryDial(t, s, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		defer tc.Close()
		c = tc.ConnectionState().PeerCertificates[0]
		return strings.Contains(c.Issuer.CommonName, "Pebble") && c.VerifyHostname(name) == nil
	})
	return c
}

func TestACMECertificatesAreOrderedKeptRenewedAndShared(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		p := startPebble(t)
		state := t.TempDir()
		s := p.serve(t, m, state, p.http, p.https)
		first := issued(t, s, "example.org")
		issued(t, s, "www.example.org")
		if m.Workers() {
			s.Control("reload")
		}
		fapwstest.Truef(t, leaf(t, s, "example.org").Equal(first), "another certificate without need")
		s.Stop()
		s = p.serve(t, m, state, p.http, p.https)
		fapwstest.Truef(t, issued(t, s, "example.org").Equal(first), "another certificate after a restart")
		s.Stop()
		old := certtest.NewAuthority(t).Sign(certtest.Options{Names: []string{"example.org"},
			Start: time.Now().Add(-80 * 24 * time.Hour), End: time.Now().Add(10 * 24 * time.Hour)})
		certtest.Write(t, state+"/acme/example.org", append(append([]byte{}, old.Key...), old.Chain...))
		s = p.serve(t, m, state, p.http, p.https)
		s.Says("info ordering a certificate for example.org from " + p.directory +
			", because two thirds of its time are over")
		fapwstest.Truef(t, !issued(t, s, "example.org").Equal(first), "the certificate was not renewed")
		fapwstest.Equal(t, fapwstest.Try(os.Stat(state+"/acme/example.org")).Must(t).Mode().Perm(), 0o600)
	})
}

func TestACMEAuthorityFallsBackFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	p := startPebble(t)
	s := p.serve(t, fapwstest.Workers, t.TempDir(), p.http, fapwstest.FreePort(t))
	issued(t, s, "example.org")
	s.Stop()
	s = p.serve(t, fapwstest.Workers, t.TempDir(), fapwstest.FreePort(t), fapwstest.FreePort(t))
	const refused = `error example.org: the CA refused: .*connection refused.*; the name must resolve to this ` +
		`machine, and the CA must reach its port 80 or 443; next try at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, or at a reload\n`
	line := s.Says(refused)
	fapwstest.Truef(t, len(line[0]) <= 1500, "a long line: %s", line[0])
	s.Control("reload")
	s.Says(`(?s)` + refused + `.*` + refused)
	_, err := tryDial(t, s, &tls.Config{ServerName: "example.org", InsecureSkipVerify: true})
	fapwstest.Truef(t, err != nil && strings.Contains(err.Error(), "unrecognized name"), "without a certificate: %v", err)
	w := fapwstest.Dial(t, "tcp", strings.TrimSuffix(strings.TrimPrefix(s.Says(`http://(\S+)/`)[1], "http://"), "/"))
	w.Send(fapwstest.Get("/.well-known/acme-challenge/..%2fexample.org"),
		fapwstest.Get("/.well-known/acme-challenge/none"))
	for range 2 {
		a := w.Answer()
		fapwstest.Truef(t, a.StatusCode == 404 || a.StatusCode == 308, "status %d: %s", a.StatusCode, a.Text)
	}
}

func TestACMESettingsChangeAtAReload(t *testing.T) {
	t.Parallel()
	p := startPebble(t)
	dir := t.TempDir()
	cert, key := certtest.NewAuthority(t).For("other.example").Write(dir)
	file := dir + "/fapws.toml"
	write := func(more string) {
		fapwstest.Write(t, file, fmt.Sprintf("bind = ['https://127.0.0.1:%s', '127.0.0.1:%s']\ncertfile = "+
			"'%s'\nkeyfile = '%s'\nstate-dir = '%s'\n%s", p.https, p.http, cert, key, dir, more))
	}
	write("")
	s := fapwstest.Command{Script: "environ.py", Env: []string{"SSL_CERT_FILE=" + p.trust},
		Flags: []string{"-w", "1", "-c", file}}.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	for _, directory := range []string{"https://127.0.0.1:" + fapwstest.FreePort(t) + "/dir", p.directory} {
		write(fmt.Sprintf("tls = 'acme'\nacme-hosts = 'example.org'\nacme-directory = '%s'\n", directory))
		s.Control("reload")
		s.Says("info ordering a certificate for example.org from " + directory)
		if directory != p.directory {
			s.Says("error example.org: cannot reach the CA")
		}
	}
	issued(t, s, "example.org")
}

// hooks writes a hook that adds a DNS record and a hook that removes it, and returns the flags for both. Each hook
// appends its environment variables to the file calls. The text more is added to the end of the first hook.
func (p *pebble) hooks(t *testing.T, more string) (flags []string, calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = dir + "/calls"
	write := func(name, text string) string {
		fapwstest.Write(t, dir+"/"+name, "#!/bin/sh\n"+strings.NewReplacer("RECORDS", p.records, "CALLS", calls).
			Replace(text))
		fapwstest.Must(t, os.Chmod(dir+"/"+name, 0o755))
		return dir + "/" + name
	}
	const note = "(echo \"$0\"; env | sort; echo) >>CALLS\n"
	add := write("dns-add", note+`curl -sf -d '{"host":"_acme-challenge.'$CERTBOT_DOMAIN'.","value":"'`+
		"$CERTBOT_VALIDATION'\"}' RECORDS/set-txt || exit\necho added $CERTBOT_VALIDATION\n"+more)
	remove := write("dns-remove", note+`curl -sf -d '{"host":"_acme-challenge.'$CERTBOT_DOMAIN'."}' RECORDS/clear-txt`)
	return []string{"--acme-dns-hook", add, "--acme-dns-cleanup-hook", remove}, calls
}

// called reads the file that the hooks write. For each call of a hook, called returns the variables CERTBOT_..., and
// the name of the hook as "hook".
func called(t *testing.T, file string) (all []map[string]string) {
	t.Helper()
	for call := range strings.SplitSeq(strings.TrimSpace(string(fapwstest.Try(os.ReadFile(file)).Must(t))), "\n\n") {
		name, variables, _ := strings.Cut(call, "\n")
		one := map[string]string{"hook": name[strings.LastIndexByte(name, '/')+1:]}
		for line := range strings.Lines(variables) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if strings.HasPrefix(name, "CERTBOT_") {
				one[name] = value
			} else if strings.Contains(name, "FAPWS") || name == "SECRET" || name == "SSL_CERT_FILE" {
				t.Errorf("a hook gets %s", name)
			}
		}
		all = append(all, one)
	}
	return all
}

// The authority checks DNS records and never connects to the server. With --sandbox, the hooks run outside of the
// sandbox.
func TestACMEHooksGetCertificatesForAllNamesOfADomain(t *testing.T) {
	modes := []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers, {Name: "sandbox", Flags: []string{"--sandbox"}}}
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		p := startPebble(t)
		flags, calls := p.hooks(t, "")
		flags = append(flags, "--acme-hosts", "example.org,*.example.org,www.example.net")
		s := p.serve(t, m, t.TempDir(), fapwstest.FreePort(t), fapwstest.FreePort(t), flags...)
		first := issued(t, s, "example.org")
		for _, name := range []string{"www.example.org", "*.example.org"} {
			err := first.VerifyHostname(name)
			fapwstest.Truef(t, err == nil && leaf(t, s, "a.example.org").Equal(first), "%s: %v", name, err)
		}
		issued(t, s, "www.example.net")
		all := called(t, calls)
		fapwstest.Needf(t, len(all) == 6, "%d calls: %v", len(all), all)
		values := map[string]bool{}
		for i, want := range []string{"dns-add example.org example.org,example.org 1",
			"dns-add example.org example.org,example.org 0", "dns-remove example.org example.org,example.org 0",
			"dns-remove example.org example.org,example.org 1", "dns-add www.example.net www.example.net 0",
			"dns-remove www.example.net www.example.net 0"} {
			c := all[i]
			value, output := c["CERTBOT_VALIDATION"], c["CERTBOT_AUTH_OUTPUT"]
			got := fmt.Sprintln(c["hook"], c["CERTBOT_DOMAIN"], c["CERTBOT_ALL_DOMAINS"], c["CERTBOT_REMAINING_CHALLENGES"])
			fapwstest.Truef(t, got == want+"\n" && len(value) == 43 &&
				strings.HasPrefix(want, "dns-remove") == (output == "added "+value), "call %d: %v", i, c)
			values[value] = true
		}
		fapwstest.Equal(t, len(values), 3)
		resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.dns)
		}}
		left, _ := resolver.LookupTXT(t.Context(), "_acme-challenge.example.org")
		fapwstest.Truef(t, left == nil, "records are left: %v", left)
	})
}

// Until the server has the new certificate, clients get the previous certificate.
func TestACMEHookReplacesACertificateThatDoesNotCoverANewName(t *testing.T) {
	t.Parallel()
	p := startPebble(t)
	state := t.TempDir()
	s := p.serve(t, fapwstest.Workers, state, p.http, p.https)
	first := issued(t, s, "example.org")
	issued(t, s, "www.example.org")
	s.Stop()
	account := fapwstest.Read(t, state+"/acme/acme_account+key")
	flags, calls := p.hooks(t, "while [ ! -e CALLS.go ]; do sleep 0.05; done\n")
	flags = append(flags, "--acme-hosts", "*.example.org,example.org")
	s = p.serve(t, fapwstest.Workers, state, p.http, p.https, flags...)
	s.Says(`info ordering a certificate for example\.org, \*\.example\.org from .*, because it does not cover ` +
		`\*\.example\.org\n`)
	fapwstest.Truef(t, leaf(t, s, "example.org").Equal(first), "the previous certificate is not used")
	fapwstest.Write(t, calls+".go", "")
	issued(t, s, "a.example.org")
	fapwstest.Truef(t, !leaf(t, s, "example.org").Equal(first), "the certificate was not replaced")
	fapwstest.Equalf(t, fapwstest.Read(t, state+"/acme/acme_account+key"), account, "the account")
}

func TestACMEHookThatFailsIsLoggedAndCleanedUp(t *testing.T) {
	t.Parallel()
	p := startPebble(t)
	flags, calls := p.hooks(t, "echo no permission >&2\nexit 3\n")
	s := p.serve(t, fapwstest.Workers, t.TempDir(), fapwstest.FreePort(t), fapwstest.FreePort(t),
		append(flags, "--acme-hosts", "example.org,*.example.org")...)
	s.Says(`(?s)info dns-add: no permission\n.*error example\.org, \*\.example\.org: no certificate from ` +
		regexp.QuoteMeta(p.directory) + `: acme-dns-hook \S+/dns-add: exit status 3; next try at [^\n]*, or at a reload\n`)
	all := called(t, calls)
	fapwstest.Truef(t, len(all) == 2 && all[1]["hook"] == "dns-remove", "%v", all)
	flags, _ = p.hooks(t, `curl -sf -d '{"host":"_acme-challenge.'$CERTBOT_DOMAIN'."}' RECORDS/clear-txt`+"\n")
	s = p.serve(t, fapwstest.Threads, t.TempDir(), fapwstest.FreePort(t), fapwstest.FreePort(t),
		append(flags, "--acme-hosts", "example.org")...)
	s.Says(`error example\.org: the CA refused: .*; acme-dns-hook must end only when all name servers of the domain ` +
		`have the record; next try at`)
}

func TestACMEHookIsKilledAndCleanedUpAtAStopAndAnUpgrade(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		p := startPebble(t)
		flags, calls := p.hooks(t, "sleep 10000 & echo $$ $! >CALLS.new; mv CALLS.new CALLS.pids; wait\n")
		s := p.serve(t, m, t.TempDir(), fapwstest.FreePort(t), fapwstest.FreePort(t),
			append(flags, "--acme-hosts", "example.org")...)
		ends := []func(){s.Upgrade, s.Stop}
		if m.Name == fapwstest.Threads.Name {
			ends = ends[1:]
		}
		for i, end := range ends {
			var text []byte
			fapwstest.Eventually(t, "the hook runs", func() (done bool) {
				text, _ = os.ReadFile(calls + ".pids")
				return len(text) > 0
			})
			fapwstest.Must(t, os.Remove(calls+".pids"))
			end()
			for pid := range strings.FieldsSeq(string(text)) {
				fapwstest.Eventually(t, "the process "+pid+" has ended", func() bool {
					status, err := os.ReadFile("/proc/" + pid + "/status")
					return err != nil || strings.Contains(string(status), "State:\tZ")
				})
			}
			all := called(t, calls)
			added, removed := all[2*i], all[2*i+1]
			fapwstest.Truef(t, removed["hook"] == "dns-remove" && removed["CERTBOT_VALIDATION"] == added["CERTBOT_VALIDATION"] &&
				removed["CERTBOT_AUTH_OUTPUT"] == "added "+added["CERTBOT_VALIDATION"], "end %d: %v", i, all)
		}
	})
}

func TestACMESettingsThatConflictAreReportedInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o755, "plain": 0o644, "open": 0o757} {
		fapwstest.Write(t, dir+"/"+name, "#!/bin/sh\n")
		fapwstest.Must(t, os.Chmod(dir+"/"+name, mode))
	}
	changed := t.TempDir()
	fapwstest.Must(t, os.Symlink(dir+"/good", changed+"/to-good"))
	fapwstest.Must(t, os.Symlink(dir, changed+"/to-dir"))
	fapwstest.Must(t, os.Symlink(changed, dir+"/to-changed"))
	fapwstest.Must(t, os.Symlink(changed+"/to-good", dir+"/to-link"))
	fapwstest.Must(t, os.Symlink(changed+"/to-dir", dir+"/to-link-to-dir"))
	fapwstest.Must(t, os.Mkdir(dir+"/public", 0o777))
	fapwstest.Must(t, os.Chmod(dir+"/public", 0o777))
	fapwstest.Write(t, dir+"/public/hook", "#!/bin/sh\n")
	fapwstest.Must(t, os.Chmod(dir+"/public/hook", 0o755))
	fapwstest.Write(t, dir+"/hosts.toml", "tls = 'acme'\n[[host]]\nname = ['a.test', '*.a.test']\nroot = '.'\n")
	for flags, want := range map[string]string{
		"--acme-hosts *.a.test": "--tls: a CA gives a certificate for *.a.test only to those who can change its DNS: add " +
			"acme-dns-hook, or certfile for this host",

		"--acme-hosts *.*.test": "--acme-hosts *.*.test: must be host names such as example.org or *.example.org",

		"--acme-hosts a.test --acme-directory http://a.test": "must be a URL that begins with https://",
		"-c DIR/hosts.toml":                            "hosts.toml:1: tls: a CA gives a certificate for *.a.test only",
		"--acme-hosts a.test --acme-dns-hook DIR/none": "--acme-dns-hook: DIR/none: no such file or directory",

		"--acme-hosts a.test --acme-dns-hook DIR": "--acme-dns-hook: DIR: not an executable file; type chmod +x DIR",

		"--acme-hosts a.test --acme-dns-hook DIR/plain": "--acme-dns-hook: DIR/plain: not an executable file; type " +
			"chmod +x DIR/plain",
		"--acme-hosts a.test --acme-dns-hook DIR/good --acme-dns-cleanup-hook DIR/open": "--acme-dns-cleanup-hook: " +
			"DIR/open: every user of this machine can change DIR/open (mode 0757); type chmod o-w DIR/open",
		"--acme-hosts a.test --acme-dns-hook DIR/public/hook": "--acme-dns-hook: DIR/public/hook: every user of this " +
			"machine can change DIR/public (mode 0777); type chmod o-w DIR/public",
		"--acme-hosts a.test --acme-dns-hook DIR/to-link --sandbox --sandbox-write CHANGED": "--acme-dns-hook: " +
			"DIR/to-link: a sandboxed application could change it",
		"--acme-hosts a.test --acme-dns-hook DIR/to-link-to-dir/good --sandbox --sandbox-write CHANGED": "" +
			"--acme-dns-hook: DIR/to-link-to-dir/good: a sandboxed application could change it",
		"--acme-hosts a.test --acme-dns-cleanup-hook DIR/good": "acme-dns-cleanup-hook (flag --acme-dns-cleanup-hook) has " +
			"no effect without acme-dns-hook",
		"--tls auto --acme-dns-hook DIR/good": "acme-dns-hook (flag --acme-dns-hook) has no effect without tls acme",
		"--tls auto --acme-hosts a.test":      "acme-hosts (flag --acme-hosts) has no effect without tls acme",
		"--acme-hosts a.test --acme-dns-hook DIR/good --sandbox --sandbox-write DIR": "--acme-dns-hook: DIR/good: a " +
			"sandboxed application could change it, but it runs outside of the sandbox; move it",
		"--acme-hosts a.test --acme-dns-hook CHANGED/to-good --sandbox --sandbox-write CHANGED": "--acme-dns-hook: " +
			"CHANGED/to-good: a sandboxed application could change it",
		"--acme-hosts a.test --acme-dns-hook DIR/to-changed/to-good --sandbox --sandbox-write CHANGED": "--acme-dns-hook: " +
			"DIR/to-changed/to-good: a sandboxed application could change it",
		"--acme-hosts a.test --acme-dns-hook DIR/good --sandbox --sandbox-write CHANGED/to-dir": "--acme-dns-hook: " +
			"DIR/good: a sandboxed application could change it",

		"": "--tls: acme needs the names of the hosts: --acme-hosts example.org, or name = \"example.org\" in [[host]]",
	} {
		paths := strings.NewReplacer("DIR", dir, "CHANGED", changed)
		for _, command := range [][]string{nil, {"check"}} {
			c := fapwstest.Command{Flags: append(command, "--tls", "acme", "-p", "0"), Script: "environ.py"}
			if strings.HasPrefix(flags, "-c") {
				c = fapwstest.Command{Flags: command}
			}
			c.Flags = append(c.Flags, strings.Fields(paths.Replace(flags))...)
			c.Fails(t, 2, paths.Replace(want))
		}
	}
}
