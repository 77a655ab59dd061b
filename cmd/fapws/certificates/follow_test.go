package certificates

import (
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/conn/certtest"
)

// TestFollow: files are read again when they are replaced by way of a link, as Kubernetes does, also where a name looks like a pattern.
func TestFollow(t *testing.T) {
	ca := certtest.NewAuthority(t)
	dir := filepath.Join(t.TempDir(), "*.a.b [ecc]")
	ca.For("a.b").Write(dir + "/..1")
	ca.For("a.b").Write(dir + "/..2")
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, dir+"/new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(dir+"/new", dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/cert.pem", "cert.pem")
	link("..data/key.pem", "key.pem")
	r := Reader{}
	w := &Want{Pairs: []Pair{{Cert: dir + "/cert.pem", Key: dir + "/key.pem"}}}
	before, err := r.Bundle(w)
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 100)
	f := Follow(func() { changed <- struct{}{} }, false)
	f.Files(w.Files(), false)
	link("..2", "..data")
	os.RemoveAll(dir + "/..1")
	for now := before; now.Equal(before); {
		<-changed // the deadline of the test is the only limit
		if now, err = r.Bundle(w); err != nil {
			t.Fatal(err)
		}
	}
}
