package upload

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestResumableUploadsAreLimited(t *testing.T) {
	u, dir := newFolder(t, nil)
	f := u.target.(*directory)
	var last *partial
	for range maxPartial {
		p := checktest.Try(f.create(rand.Text(), description{Length: 3, Name: "a"})).Must(t)
		if last != nil {
			last.close()
		}
		last = p
	}
	_, err := f.create(rand.Text(), description{Length: 3, Name: "a"})
	checktest.Equalf(t, status(err), 503, "one more: %v", err)
	_, err = f.resume(last.id)
	checktest.Equalf(t, status(err), 423, "one that is being written: %v", err)
	checktest.Must(t, last.write([]byte("on")))
	last.close()
	p := checktest.Try(f.resume(last.id)).Must(t)
	checktest.Must(t, p.write([]byte("e")))
	err = p.complete()
	checktest.Truef(t, err == nil && p.sum() == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
		"%v, %s", err, p.sum())
	checktest.Try(f.create(rand.Text(), description{Length: 3, Name: "b"})).Must(t).remove()
	f.options.Expires = 1
	d := checktest.Try(f.open()).Must(t)
	defer d.Close()
	f.expire(d)
	has(t, dir, "a=one")
}

// The directory contains many other files, which an upload must not read.
func TestSimultaneousUploadsDoNotExceedTheShareOfAClient(t *testing.T) {
	u, dir := newFolder(t, nil)
	for i := range 5000 {
		checktest.Must(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var all sync.WaitGroup
	var begun atomic.Int32
	for range 60 {
		all.Go(func() {
			if p, err := u.target.(*directory).create(rand.Text(), description{Length: 3, Name: "a", Owner: "x"}); err == nil {
				begun.Add(1)
				p.close()
			}
		})
	}
	all.Wait()
	runtime.ReadMemStats(&after)
	n, used := begun.Load(), after.TotalAlloc-before.TotalAlloc
	checktest.Truef(t, n == maxOwned && used <= 10<<20, "%d uploads, which took %d bytes", n, used)
}

func TestClientsWithManyUnfinishedUploadsLoseThemFirst(t *testing.T) {
	u, _ := newFolder(t, nil)
	f := u.target.(*directory)
	var written []*partial
	create := func(owner string) error {
		p, err := f.create(rand.Text(), description{Length: 3, Name: "a", Owner: owner})
		switch {
		case err == nil && owner == "writes":
			written = append(written, p)
		case err == nil:
			p.close()
		}
		return err
	}
	for i := range maxPartial {
		checktest.Must(t, create([]string{"a", "b", "c", "writes"}[i%4]))
	}
	err := create("a")
	checktest.Equalf(t, status(err), 503, "one that has its share: %v", err)
	for create("other") == nil {
	}
	dir := checktest.Try(f.open()).Must(t)
	defer dir.Close()
	owners := map[string]int{}
	for _, id := range f.expire(dir) {
		what, _ := describe(dir, id)
		owners[what.Owner]++
	}
	checktest.Equal(t, owners, map[string]int{"a": 19, "b": 19, "c": 19, "writes": 25, "other": 18})
	for _, p := range written {
		p.close()
	}
}

// An abandoned upload is removed even if no other upload begins, and even if a previous server has received it.
func TestAbandonedUploadIsRemovedInTime(t *testing.T) {
	u, dir := newFolder(t, func(o *Options) { o.Resumable = true })
	checktest.Try(u.target.(*directory).create(rand.Text(), description{Length: 3, Name: "a"})).Must(t).close()
	checktest.Try(New(Options{Path: dir, Resumable: true, Expires: time.Millisecond})).Must(t)
	for left := []os.DirEntry{nil}; len(left) > 0; time.Sleep(time.Millisecond) {
		left = checktest.Try(os.ReadDir(dir)).Must(t)
	}
}

func TestUploadMetadataIsParsed(t *testing.T) {
	for text, want := range map[string]map[string][]string{
		"":                        {},
		"filename YQ==":           {"filename": {"a"}},
		"filename YQ== , empty":   {"filename": {"a"}, "empty": {""}},
		"filename YQ==,x w7w=":    {"filename": {"a"}, "x": {"ü"}},
		"filename %":              nil,
		"a YQ==,a YQ==":           nil,
		",":                       nil,
		strings.Repeat("x", 9000): nil,
	} {
		got, err := readMetadata(text)
		checktest.Truef(t, (want == nil || reflect.DeepEqual(got, want)) && (err == nil) == (want != nil),
			"%.40q: %v, %v", text, got, err)
	}
	for id, want := range map[string]bool{rand.Text(): true, "": false, "../" + rand.Text(): false,
		strings.ToLower(rand.Text()): false} {
		checktest.Equalf(t, isToken(id), want, "%q", id)
	}
}
