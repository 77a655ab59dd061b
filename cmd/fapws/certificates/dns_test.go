package certificates

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
)

func TestNameWithStarSharesTheCertificateOfItsDomain(t *testing.T) {
	for hosts, want := range map[string]string{
		"a.test":                           "[[a.test]]",
		"a.test b.test":                    "[[a.test] [b.test]]",
		"*.a.test":                         "[[*.a.test]]",
		"*.a.test b.test a.test":           "[[b.test] [a.test *.a.test]]",
		"a.test *.b.a.test *.a.test":       "[[a.test *.a.test] [*.b.a.test]]",
		"www.a.test *.a.test *.www.a.test": "[[www.a.test *.www.a.test] [*.a.test]]",
	} {
		a := ACME{Hosts: strings.Fields(hosts)}
		checktest.Equalf(t, fmt.Sprint(slices.Collect(a.Certificates())), want, "%s", hosts)
	}
}

func newHooks(t *testing.T) (o *Orders, log *logged) {
	log = &logged{}
	o = &Orders{log: log.log}
	o.last, o.kill = context.WithCancel(t.Context())
	o.ctx, o.stop = context.WithCancel(o.last)
	return o, log
}

func hookFile(t *testing.T, text string) string {
	t.Helper()
	file := certtest.Write(t, t.TempDir()+"/hook", []byte("#!/bin/sh\n"+text))
	checktest.Must(t, os.Chmod(file, 0o755))
	return file
}

// A hook may leave a background process that keeps the hook's output open. The server must not wait for this process.
func TestHookReturnsItsOutputOrTheReasonOfItsFailure(t *testing.T) {
	t.Setenv("SECRET", "of the application")
	t.Setenv("HOME", "/home/of-the-server")
	for text, want := range map[string]struct{ output, failure string }{
		"echo $CERTBOT_DOMAIN":                 {output: "a.test"},
		"printf 'a\\n\\nb'":                    {output: "a\n\nb"},
		"printf 'a\\000b\\n'":                  {output: "ab"},
		"true":                                 {},
		"echo a; sleep 1000 &":                 {output: "a"},
		"echo $HOME$SECRET":                    {output: "/home/of-the-server"},
		"echo a; exit 3":                       {output: "a", failure: "exit status 3"},
		"kill -9 $$":                           {failure: "exit status 137"},
		"kill -9 $PPID":                        {failure: "was killed"},
		"head -c 65530 /dev/zero | tr '\\0' a": {output: strings.Repeat("a", 65530)},
		"while true; do echo 0123456789abcdef; done": {failure: "more than 65536 bytes"},
		"trap '' TERM; cat /dev/zero":                {failure: "more than 65536 bytes"},
		"exec >&- 2>&-; exit 5":                      {failure: "exit status 5"},
	} {
		o, _ := newHooks(t)
		file := hookFile(t, text)
		output, err := o.hook(t.Context(), "acme-dns-hook", file, []string{"CERTBOT_DOMAIN=a.test"})
		failure := ""
		if err != nil {
			failure = strings.TrimPrefix(err.Error(), "acme-dns-hook "+file+": ")
		}
		checktest.Truef(t, failure == want.failure && (want.failure != "" || output == want.output),
			"%s: %.100q, %v", text, output, err)
	}
	o, log := newHooks(t)
	_, err := o.hook(t.Context(), "acme-dns-hook", t.TempDir()+"/none", nil)
	checktest.Truef(t, err != nil && strings.HasSuffix(err.Error(), "/none: exit status 127"), "%v", err)
	log.want(t, "not found")
}

// A server must start when the certificate of the previous run has expired, because it orders another one.
func TestOrderedCertificateThatIsNotValidDoesNotPreventTheStart(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	put := func(name string, o certtest.Options) string {
		c := ca.Sign(o)
		return certtest.Write(t, dir+"/"+name, append(c.Key, c.Chain...))
	}
	now := time.Now()
	w := &Want{ACME: ACME{Dir: dir}, Pairs: []Pair{
		{Cert: put("over.test", certtest.Options{Names: []string{"over.test"}, Start: now.Add(-9 * time.Hour),
			End: now.Add(-time.Hour)}), Names: []string{"over.test"}, Later: true},
		{Cert: certtest.Write(t, dir+"/damaged.test", []byte("damaged")), Names: []string{"damaged.test"}, Later: true},
		{Cert: put("a.test", certtest.Options{Names: []string{"a.test"}}), Names: []string{"a.test", "*.a.test"},
			Later: true},
		{Cert: dir + "/none.test", Names: []string{"none.test"}, Later: true},
	}}
	log := &logged{}
	r := Reader{Log: log.log}
	b := checktest.Try(r.Bundle(w)).Must(t)
	log.want(t, "the certificate expired on", "damaged.test: no certificate in this file")
	c := checktest.Try(newConfigs(w, b)).Must(t)
	for name, want := range map[string]bool{"a.test": true, "*.a.test": false, "over.test": false} {
		checktest.Equalf(t, c.certs.hosts[name] != nil, want, "%s has a certificate: %v", name, !want)
	}
}
