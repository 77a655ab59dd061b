package tls_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func TestCurlAcceptsTheCertificate(t *testing.T) {
	t.Parallel()
	curl := fapwstest.Try(exec.LookPath("curl")).Must(t)
	ca := certtest.NewAuthority(t)
	dir := t.TempDir()
	s := serve(t, fapwstest.Threads, fapwstest.Command{Flags: flagsFor(ca.For("example.org"), dir)})
	trusted := certtest.Write(t, dir+"/ca.pem", ca.PEM)
	_, port, _ := strings.Cut(s.Address, ":")
	for _, version := range []string{"1.2", "1.3"} {
		out, err := exec.Command(curl, "-sS", "--cacert", trusted, "--tlsv"+version, "--tls-max", version, "-w",
			" %{http_code} %{ssl_verify_result}",
			"--resolve", "example.org:"+port+":127.0.0.1", "https://example.org:"+port+"/show/x").CombinedOutput()
		fapwstest.Truef(t, err == nil && strings.HasSuffix(string(out), " 200 0"), "TLS %s: %v, %s", version, err, out)
	}
}

func TestReplacedCertificateIsUsedWithoutARestart(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		ca := certtest.NewAuthority(t)
		dir := t.TempDir()
		first := ca.For("example.org")
		s := serve(t, m, fapwstest.Command{Flags: flagsFor(first, dir)})
		becomes(t, s, first)
		old, _ := dial(t, s, &tls.Config{RootCAs: ca.Pool()})
		second := ca.For("example.org")
		second.Write(dir)
		s.Says("info certificate " + dir + "/cert.pem was replaced")
		becomes(t, s, second)
		certtest.Write(t, dir+"/cert.pem", []byte("garbage"))
		s.Says("error " + dir + "/cert.pem: no certificate in this file; .*; the certificate that was read before " +
			"stays in use")
		becomes(t, s, second)
		if m.Workers() {
			s.Control("reload")
			becomes(t, s, second)
		}
		third := ca.For("example.org")
		third.Write(dir)
		s.Signal(syscall.SIGHUP)
		becomes(t, s, third)
		if m.Workers() {
			return // A reload replaces the worker, which closes the connection.
		}
		old.Fetch("/show/x").Want(t, 200)
	})
}

func TestReloadDoesNotSwitchAnAddressBetweenHTTPAndHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := certtest.NewAuthority(t).For("example.org")
	c.Write(dir)
	fapwstest.Write(t, dir+"/index.html", "page")
	plain, secure := "workers = 1\nroot = '.'\n", "workers = 1\nroot = '.'\ncertfile = 'cert.pem'\nkeyfile = 'key.pem'\n"
	file := fapwstest.Write(t, dir+"/fapws.toml", secure)
	s := fapwstest.Command{Flags: []string{"-b", "127.0.0.1:0", "-c", file}, Complains: true}.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	fapwstest.Write(t, file, plain)
	s.ReloadFails("has no certificate for https://127.0.0.1:0: name one (certfile or tls), or restart the server to " +
		"serve plain HTTP; the old workers keep serving")
	becomes(t, s, c)
	s = fapwstest.Command{Flags: []string{"-b", "127.0.0.1:0", "-c", file}, Complains: true}.Started(t)
	fapwstest.Write(t, file, secure)
	s.Control("reload")
	s.Says(`warning .*fapws\.toml: changes of certfile take effect after a restart`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page")
}

func TestHostsHaveTheirOwnCertificates(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t)
	dir := t.TempDir()
	shop, rest := ca.For("shop.example.org"), ca.For("example.org")
	shop.Write(dir + "/shop")
	rest.Write(dir + "/rest")
	file := func(name string) string {
		return fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(`
[[host]]
name = "example.org"
root = "."
certfile = "rest/cert.pem"
keyfile = "rest/key.pem"

[[host]]
name = %q
certfile = "shop/cert.pem"
keyfile = "shop/key.pem"
route = [{ prefix = "/", status = 200, text = "shop" }]
`, name))
	}
	s := serve(t, fapwstest.Workers, fapwstest.Command{Script: "environ.py",
		Flags: []string{"--config", file("shop.example.org"), "--tls-strict-sni"}})
	for name, want := range map[string]*certtest.Certificate{"shop.example.org": shop, "example.org": rest} {
		got := leaf(t, s, name)
		fapwstest.Truef(t, got.Equal(want.Leaf), "%s gets the certificate for %v", name, got.DNSNames)
	}
	_, err := tryDial(t, s, &tls.Config{ServerName: "unknown.test", InsecureSkipVerify: true})
	fapwstest.Truef(t, err != nil && strings.Contains(err.Error(), "unrecognized name"), "unknown host: %v", err)
	file("blog.example.org")
	want :=
		`fapws.toml:10: certfile: .*/shop/cert.pem: the certificate does not cover the host blog.example.org, ` +
			`only shop.example.org`
	s.SignalLogs(syscall.SIGHUP, want)
	fapwstest.Truef(t, leaf(t, s, "shop.example.org").Equal(shop.Leaf), "the old workers have lost their certificate")
}

func TestTLSSessionResumesAtAnyWorker(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t)
	program := fapwstest.CopyOfProgram(t)
	flags := flagsFor(ca.For("example.org"), t.TempDir())
	s := serve(t, fapwstest.Workers, fapwstest.Command{Program: program, Flags: flags})
	client := &tls.Config{RootCAs: ca.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	connect := func(when string, resumes bool) {
		t.Helper()
		for range 10 {
			w, state := dial(t, s, client)
			w.Send(fapwstest.Get("/show/x", "Connection: close"))
			w.Answer().Want(t, 200) // The tickets of the session arrive before the response.
			fapwstest.Equalf(t, state.DidResume, resumes, "%s: resumed", when)
			resumes = true
		}
	}
	connect("first", false)
	s.Control("reload")
	connect("after a reload", true)
	s.SignalLogs(syscall.SIGUSR2, "upgraded: 2 workers")
	connect("after an upgrade", true)
	next := ca.For("example.org")
	next.Write(filepath.Dir(flags[1]))
	becomes(t, s, next) // The new program notices new certificate files, too.
}

func TestKeysThatOnlyRootMayReadAreReadWithUserFlag(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	ca := certtest.NewAuthority(t)
	folder := fapwstest.PublicFolder(t)
	keys := filepath.Join(folder, "keys")
	first := ca.For("example.org")
	flags := flagsFor(first, keys)
	fapwstest.Must(t, os.Chmod(keys, 0o700))
	script := fapwstest.Write(t, folder+"/environ.py", fapwstest.Source(t, "environ.py"))
	s := serve(t, fapwstest.Workers, fapwstest.Command{Script: script, Dir: folder,
		Flags: append(flags, "--user", "daemon")}.ForOtherUsers(t))
	becomes(t, s, first)
	for _, after := range []string{"the start", "an upgrade"} {
		next := ca.For("example.org")
		next.Write(keys)
		s.Signal(syscall.SIGHUP)
		becomes(t, s, next)
		s.Says("info certificate " + keys + "/cert.pem was replaced")
		if after == "the start" {
			s.Upgrade()
		}
	}
	// A process of the server reads the keys as root. After the upgrade, the process of the previous program may still
	// be ending.
	fapwstest.Eventually(t, "one process is root, which reads keys", func() bool {
		roots := 0
		for _, pid := range s.Family() {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err == nil && strings.Contains(string(status), "\nUid:\t0\t") {
				roots++
			}
		}
		return roots == 1
	})
}

func TestKeysAreNeitherInProcessesNorInStaticFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := certtest.NewAuthority(t).For("example.org")
	fapwstest.Write(t, dir+"/index.html", "hello")
	s := serve(t, fapwstest.Workers, fapwstest.Command{Script: dir, Flags: append(flagsFor(c, dir), "--autoindex")})
	for _, path := range []string{"/key.pem", "/cert.pem"} {
		w, _ := dial(t, s, &tls.Config{InsecureSkipVerify: true})
		w.Fetch(path).Want(t, 404)
	}
	for _, pid := range s.Family() {
		for _, name := range []string{"environ", "cmdline"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			fapwstest.Truef(t, err != nil || !strings.Contains(string(text), "PRIVATE KEY"), "/proc/%d/%s has the key", pid,
				name)
		}
	}
}

// The service manager (systemd) has opened the sockets, and the socket called https is for HTTPS. The names of the
// certificate files are symbolic links, which a renewal replaces.
func TestCertificatesOfSystemdCertbotAndKubernetesAreServed(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t)
	dir := t.TempDir()
	link := func(to, name string) {
		t.Helper()
		fapwstest.Must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.Symlink(to, name+".new"), os.Rename(name+".new", name))
	}
	versions := map[string][]*certtest.Certificate{}
	for _, name := range []string{"certbot.test", "pod.test"} {
		versions[name] = []*certtest.Certificate{ca.For(name), ca.For(name)}
	}
	for i, n := range []string{"1", "2"} {
		versions["certbot.test"][i].Write(dir + "/archive/certbot.test/" + n)
		versions["pod.test"][i].Write(dir + "/secret/..version" + n)
	}
	certbot := func(n string) {
		link("../../archive/certbot.test/"+n+"/key.pem", dir+"/live/certbot.test/privkey.pem")
		link("../../archive/certbot.test/"+n+"/cert.pem", dir+"/live/certbot.test/fullchain.pem")
	}
	certbot("1")
	link("..version1", dir+"/secret/..data")
	link("..data/cert.pem", dir+"/secret/tls.crt")
	link("..data/key.pem", dir+"/secret/tls.key")
	file := fapwstest.Write(t, dir+"/fapws.toml", `
[[host]]
name = "certbot.test"
certfile = "live/certbot.test/fullchain.pem"
keyfile = "live/certbot.test/privkey.pem"
route = [{ prefix = "/", status = 200, text = "served" }]

[[host]]
name = "pod.test"
certfile = "secret/tls.crt"
keyfile = "secret/tls.key"
route = [{ prefix = "/", status = 200, text = "served" }]
`)
	var sockets []*os.File
	var at []string
	for range 2 {
		ln := fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
		f := fapwstest.Try(ln.(*net.TCPListener).File()).Must(t)
		t.Cleanup(func() { f.Close(); ln.Close() })
		sockets, at = append(sockets, f), append(at, ln.Addr().String())
	}
	s := fapwstest.Command{Shell: "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:https", Files: sockets,
		Dir: dir, Flags: []string{"--config", file}}.Start(t)
	s.Says(`(?m)^  http://` + at[0] + `/\n  https://` + at[1] + `/`)
	fapwstest.Dial(t, "tcp", at[0]).Fetch("/").Want(t, 200, "served")
	s.Address = at[1]
	shows := func(name string, version int) {
		t.Helper()
		want := versions[name][version]
		fapwstest.Eventually(t, name+" has the certificate", func() bool { return leaf(t, s, name).Equal(want.Leaf) })
		w, _ := dial(t, s, &tls.Config{ServerName: name, RootCAs: ca.Pool()})
		w.Fetch("/").Want(t, 200, "served")
		w.Close()
	}
	shows("certbot.test", 0)
	shows("pod.test", 0)
	certbot("2")
	link("..version2", dir+"/secret/..data")
	os.RemoveAll(dir + "/secret/..version1")
	shows("certbot.test", 1)
	shows("pod.test", 1)
}

// With --tls auto, the server creates a certificate authority. After a restart, the server uses this
// authority again, even on a read-only file system.
func TestTLSAutoServesAllNamesAndAddressesOfTheMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := dir + "/ctl"
	flags := []string{"--tls", "auto", "--state-dir", dir + "/state", "--bind", "127.0.0.1:0", "--https-redirect=8443",
		"--ctl-socket", socket}
	var trusted *x509.Certificate
	readOnly :=
		`exec unshare -rm /bin/sh -c 'mount -t tmpfs none /mnt && cp -a state/. /mnt && mount --bind /mnt state && ` +
			`mount -o remount,bind,ro state && exec "$@"' sh "$@"`
	for _, start := range []string{"first", "second"} {
		c := fapwstest.Command{Flags: flags, Dir: dir, Complains: start == "second"}
		if c.Complains {
			c.Shell = readOnly
		}
		s := serve(t, fapwstest.Threads, c)
		plain := "http://" + s.Says(`https://\S+/\n  http://(\S+)/`)[1]
		r := fapwstest.Try(http.Get(plain + "/.well-known/fapws-ca.crt")).Must(t)
		der, err := io.ReadAll(r.Body)
		r.Body.Close()
		fapwstest.Needf(t, err == nil && r.StatusCode == 200 && r.Header.Get("Content-Type") == "application/x-x509-ca-cert",
			"%s, %v, %v", r.Status, r.Header, err)
		ca := fapwstest.Try(x509.ParseCertificate(der)).Must(t)
		sum := sha256.Sum256(der)
		code, stdout, stderr := fapwstest.Command{Flags: []string{"ctl", "--socket", socket, "ca"}}.Run(t)
		lines := strings.Split(stdout, "\n")
		fapwstest.Truef(t, code == 0 && lines[0] == dir+"/state/tls/ca.pem" &&
			strings.ReplaceAll(strings.TrimPrefix(lines[1], "SHA-256 "), ":", "") == strings.ToUpper(hex.EncodeToString(sum[:])),
			"ctl ca: code %d, %q, %q", code, stdout, stderr)
		if trusted == nil {
			trusted = ca
		} else if !trusted.Equal(ca) {
			t.Errorf("the %s start has another CA", start)
		}
		roots := x509.NewCertPool()
		roots.AddCert(trusted)
		for _, name := range []string{"localhost", "127.0.0.1"} {
			w, _ := dial(t, s, &tls.Config{RootCAs: roots, ServerName: name})
			fapwstest.Equalf(t, w.Fetch("/.well-known/fapws-ca.crt").Want(t, 200).Text, string(der), "over HTTPS")
			w.Fetch("/show/x").Want(t, 200)
		}
		s.Stop()
	}
	for name, mode := range map[string]os.FileMode{"tls": 0o700, "tls/ca-key.pem": 0o600, "tls/key.pem": 0o600} {
		info := fapwstest.Try(os.Stat(filepath.Join(dir, "state", name))).Must(t)
		fapwstest.Equalf(t, info.Mode().Perm(), mode, "%s", name)
	}
}

func TestTLSAutoLogsThatItHasNoAddressesWithoutNetlink(t *testing.T) {
	t.Parallel()
	netlink := fmt.Sprintf("%d:%d=%d", syscall.SYS_SOCKET, syscall.AF_NETLINK, syscall.EAFNOSUPPORT)
	s := serve(t, fapwstest.Threads, fapwstest.Command{Flags: []string{"--tls", "auto", "--state-dir", t.TempDir()},
		Shell: fapwstest.Refusing(t, netlink), Complains: true})
	s.Says(`warning the certificate of --tls auto does not get the addresses of this machine, .*AF_NETLINK`)
	names := leaf(t, s, "localhost").DNSNames
	fapwstest.Truef(t, slices.Contains(names, "localhost"), "the certificate is for %q", names)
}

// The server creates the directory so that the user of --user owns it.
func TestTLSAutoFilesBelongToTheUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	folder := fapwstest.PublicFolder(t)
	script := fapwstest.Write(t, folder+"/environ.py", fapwstest.Source(t, "environ.py"))
	s := serve(t, fapwstest.Workers, fapwstest.Command{Script: script, Dir: folder,
		Flags: []string{"--tls", "auto", "--state-dir", folder + "/state", "--user", "daemon"}}.ForOtherUsers(t))
	before := leaf(t, s, "localhost")
	fapwstest.Must(t, os.Remove(folder+"/state/tls/cert.pem"))
	s.Signal(syscall.SIGHUP)
	fapwstest.Eventually(t, "there is another certificate", func() bool { return !leaf(t, s, "localhost").Equal(before) })
	for _, name := range []string{"state", "state/tls", "state/tls/ca-key.pem", "state/tls/key.pem"} {
		info, err := os.Stat(filepath.Join(folder, name))
		fapwstest.Truef(t, err == nil && info.Sys().(*syscall.Stat_t).Uid != 0, "%s: of root, %v", name, err)
	}
}
