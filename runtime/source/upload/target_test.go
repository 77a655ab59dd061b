package upload

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
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

func newFolder(t *testing.T, change func(*Options)) (*Upload, string) {
	t.Helper()
	dir := t.TempDir()
	o := Options{Path: dir, Replace: true, Log: func(_, line string) { t.Log(line) }}
	if change != nil {
		change(&o)
	}
	return checktest.Try(New(o)).Must(t), dir
}

func has(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	for _, e := range checktest.Try(os.ReadDir(dir)).Must(t) {
		content, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		got = append(got, e.Name()+"="+string(content))
	}
	checktest.Equalf(t, strings.Join(got, " "), strings.Join(want, " "), "%s has %q, want %q", dir, got, want)
}

func begin(t *testing.T, u *Upload, name, content string) *draft {
	t.Helper()
	d, err := u.target.begin(nil, "", stored{Name: name, Size: int64(len(content))})
	if err == nil {
		err = d.write([]byte(content))
	}
	if err == nil {
		err = d.seal()
	}
	checktest.Must(t, err)
	return d
}

func status(err error) int {
	if err == nil {
		return 0
	}
	return refusalOf(err).status
}

func TestLinkIsReplacedAndNotFollowed(t *testing.T) {
	u, dir := newFolder(t, nil)
	outside := filepath.Join(t.TempDir(), "outside")
	checktest.Must(t, os.WriteFile(outside, []byte("safe"), 0o600))
	checktest.Must(t, os.Symlink(outside, dir+"/a"), os.Symlink(outside, dir+"/"+temporary("b")))
	checktest.Equal(t, begin(t, u, "a", "new").commit(), nil)
	_, err := u.target.begin(nil, "", stored{Name: "b", Size: 1})
	checktest.Truef(t, err != nil, "a temporary file was opened through a link")
	checktest.Must(t, os.Mkdir(filepath.Join(dir, "c"), 0o700))
	_, err = u.target.begin(nil, "", stored{Name: "c", Size: 1})
	checktest.Equalf(t, status(err), 409, "a name that a directory has: %v", err)
	has(t, filepath.Dir(outside), "outside=safe")
}

func TestFilesOfAKilledServerAreRemoved(t *testing.T) {
	u, dir := newFolder(t, nil)
	left := filepath.Join(dir, temporary("left"))
	checktest.Must(t, os.WriteFile(left, []byte("half"), 0o600))
	d := begin(t, u, "a", "one")
	checktest.Must(t, os.WriteFile(left, []byte("half"), 0o600))
	other, _ := New(Options{Path: dir, Replace: true})
	checktest.Must(t, begin(t, other, "left", "new").commit())
	checktest.Must(t, d.commit())
	has(t, dir, "a=one", "left=new")
}

func TestDescriptorIsWrittenByOneUploadAtATime(t *testing.T) {
	r, w, err := os.Pipe()
	checktest.Must(t, err)
	defer r.Close()
	u := checktest.Try(New(Options{Descriptor: int(w.Fd())})).Must(t)
	w.Close()
	d := begin(t, u, "", "one")
	_, err = u.target.begin(nil, "", stored{Name: "", Size: 1})
	checktest.Equalf(t, status(err), 423, "a second upload: %v", err)
	checktest.Must(t, d.commit())
	begin(t, u, "", "two").abort()
	got := make([]byte, 6)
	n, _ := r.Read(got)
	checktest.Equalf(t, string(got[:n]), "onetwo", "the pipe")
	_, err = New(Options{Descriptor: int(r.Fd())})
	checktest.Truef(t, err != nil, "a descriptor for reading")
}

// The process enters the chroot before it opens the files.
func TestPathsAreRelativeToTheChroot(t *testing.T) {
	dir := t.TempDir()
	checktest.Must(t, os.MkdirAll(filepath.Join(dir, "jail", "in"), 0o700))
	for path, want := range map[string]string{"jail/in": "/in", "jail/in/new": "/in", "jail": "/", "jail/": "/",
		"jailed": "", "other": ""} {
		u, err := New(Options{Path: filepath.Join(dir, path), Root: filepath.Join(dir, "jail") + "/"})
		if want == "" && (err == nil || !strings.Contains(err.Error(), "outside")) || want != "" && err != nil {
			t.Errorf("%s: %v", path, err)
		} else if want != "" && u.target.(*directory).path != want {
			t.Errorf("%s is %s, want %s", path, u.target.(*directory).path, want)
		}
	}
}

func FuzzName(f *testing.F) {
	f.Add("../x")
	f.Fuzz(func(t *testing.T, name string) {
		checktest.Truef(t, checkName(name) != "" || filepath.Join("/dir", name) == "/dir/"+name,
			"%q leaves the directory", name)
	})
}

func TestDigestFieldsAreParsed(t *testing.T) {
	const empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	const digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for value, want := range map[string]string{
		"sha-256=:" + empty + ":":                   digits,
		"sha-512=:YQ==:, sha-256=:" + empty + ":;a": digits,
		"sha-256=" + empty:                          "",
		"sha-256=:YQ==:":                            "",
		"sha-256":                                   "",
		"md5=:YQ==:":                                "",
	} {
		got, err := readDigest(value)
		checktest.Truef(t, got == want && (err == nil) == (want != ""), "%q: %q, %v", value, got, err)
	}
	d := &draft{hash: sha256.New()}
	checktest.Equal(t, errors.Join(d.checkSum(""), d.checkSum(digits), d.checkSum(" "+strings.ToUpper(digits))), nil)
	checktest.Truef(t, d.checkSum("00") != nil, "a wrong digest")
}

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
