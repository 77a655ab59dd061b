package certificates

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/logfile"
)

type logged struct{ lines []string }

func (l *logged) log(level logfile.Level, line string) {
	l.lines = append(l.lines, fmt.Sprintf("%s: %s", level, line))
}

func (l *logged) want(t *testing.T, texts ...string) {
	t.Helper()
	checktest.Equalf(t, len(l.lines), len(texts), "logged %q, want %q", l.lines, texts)
	for i := range min(len(l.lines), len(texts)) {
		checktest.Truef(t, strings.Contains(l.lines[i], texts[i]), "logged %q, want %q", l.lines[i], texts[i])
	}
	l.lines = nil
}

func TestUnusableFileIsReportedWithCauseAndAdvice(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	good := ca.For("example.org")
	put := func(name string, data []byte) string { return certtest.Write(t, filepath.Join(dir, name), data) }
	cert, key := put("cert.pem", good.Chain), put("key.pem", good.Key)
	made := func(name string, o certtest.Options) (string, string) {
		c := ca.Sign(o)
		return put(name+".pem", c.Chain), put(name+".key", c.Key)
	}
	names := []string{"example.org"}
	oldCert, oldKey := made("old", certtest.Options{Names: names, Start: time.Now().Add(-48 * time.Hour),
		End: time.Now().Add(-time.Hour)})
	newCert, newKey := made("new", certtest.Options{Names: names, Start: time.Now().Add(time.Hour)})
	clientCert, clientKey := made("client",
		certtest.Options{Names: names, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	bareCert, bareKey := made("bare", certtest.Options{})
	commonCert, commonKey := made("common", certtest.Options{Common: "example.org"})
	shortKey, _ := x509.MarshalPKCS8PrivateKey(certtest.RSA(t, 1024))
	der, _ := pem.Decode(good.Certificate)
	keyDER, _ := pem.Decode(good.Key)
	fifo := filepath.Join(dir, "fifo")
	checktest.Must(t, unix.Mkfifo(fifo, 0o600))
	for _, c := range []struct {
		name string
		pair Pair
		want []string
	}{
		{"missing certificate", Pair{Cert: dir + "/none.pem", Key: key},
			[]string{dir + "/none.pem", "no such file", "correct the name"}},
		{"missing key", Pair{Cert: cert, Key: dir + "/none.key"}, []string{"key " + dir + "/none.key", "no such file"}},
		{"directory", Pair{Cert: dir, Key: key}, []string{dir, "is a directory; name the file in it"}},
		{"FIFO", Pair{Cert: fifo, Key: key}, []string{"fifo: is not a regular file"}},
		{"device", Pair{Cert: "/dev/zero", Key: key}, []string{"/dev/zero: is not a regular file"}},
		{"large", Pair{Cert: put("large", bytes.Repeat(good.Certificate, 1+maxFile/len(good.Certificate))), Key: key},
			[]string{"large: larger than 1 MiB"}},
		{"empty", Pair{Cert: put("empty", nil), Key: key}, []string{"empty: no certificate in this file"}},
		{"text", Pair{Cert: put("text", []byte("hello\n")), Key: key}, []string{"text: no certificate in this file", "PEM"}},
		{"cut off", Pair{Cert: put("cut", good.Certificate[:len(good.Certificate)/2]), Key: key},
			[]string{"cut: no complete certificate", "copy it again"}},
		{"damaged", Pair{Cert: put("damaged", bytes.Replace(good.Certificate, []byte("MII"), []byte("MIJ"), 1)),
			Key: key}, []string{"damaged: certificate 1 of the file cannot be read"}},
		{"binary", Pair{Cert: put("der", der.Bytes), Key: key}, []string{"not in PEM format", "openssl x509 -inform der"}},
		{"swapped", Pair{Cert: key, Key: cert}, []string{"key.pem: has a private key but no certificate", "swapped?"}},
		{"no key in it", Pair{Cert: cert}, []string{"cert.pem: has a certificate but no private key", "keyfile"}},
		{"certificate for a key", Pair{Cert: cert, Key: cert}, []string{"cert.pem: no private key in this file"}},
		{"binary key", Pair{Cert: cert, Key: put("keyder", keyDER.Bytes)}, []string{"openssl pkey -inform der"}},
		{"encrypted", Pair{Cert: cert, Key: put("enc",
			pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: keyDER.Bytes}))},
			[]string{"enc: the private key is encrypted", "openssl pkey -in"}},
		{"encrypted the old way", Pair{Cert: cert,
			Key: put("enc1", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
				Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"},
				Bytes:   keyDER.Bytes}))}, []string{"enc1: the private key is encrypted"}},
		{"SSH", Pair{Cert: cert, Key: put("ssh",
			pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("x")}))},
			[]string{"ssh: is a key of OpenSSH"}},
		{"damaged key", Pair{Cert: cert,
			Key: put("dkey", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER.Bytes[:50]}))},
			[]string{"dkey: the private key cannot be read"}},
		{"short key", Pair{Cert: cert, Key: put("short",
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: shortKey}))},
			[]string{"RSA key of 1024 bits is too short"}},
		{"another key", Pair{Cert: cert, Key: put("other", ca.For("example.org").Key)},
			[]string{"other: this key does not belong to the certificate " + cert}},
		{"wrong order", Pair{Cert: put("order", append(bytes.Clone(ca.PEM), good.Certificate...)), Key: key},
			[]string{"order: certificate 2 of the file belongs to the key, but must come first"}},
		{"expired", Pair{Cert: oldCert, Key: oldKey},
			[]string{"old.pem: the certificate expired on " + time.Now().Add(-time.Hour).UTC().Format(day), "renew it"}},
		{"not yet", Pair{Cert: newCert, Key: newKey}, []string{"new.pem: the certificate is not valid before", "clock"}},
		{"of a client", Pair{Cert: clientCert, Key: clientKey}, []string{"client.pem: the certificate is not for a server"}},
		{"no names", Pair{Cert: bareCert, Key: bareKey}, []string{"bare.pem: the certificate is for no host",
			"subjectAltName"}},
		{"another common name", Pair{Cert: commonCert, Key: commonKey, Names: []string{"shop.example.org"}},
			[]string{"common.pem: the certificate does not cover the host shop.example.org, only example.org"}},
		{"another host", Pair{Cert: cert, Key: key, Names: []string{"example.org", "shop.example.org"}},
			[]string{"cert.pem: the certificate does not cover the host shop.example.org, only example.org"}},
		{"pattern of hosts", Pair{Cert: cert, Key: key, Names: []string{"*.example.org"}},
			[]string{"does not cover the host *.example.org"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.pair.From = "fapws.toml:3: certfile"
			_, err := new(Reader).KeySet(&Want{Pairs: []Pair{c.pair}})
			checktest.Needf(t, err != nil, "no error")
			line := err.Error()
			checktest.Has(t, line, append(c.want, "fapws.toml:3: certfile: ")...)
			checktest.Truef(t, !strings.Contains(line, "\n"), "several lines: %q", line)
		})
	}
}

// Old versions of openssl write keys as PKCS #1 and SEC 1, with EC parameters before the key. The key and the
// certificate may be in one file. A pattern of hosts may end with a wildcard, such as "example.*".
func TestAllKindsOfKeysAreUsable(t *testing.T) {
	ca := certtest.NewAuthority(t)
	rsaKey, ecKey := certtest.RSA(t, 2048), certtest.ECDSA(t)
	der := checktest.Try(x509.MarshalECPrivateKey(ecKey.(*ecdsa.PrivateKey))).Must(t)
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	pkcs1 := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey.(*rsa.PrivateKey)))
	sec1 := append(block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}), block("EC PRIVATE KEY", der)...)
	for name, of := range map[string]struct {
		certtest.Options
		key []byte
	}{
		"ECDSA": {}, "RSA": {certtest.Options{Key: rsaKey}, nil},
		"Ed25519":  {certtest.Options{Key: certtest.Ed25519(t)}, nil},
		"wildcard": {certtest.Options{Names: []string{"*.example.org", "127.0.0.1"}}, nil},
		"PKCS #1":  {certtest.Options{Key: rsaKey}, pkcs1}, "SEC 1": {certtest.Options{Key: ecKey}, sec1},
	} {
		t.Run(name, func(t *testing.T) {
			if of.Names == nil {
				of.Names = []string{"example.org"}
			}
			c := ca.Sign(of.Options)
			if of.key != nil {
				c.Key = of.key
			}
			dir := t.TempDir()
			cert, key := c.Write(dir)
			both := certtest.Write(t, dir+"/both.pem", append(bytes.Clone(c.Key), c.Chain...))
			var log logged
			r := Reader{Log: log.log}
			w := &Want{Pairs: []Pair{{Cert: cert, Key: key, Names: append(of.Names, "example.*")}, {Cert: both}}}
			checktest.Equal(t, new(Server).Use(w, checktest.Try(r.KeySet(w)).Must(t)), nil)
			log.want(t)
		})
	}
}

func TestLastValidPairStaysInUse(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	first, second := ca.For("example.org"), ca.For("example.org")
	cert, key := first.Write(dir)
	cas := certtest.Write(t, dir+"/ca.pem", ca.PEM)
	var log logged
	r := Reader{Log: log.log}
	w := &Want{Pairs: []Pair{{Cert: cert, Key: key}}, Asking: asking(tls.RequireAndVerifyClientCert, cas)}
	bundle := func() *KeySet {
		t.Helper()
		return checktest.Try(r.KeySet(w)).Must(t)
	}
	before := bundle()
	for _, wrong := range []struct {
		name, text string
		change     func()
	}{
		{"another pair half written", "does not belong to the certificate", func() { certtest.Write(t, cert, second.Chain) }},
		{"garbage", "no certificate in this file", func() { certtest.Write(t, cert, []byte("x")) }},
		{"removed", "no such file", func() { os.Remove(cert) }},
	} {
		wrong.change()
		for range 3 {
			checktest.Equalf(t, *bundle(), *before, "%s: the old pair has gone", wrong.name)
		}
		log.want(t, wrong.text)
	}
	second.Write(dir)
	if b := bundle(); reflect.DeepEqual(b, before) || !bytes.Equal(b.Files[w.Pairs[0].id()].PrivateKey, second.Key) {
		t.Error("the new pair is not used")
	}
	log.want(t, "info: certificate "+cert+" was replaced")
	certtest.Write(t, cas, []byte("x"))
	checktest.Equalf(t, bundle().Files[cas].Certificate, ca.PEM, "the old CAs have gone")
	log.want(t, "ca.pem: no certificate in this file")
	certtest.Write(t, cert, []byte("x"))
	log.lines = nil
	w.Pairs[0].Names = []string{"other.example.org"}
	_, err := r.KeySet(w)
	checktest.Truef(t, err != nil, "the old pair is used for a host that it does not cover")
}

func TestExpiredCertificateStaysInUse(t *testing.T) {
	cert, key := certtest.NewAuthority(t).For("example.org").Write(t.TempDir())
	now := time.Now()
	var log logged
	r := Reader{Log: log.log, Now: func() time.Time { return now }}
	w := &Want{Pairs: []Pair{{Cert: cert, Key: key}}}
	checktest.Try(r.KeySet(w)).Must(t)
	now = now.Add(84 * 24 * time.Hour)
	checktest.Try(r.KeySet(w)).Must(t)
	log.want(t, "warning: "+cert+": the certificate expires on ")
	now = now.Add(10 * 24 * time.Hour)
	b := checktest.Try(r.KeySet(w)).Must(t)
	log.want(t, "the certificate expired on")
	checktest.Equal(t, new(Server).Use(w, b), nil)
	next := Reader{Log: log.log, Now: r.Now, Kept: r.Kept}
	_, err := next.KeySet(w)
	checktest.Equalf(t, err, nil, "after an upgrade")
}

func TestCertificatesAreServedWithTheClockIn1970(t *testing.T) {
	cert, key := certtest.NewAuthority(t).For("example.org").Write(t.TempDir())
	var log logged
	r := Reader{Log: log.log, Now: func() time.Time { return time.Unix(60, 0) }}
	for range 2 {
		checktest.Try(r.KeySet(&Want{Pairs: []Pair{{Cert: cert, Key: key}}})).Must(t)
	}
	log.want(t, "the clock of this machine says 1970-01-01")
}

func TestProbablyUnintendedSettingIsAWarning(t *testing.T) {
	dir := t.TempDir()
	c := certtest.NewAuthority(t).For("example.org")
	cert, key := c.Write(dir)
	certtest.Write(t, cert, c.Certificate)
	certtest.Write(t, dir+"/fullchain.pem", c.Chain)
	for mode, warned := range map[os.FileMode]bool{0o644: true, 0o604: true, 0o602: true, 0o640: false, 0o400: false} {
		checktest.Must(t, os.Chmod(key, mode))
		var log logged
		r := Reader{Log: log.log}
		w := &Want{Pairs: []Pair{{Cert: cert, Key: key}}, Hosts: []string{"example.org", "shop.example.org"}}
		for range 2 {
			checktest.Try(r.KeySet(w)).Must(t)
		}
		want := []string{cert + " has no certificate of its CA, so many clients refuse it; use " + dir +
			"/fullchain.pem", "no certificate covers the host shop.example.org"}
		if warned {
			want = append([]string{fmt.Sprintf("the private key %s can be read by every user of this machine (mode "+
				"%04o); chmod 600 %s", key, mode, key)}, want...)
		}
		log.want(t, want...)
	}
}

func TestCertificateThatRequiresStaplingIsUsedWithAWarning(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	for _, c := range []struct {
		id       asn1.ObjectIdentifier
		features []byte
		warned   bool
	}{
		{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, []byte{0x30, 3, 2, 1, 5}, true},
		{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, []byte{0x30, 6, 2, 1, 10, 2, 1, 17}, true},
		{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, []byte{0x30, 3, 2, 1, 10}, false},
		{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 99}, []byte{0x30, 3, 2, 1, 5}, false},
	} {
		extra := []pkix.Extension{{Id: c.id, Value: c.features}}
		cert, key := ca.Sign(certtest.Options{Names: []string{"example.org"}, Extra: extra}).Write(dir)
		var log logged
		r := Reader{Log: log.log}
		checktest.Try(r.KeySet(&Want{Pairs: []Pair{{Cert: cert, Key: key}}})).Must(t)
		if c.warned {
			log.want(t, cert+": the certificate requires OCSP stapling (must-staple)")
		} else {
			log.want(t)
		}
	}
}

func TestFileOfAuthoritiesMustHaveOne(t *testing.T) {
	dir := t.TempDir()
	c := certtest.NewAuthority(t).For("example.org")
	cert, key := c.Write(dir)
	for text, data := range map[string][]byte{
		"leaf.pem: has no certificate of a CA": c.Certificate,
		"text.pem: no certificate":             []byte("x"),
	} {
		name, _, _ := strings.Cut(text, ":")
		w := &Want{Pairs: []Pair{{Cert: cert, Key: key}},
			Asking: []Asking{{CAs: certtest.Write(t, dir+"/"+name, data), From: "--ca-certs"}}}
		_, err := new(Reader).KeySet(w)
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), text) &&
			strings.HasPrefix(err.Error(), "--ca-certs: "), "%v, want %s", err, text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
		[]byte("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte{0x30, 0x82, 1, 2, 3},
		[]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		p := &Pair{Cert: "c", Key: "k"}
		if c, err := p.parse(cert, key); err == nil {
			_ = p.judge(c.Leaf, time.Now())
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("several lines: %q", err)
		}
		_, _ = parseClients(cert)
	})
}
