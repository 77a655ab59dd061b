package tls_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// The service manager (systemd) has opened the sockets, and the socket called https is for HTTPS. The names of the
// certificate files are symbolic links, which a renewal replaces.
func TestCertificatesOfSystemdCertbotAndKubernetesAreServed(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t)
	dir := t.TempDir()
	link := func(to, name string) {
		t.Helper()
		fapwstest.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		fapwstest.Must(t, os.Symlink(to, name+".new"))
		fapwstest.Must(t, os.Rename(name+".new", name))
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
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		fapwstest.Must(t, err)
		f, err := ln.(*net.TCPListener).File()
		fapwstest.Must(t, err)
		t.Cleanup(func() { f.Close(); ln.Close() })
		sockets, at = append(sockets, f), append(at, ln.Addr().String())
	}
	s := fapwstest.Command{Shell: "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:https", Files: sockets,
		Dir:   dir,
		Flags: []string{"--config", file}}.Start(t)
	s.Says(`(?m)^  http://` + at[0] + `/\n  https://` + at[1] + `/`)
	plain := fapwstest.Dial(t, "tcp", at[0])
	plain.Fetch("/").Want(t, 200, "served")
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
