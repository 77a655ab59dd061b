package certificates

import (
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/conn/certtest"
)

// TestFollow: files are read again when they are written, renamed over, or replaced by way of a symbolic link, as
// certbot and Kubernetes do.
func TestFollow(t *testing.T) {
	ca := certtest.NewAuthority(t)
	link := func(t *testing.T, target, name string) {
		t.Helper()
		if err := os.Symlink(target, name+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	for name, prepare := range map[string]func(t *testing.T, dir string) (cert, key string, change func()){
		"written": func(t *testing.T, dir string) (string, string, func()) {
			cert, key := ca.For("a.b").Write(dir)
			return cert, key, func() {
				c := ca.For("a.b")
				for file, text := range map[string][]byte{cert: c.Chain, key: c.Key} {
					if err := os.WriteFile(file, text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		"renamed": func(t *testing.T, dir string) (string, string, func()) {
			cert, key := ca.For("a.b").Write(dir)
			return cert, key, func() { ca.For("a.b").Write(dir) }
		},
		"a name with stars": func(t *testing.T, dir string) (string, string, func()) {
			dir = filepath.Join(dir, "*.a.b [ecc]")
			cert, key := ca.For("a.b").Write(dir)
			return cert, key, func() { ca.For("a.b").Write(dir) }
		},
		"certbot": func(t *testing.T, dir string) (string, string, func()) {
			ca.For("a.b").Write(dir + "/archive/1")
			ca.For("a.b").Write(dir + "/archive/2")
			os.Mkdir(dir+"/live", 0o700)
			cert, key := dir+"/live/cert.pem", dir+"/live/key.pem"
			link(t, "../archive/1/cert.pem", cert)
			link(t, "../archive/1/key.pem", key)
			return cert, key, func() {
				link(t, "../archive/2/key.pem", key)
				link(t, "../archive/2/cert.pem", cert)
			}
		},
		"Kubernetes": func(t *testing.T, dir string) (string, string, func()) {
			ca.For("a.b").Write(dir + "/..1")
			ca.For("a.b").Write(dir + "/..2")
			cert, key := dir+"/cert.pem", dir+"/key.pem"
			link(t, "..1", dir+"/..data")
			link(t, "..data/cert.pem", cert)
			link(t, "..data/key.pem", key)
			return cert, key, func() {
				link(t, "..2", dir+"/..data")
				os.RemoveAll(dir + "/..1")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cert, key, change := prepare(t, t.TempDir())
			r := Reader{}
			w := &Want{Pairs: []Pair{{Cert: cert, Key: key}}}
			before, err := r.Bundle(w)
			if err != nil {
				t.Fatal(err)
			}
			changed := make(chan struct{}, 100)
			f := Follow(func() { changed <- struct{}{} }, false)
			f.Files(w.Files(), false)
			change()
			for {
				<-changed // the deadline of the test is the only limit
				now, err := r.Bundle(w)
				if err != nil {
					t.Fatal(err)
				}
				if !now.Equal(before) {
					return
				}
			}
		})
	}
}
