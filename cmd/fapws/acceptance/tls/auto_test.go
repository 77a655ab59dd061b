package tls_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// With --tls auto, the server creates a certificate authority. After a restart, the authority remains the same,
// even if the file system has become read-only.
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
		info, err := os.Stat(filepath.Join(dir, "state", name))
		fapwstest.Truef(t, err == nil && info.Mode().Perm() == mode, "%s: %v, %v", name, info, err)
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
