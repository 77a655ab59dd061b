package certificates

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/logfile"
)

func TestOnlyTokensOfTheDirectoryAreSent(t *testing.T) {
	dir := t.TempDir()
	certtest.Write(t, dir+"/a-token_1+http-01", []byte("answer"))
	certtest.Write(t, dir+"/example.org", []byte("key"))
	text, err := TokenACME(dir, "a-token_1")
	checktest.Truef(t, err == nil && string(text) == "answer", "%q, %v", text, err)
	for _, token := range []string{"", "none", "example.org", "../a-token_1", "a/b", "a-token_1+http-01", "a\x00",
		strings.Repeat("a", 129)} {
		text, err := TokenACME(dir, token)
		checktest.Truef(t, err != nil, "%q: %q", token, text)
	}
}

func TestCertificateIsOrderedIfMissingOrTwoThirdsOver(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	put := func(name string, start, end time.Duration) {
		c := ca.Sign(certtest.Options{Names: []string{name}, Start: time.Now().Add(start), End: time.Now().Add(end)})
		certtest.Write(t, dir+"/"+name, append(c.Key, c.Chain...))
	}
	put("new.test", -time.Hour, 100*time.Hour)
	put("short.test", -24*time.Hour, 5*24*time.Hour) // six days long, of which one is over
	put("old.test", -70*time.Hour, 30*time.Hour)
	put("over.test", -70*time.Hour, -time.Hour)
	other := ca.For("new.test")
	certtest.Write(t, dir+"/mixed.test", append(ca.For("mixed.test").Key, other.Chain...))
	certtest.Write(t, dir+"/damaged.test", []byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	certtest.Write(t, dir+"/empty.test", nil)
	a := &ACME{Dir: dir}
	for name, want := range map[string]string{
		"new.test": "", "short.test": "", "old.test": "two thirds of its time are over",
		"over.test":    "two thirds of its time are over",
		"damaged.test": "it cannot be read", "empty.test": "it cannot be read", "missing.test": "there is none",
		"mixed.test": "it cannot be read", "new.test *.new.test": "it does not cover *.new.test",
	} {
		checktest.Equalf(t, a.due(strings.Fields(name), time.Now()), want, "%s", name)
	}
}

func TestOnlyClientsThatOfferACMEAloneAreAuthorities(t *testing.T) {
	for protocols, want := range map[string]bool{acmeProtocol: true, "": false, "http/1.1": false, acmeProtocol +
		" http/1.1": false} {
		checktest.Equalf(t, asksACME(&tls.ClientHelloInfo{SupportedProtos: strings.Fields(protocols)}), want,
			"%q: %v", protocols, !want)
	}
}

// After a failed order, Orders pauses, because authorities limit the number of failures. A worker that replaces another
// worker orders certificates for the same hosts, and must not end the pause. A reload ends the pause.
func TestReplacedWorkerDoesNotEndThePauseAfterAFailure(t *testing.T) {
	tries := 0
	a := ACME{Dir: t.TempDir(), Directory: "https://127.0.0.1:1/"}
	o := &Orders{ctx: t.Context(), wake: make(chan struct{}, 1), log: func(level logfile.Level, line string) {
		if level == logfile.Error {
			tries++
		}
	}}
	now := time.Now()
	order := func(hosts ...string) {
		a.Hosts = hosts
		o.Order(&a)
	}
	for _, c := range []struct {
		do   func()
		want int
	}{
		{func() { order("a.test") }, 1},
		{func() { order("a.test") }, 1},
		{func() { order("a.test", "b.test") }, 2},
		{func() { o.Retry() }, 4},
		{func() { now = now.Add(firstPause + time.Minute) }, 6},
		{func() {}, 6},
	} {
		c.do()
		pause := o.round(now)
		checktest.Truef(t, pause <= longestPause, "a pause of %v", pause)
		checktest.Equalf(t, tries, c.want, "tries")
	}
}

// If the directory cannot be used, Orders tries again later.
func TestOrdersLockOnlyTheDirectoryOfTheLastReload(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir() + "/missing"}
	certtest.Write(t, dirs[1], []byte("a file in its place"))
	logged := make(chan string, 9)
	o := NewOrders(&ACME{Dir: dirs[0]}, nil, func(_ logfile.Level, line string) { logged <- line })
	locked := func(dir string) bool {
		f, err := os.Open(dir + "/.lock")
		if err != nil {
			return false
		}
		defer f.Close()
		return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
	}
	comes := func(first, second bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); locked(dirs[0]) != first ||
			locked(dirs[1]) != second; time.Sleep(time.Millisecond) {
			checktest.Needf(t, !time.Now().After(end), "not locked: %v, %v", first, second)
		}
	}
	comes(true, false)
	o.Order(&ACME{Dir: dirs[1]})
	comes(false, false)
	checktest.Has(t, <-logged, dirs[1])
	checktest.Must(t, os.Remove(dirs[1]))
	o.Retry()
	comes(false, true)
}
