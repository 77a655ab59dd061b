package certificates

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

var (
	made  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	today = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
)

func of(names ...string) []string { return append(names, "192.168.1.5", "::1") }

func keep(t *testing.T, dir string, s []string, now time.Time, hosts ...string) (ca, leaf *x509.Certificate,
	done, doubts []string) {
	t.Helper()
	done, doubts, err := maintain(dir, s, hosts, now, made)
	checktest.Must(t, err)
	read := func(name string) *x509.Certificate {
		return checktest.Try(certificateOf(checktest.Try(os.ReadFile(filepath.Join(dir, name))).Must(t))).Must(t)
	}
	return read(CAFile), read(CertFile), done, doubts
}

// A client that trusts the authority accepts the server under all its names and addresses, for at most 397 days. A
// second call of maintain changes nothing.
func TestAuthorityCreatesAllFilesOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "tls")
	ca, leaf, done, doubts := keep(t, dir, of("box", "box.local", "localhost"), today)
	print, err := Fingerprint(block("CERTIFICATE", ca.Raw))
	checktest.Truef(t, err == nil && len(done) == 2 && strings.Contains(done[0], print) && len(print) == 95 &&
		len(doubts) == 0, "%v, %v, %q, %q", print, err, done, doubts)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, name := range []string{"box", "box.local", "localhost", "192.168.1.5", "::1"} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: today})
		checktest.Equalf(t, err, nil, "%s", name)
	}
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	checktest.Truef(t, life <= 397*24*time.Hour && !leaf.NotBefore.After(today.Add(-time.Hour)),
		"from %v for %v", leaf.NotBefore, life)
	for name, mode := range map[string]os.FileMode{caKey: 0o600, KeyFile: 0o600, CAFile: 0o644, ".": 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		checktest.Truef(t, err == nil && info.Mode().Perm() == mode, "%s: %v, %v", name, info.Mode(), err)
	}
	again, same, done, _ := keep(t, dir, of("box.local"), today.Add(24*time.Hour))
	checktest.Truef(t, again.Equal(ca) && same.Equal(leaf) && len(done) == 0, "again: %q", done)
}

// A new address, two thirds of the lifetime, a clock that was set back, and a damaged file each cause a new
// certificate.
func TestAuthorityRenewsTheCertificate(t *testing.T) {
	dir := t.TempDir()
	ca, leaf, _, _ := keep(t, dir, of("box"), today)
	more := append(of("box"), "10.0.0.7")
	now := today
	for _, c := range []struct {
		name, why string
		subject   []string
		before    func()
	}{
		{"an address", "10.0.0.7 was missing", more, func() {}},
		{"a name", "box.local was missing", of("box", "box.local"), func() {}},
		{"time", "two thirds of its time were over", of("box"), func() { now = now.Add(265 * 24 * time.Hour) }},
		{"a clock set back", "it was not valid yet", of("box"), func() { now = today.Add(-48 * time.Hour) }},
		{"damaged", "it could not be read", of("box"), func() { os.WriteFile(dir+"/"+CertFile, nil, 0o600) }},
		{"half written", "its key was another one", of("box"), func() {
			_, key := newKey()
			os.WriteFile(dir+"/"+KeyFile, key, 0o600)
		}},
		{"removed", "there was none", of("box"), func() { os.Remove(dir + "/" + CertFile) }},
	} {
		c.before()
		sameCA, next, done, _ := keep(t, dir, c.subject, now)
		checktest.Truef(t, sameCA.Equal(ca) && !next.Equal(leaf) && len(done) == 1 && strings.Contains(done[0], c.why),
			"%s: %q", c.name, done)
		leaf = next
		_, again, done, _ := keep(t, dir, c.subject, now)
		checktest.Truef(t, again.Equal(leaf), "%s: made twice, %q", c.name, done)
	}
}

// Foreign names are neither local nor names of the machine. A host with a foreign name does not invalidate the
// certificate.
func TestAuthorityCannotSignForForeignNames(t *testing.T) {
	dir := t.TempDir()
	ca, _, _, _ := keep(t, dir, of("box.example.org"), today)
	_, leaf, _, doubts := keep(t, dir, of("box.example.org", "www.example.com", "nas.lan"), today, "www.example.com",
		"nas.lan")
	checktest.Truef(t, len(doubts) == 1 && strings.Contains(doubts[0], "host www.example.com"), "%q", doubts)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for name, good := range map[string]bool{"box.example.org": true, "nas.lan": true, "www.example.com": false} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: today})
		checktest.Equalf(t, err == nil, good, "%s: %v", name, err)
	}
	d := checktest.Try(openDirectory(dir)).Must(t)
	a, err := load(d, nil, today)
	d.close()
	checktest.Must(t, err)
	stolen, _, err := a.sign(of("www.example.com"), today)
	checktest.Must(t, err)
	forged, _ := certificateOf(stolen)
	_, err = forged.Verify(x509.VerifyOptions{DNSName: "www.example.com", Roots: roots, CurrentTime: today})
	checktest.Truef(t, err != nil, "a stolen key vouches for any site")
}

// A machine without a clock starts in 1970. When its clock is correct, the certificate is renewed. When the clock is
// wrong again, the new certificate stays.
func TestCertificateCreatedIn1970IsValidAndRenewed(t *testing.T) {
	dir := t.TempDir()
	ca, leaf, _, _ := keep(t, dir, of("box"), time.Unix(100, 0))
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: "box", Roots: roots, CurrentTime: today})
	checktest.Equal(t, err, nil)
	late := made.Add(3 * 365 * 24 * time.Hour)
	_, leaf, done, _ := keep(t, dir, of("box"), late)
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: "box", Roots: roots, CurrentTime: late})
	checktest.Truef(t, err == nil && len(done) == 1, "%v, %q", err, done)
	_, again, done, _ := keep(t, dir, of("box"), time.Unix(100, 0))
	checktest.Truef(t, again.Equal(leaf), "at the next start it is made again: %q", done)
}

func TestServersThatStartTogetherCreateOneAuthority(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	lines := make(chan int, 16)
	for range cap(lines) {
		all.Go(func() {
			done, _, err := maintain(dir, of("box"), nil, today, made)
			checktest.Equal(t, err, nil)
			lines <- len(done)
		})
	}
	all.Wait()
	sum := 0
	for range cap(lines) {
		sum += <-lines
	}
	checktest.Equalf(t, sum, 2, "files were made")
}

func TestAuthorityErrorsAreReportedInOneLineWithAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"a file in its place": {func(dir string) error { os.RemoveAll(dir); return os.WriteFile(dir, nil, 0o600) },
			"cannot use the directory "},
		"key lost":         {func(dir string) error { return os.Remove(dir + "/" + caKey) }, "cannot read the key of the CA"},
		"certificate lost": {func(dir string) error { return os.Remove(dir + "/" + CAFile) }, "cannot read the CA"},
		"damaged": {func(dir string) error { return os.WriteFile(dir+"/"+CAFile, []byte("x"), 0o600) },
			"no certificate in this file"},
		"damaged key": {func(dir string) error { return os.WriteFile(dir+"/"+caKey, []byte("x"), 0o600) },
			"no private key in this file"},
		"another key": {func(dir string) error {
			_, key := newKey()
			return os.WriteFile(dir+"/"+caKey, key, 0o600)
		}, "this key does not belong to the certificate"},
		"link out of the way": {func(dir string) error {
			os.Remove(dir + "/" + caKey)
			return os.Symlink("/etc/hostname", dir+"/"+caKey)
		}, "cannot read the key"},
		"lock that leads away": {func(dir string) error {
			os.Remove(dir + "/.lock")
			return os.Symlink("/tmp/x", dir+"/.lock")
		}, "cannot use the directory"},
	} {
		dir := t.TempDir() + "/tls"
		keep(t, dir, of("box"), today)
		before, _ := os.ReadFile(dir + "/" + CAFile)
		checktest.Must(t, c.change(dir))
		_, _, err := maintain(dir, of("box"), nil, today, made)
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), c.want) && strings.Contains(err.Error(), "; ") &&
			!strings.Contains(err.Error(), "\n"), "%s: %v", name, err)
		after, err := os.ReadFile(dir + "/" + CAFile)
		checktest.Truef(t, err != nil || len(after) <= 1 || bytes.Equal(before, after), "%s: there is another CA", name)
	}
}

func TestMachineNamesIncludeLocalhostLoopbackAndHosts(t *testing.T) {
	s, err := machine([]string{"Shop.example.org.", "[2001:db8::1]", "*.a.test", "blog.*"})
	checktest.Equal(t, err, nil)
	names := strings.Join(s, ", ")
	checktest.Has(t, names, "localhost", "127.0.0.1", "::1", "shop.example.org", "2001:db8::1", "*.a.test", ".local")
	checktest.Truef(t, !strings.Contains(names, "blog"), "an open pattern in %s", s)
}

func certificateOf(text []byte) (*x509.Certificate, error) {
	chain, err := parseChain(text)
	if err != nil {
		return nil, err
	}
	return chain[0], nil
}
