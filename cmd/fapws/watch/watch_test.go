package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

const patience = checktest.Patience

type dir struct {
	t    *testing.T
	path string
	said []string
	// reports of the Watcher; buffered, so that the Watcher never waits for a reader
	changes chan string
}

func newDir(t *testing.T, files ...string) *dir {
	t.Helper()
	d := &dir{t: t, path: t.TempDir(), changes: make(chan string, 100)}
	for _, name := range files {
		d.write(name, "content of "+name)
	}
	return d
}

func (d *dir) in(name string) string { return filepath.Join(d.path, name) }

func (d *dir) check(err error) {
	d.t.Helper()
	checktest.Must(d.t, err)
}

func (d *dir) write(name, text string) {
	d.t.Helper()
	d.check(os.MkdirAll(filepath.Dir(d.in(name)), 0o755))
	// Write the text before truncating, because a scan could report a file that is temporarily shorter than both texts.
	f, err := os.OpenFile(d.in(name), os.O_WRONLY|os.O_CREATE, 0o644)
	d.check(err)
	defer f.Close()
	_, err = f.WriteString(text)
	d.check(err)
	d.check(f.Truncate(int64(len(text))))
}

func (d *dir) rename(from, to string) {
	d.t.Helper()
	d.check(os.Rename(d.in(from), d.in(to)))
}

func (d *dir) link(target, name string) {
	d.t.Helper()
	d.check(os.Symlink(target, d.in(name)))
}

func (d *dir) watch(o Options) *Watcher {
	d.t.Helper()
	if o.Dirs == nil {
		o.Dirs = []string{d.in("app")}
	}
	o.Base, _ = os.Getwd()
	o.Log = func(line string) { d.said = append(d.said, line) }
	w, err := Start(o)
	d.check(err)
	d.t.Cleanup(w.Close)
	w.Report(func(what string) { d.changes <- what })
	return w
}

func set[T any](t *testing.T, at *T, value T) {
	before := *at
	t.Cleanup(func() { *at = before })
	*at = value
}

func (d *dir) next() string {
	d.t.Helper()
	select {
	case what := <-d.changes:
		return what
	case <-time.After(patience):
		d.t.Fatal("no change is told")
	}
	return ""
}

// do runs commands that are separated by semicolons.
func (d *dir) do(commands string) {
	d.t.Helper()
	for command := range strings.SplitSeq(commands, "; ") {
		switch words := strings.Fields(command); {
		case len(words) == 0:
		case words[0] == "write":
			d.write(words[1], strings.Join(words[2:], " "))
		case words[0] == "rename":
			d.rename(words[1], words[2])
		case words[0] == "link":
			d.link(words[1], words[2])
		case words[0] == "remove":
			d.check(os.RemoveAll(d.in(words[1])))
		case words[0] == "chmod":
			d.check(os.Chmod(d.in(words[1]), 0o755))
		case words[0] == "touch":
			d.check(os.Chtimes(d.in(words[1]), time.Now(), time.Now()))
		default:
			d.t.Fatalf("unknown command %q", command)
		}
	}
}

// If a test case expects no report, the test then changes a further file, named sign. The first report must be about
// this file.
func TestEachChangeIsReportedOnce(t *testing.T) {
	const sign = "app/sign.py"
	for _, tt := range []struct {
		name, files, before, change string
		o                           Options
		want                        string // "" means no report
	}{
		{name: "written", change: "write app/app.py new", want: "app.py changed"},
		{name: "written with the same length", change: "write app/app.py CONTENT OF app/app.py", want: "app.py changed"},
		{name: "written in a folder below", files: "app/a/b/c.py", change: "write app/a/b/c.py new",
			want: "a/b/c.py changed"},
		{name: "new file", change: "write app/new.py", want: "new.py added"},
		{name: "removed", change: "remove app/app.py", want: "app.py removed"},
		{name: "renamed over", change: "write app/.app.py.swp new; rename app/.app.py.swp app/app.py",
			want: "app.py changed"},
		{name: "moved in", files: "elsewhere.py", change: "rename elsewhere.py app/app.py", want: "app.py changed"},
		{name: "steps: backup and written again", change: "rename app/app.py app/app.py~; write app/app.py new",
			want: "app.py changed"},
		{name: "steps: several at once", files: "app/b.py app/c.py",
			change: "write app/b.py 1; write app/c.py 2; write app/app.py 3", want: "app.py and 2 other files changed"},

		{name: "new folder", change: "write app/new/deep/x.py", want: "new/deep/x.py added"},
		{name: "folder moved in", files: "other/deep/x.py", change: "rename other app/other", want: "other/deep/x.py added"},
		{name: "folder removed", files: "app/sub/x.py", change: "remove app/sub", want: "sub/x.py removed"},
		{name: "steps: folder replaced", files: "app/sub/x.py other/x.py",
			change: "rename app/sub gone; rename other app/sub", want: "sub/x.py changed"},

		{name: "linked folder", files: "shared/x.py", before: "link ../shared app/shared",
			change: "write shared/x.py new", want: "shared/x.py changed"},
		{name: "linked folder replaced", files: "one/x.py two/x.py", before: "link ../one app/now",
			change: "link ../two app/next; rename app/next app/now", want: "now/x.py changed"},
		{name: "folder that contains itself", before: "link . app/loop", change: "write app/app.py new",
			want: "app.py changed"},
		{name: "linked file", files: "shared/x.py", before: "link ../shared/x.py app/x.py",
			change: "write shared/x.py new", want: "x.py changed"},
		{name: "linked file beside a linked folder", files: "shared/x.py shared/y.py",
			before: "link ../shared/x.py app/a.py; link ../shared app/shared", change: "write shared/y.py new",
			want: "shared/y.py changed"},
		{name: "mounted configuration", files: "app/..1/x.py app/..2/x.py",
			before: "link ..1 app/..data; link ..data/x.py app/x.py",
			change: "link ..2 app/..tmp; rename app/..tmp app/..data", want: "x.py changed"},
		{name: "the root is a link", files: "one/app.py two/app.py", o: Options{Dirs: []string{"current"}},
			before: "link one current", change: "link two next; rename next current",
			want: "current/app.py changed"},

		{name: "include by base name", files: "app/t/x.html", o: Options{Include: []string{"*.html"}},
			change: "write app/t/x.html new", want: "t/x.html changed"},
		{name: "include by path", files: "app/t/x.html", o: Options{Include: []string{"t/*.html"}},
			change: "write app/t/x.html new", want: "t/x.html changed"},
		{name: "include elsewhere", files: "etc/x.conf", o: Options{Include: []string{"etc/x.conf"}},
			change: "write etc/x.conf new", want: "etc/x.conf changed"},
		{name: "include a hidden file", files: "app/.env", o: Options{Include: []string{".env"}},
			change: "write app/.env new", want: ".env changed"},

		{name: "touched", change: "touch app/app.py"},
		{name: "saved without a change", change: "write app/app.py content of app/app.py"},
		{name: "mode changed", change: "chmod app/app.py"},
		{name: "compiled", files: "app/__pycache__/app.pyc",
			change: "write app/__pycache__/app.pyc new; write app/app.pyc new"},
		{name: "not included", files: "app/db.sqlite", change: "write app/db.sqlite new"},
		{name: "hidden", change: "write app/.#app.py x; write app/.git/x.py x"},
		{name: "excluded by base name", files: "app/tests/x.py", o: Options{Exclude: []string{"tests"}},
			change: "write app/tests/x.py new; write app/tests/more/x.py new"},
		{name: "excluded by path", files: "app/a/made/x.py", o: Options{Exclude: []string{"a/made"}},
			change: "write app/a/made/x.py new"},
		{name: "virtual environment", files: "app/env/pyvenv.cfg app/env/lib/x.py", change: "write app/env/lib/x.py new"},
		{name: "too many folders", files: "app/a/x.py app/a/b/x.py", change: "write app/a/b/x.py new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tells := func(o Options) (got, want string) {
				d := newDir(t, append([]string{"app/app.py", sign}, strings.Fields(tt.files)...)...)
				t.Chdir(d.path)
				d.do(tt.before)
				set(t, &interval, 5*time.Millisecond)
				defer d.watch(o).Close()
				d.do(tt.change)
				want = tt.want
				if want == "" {
					d.write(sign, "new")
					want = "sign.py changed"
				}
				return strings.TrimPrefix(d.next(), "app/"), want
			}
			if tt.name == "too many folders" {
				set(t, &maxFolders, 2)
			}
			if strings.HasPrefix(tt.name, "steps: ") {
				set(t, &quiet, 300*time.Millisecond)
			}
			got, want := tells(tt.o)
			for quiet >= 300*time.Millisecond && quiet < patience && got != want { // a slow machine may need more time
				set(t, &quiet, 4*quiet)
				got, want = tells(tt.o)
			}
			checktest.Equalf(t, got, want, "told")
		})
	}
}

func TestFileIsStillWatchedAfterAChange(t *testing.T) {
	d := newDir(t, "app/app.py")
	d.watch(Options{})
	before := ""
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() { d.write("app/app.py", "2") }, "app.py changed"},
		{func() { d.write("app/sub/x.py", "1") }, "sub/x.py added"},
		{func() { d.write("app/sub/x.py", "2") }, "sub/x.py changed"},
		{func() { d.check(os.RemoveAll(d.in("app/sub"))) }, "sub/x.py removed"},
		{func() { d.write("app/sub/x.py", "3") }, "sub/x.py added"},
		{func() { d.write("app/sub/x.py", "4") }, "sub/x.py changed"},
		{func() { d.rename("app/sub", "app/bus") }, "bus/x.py and 1 other file changed"},
		{func() { d.write("app/bus/x.py", "5") }, "bus/x.py changed"},
		{func() { d.write("app/app.py", "3") }, "app.py changed"},
	} {
		step.change()
		got := d.next()
		// writing a file may take several steps and be reported twice
		for ; got == before; got = d.next() {
		}
		before = step.want
		checktest.Needf(t, got == step.want, "told %q, want %q", got, step.want)
	}
}

func TestLateReaderFindsOneChange(t *testing.T) {
	d := newDir(t, "app/a.py", "app/c.py")
	w, err := newWatcher(Options{Dirs: []string{d.in("app")}})
	d.check(err)
	w.look()
	clear(w.found)
	d.write("app/a.py", "new")
	w.look()
	d.write("app/b.py", "")
	d.check(os.Remove(d.in("app/c.py")))
	w.look()
	d.write("app/b.py", "new")
	w.look()
	w.tell(func(got string) { d.changes <- got })
	got, want := d.next(), "a.py and 2 other files changed"
	checktest.Equalf(t, got, want, "told")
}

func TestCloseEndsTheChanges(t *testing.T) {
	d := newDir(t, "app/app.py")
	w := d.watch(Options{})
	w.Close()
	d.write("app/app.py", "new")
	checktest.Truef(t, len(d.changes) == 0, "a change is reported after Close")
	w.Close()
}

func TestTooManyDirectoriesAreReported(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"all well", Options{}, ""},
		{"too many", Options{}, "watching only the 2 nearest directories: name the important ones with --reload-dir, " +
			"or exclude some with --reload-exclude"},
	} {
		d := newDir(t, "app/a/x.py", "app/b/x.py", "app/c/x.py")
		if tt.name == "too many" {
			set(t, &maxFolders, 2)
		}
		d.watch(tt.o)
		checktest.Equalf(t, strings.Join(d.said, "\n"), tt.want, "%s: said", tt.name)
	}
}

func TestWatcherRejectsInvalidOptions(t *testing.T) {
	d := newDir(t, "file")
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{Dirs: []string{d.in("none")}}, "cannot watch " + d.in("none") + ": no such file or directory"},
		{Options{Dirs: []string{d.in("file")}}, "cannot watch " + d.in("file") + ": it is not a directory"},
		{Options{Dirs: []string{d.path}, Include: []string{"[x"}}, `the pattern "[x" is invalid: syntax error in pattern`},
	} {
		w, err := Start(tt.o)
		if err == nil {
			w.Close()
		}
		checktest.Truef(t, err != nil && err.Error() == tt.want, "%v: got %v, want %s", tt.o, err, tt.want)
	}
}

func TestReplacedLinksInAPathAreNoticed(t *testing.T) {
	d := newDir(t, "store/a/tls/one.pem", "store/b/tls/one.pem", "links/x")
	d.link("../store/a", "links/current")
	d.link("current/tls", "links/tls")
	d.link("links", "etc")
	d.watch(Options{Dirs: []string{}, Include: []string{d.in("etc/tls/one.pem")}})
	change := func(what string, change func()) {
		t.Helper()
		change()
		got, want := d.next(), d.in("etc/tls/one.pem")+" changed"
		checktest.Equalf(t, got, want, "%s: told", what)
	}
	for range 2 {
		for _, to := range []string{"b", "a"} {
			change("another directory, "+to, func() {
				d.write("store/"+to+"/tls/one.pem", "another "+to) // the link does not lead to this directory yet
				d.link("../store/"+to, "links/new")
				d.rename("links/new", "links/current")
			})
			change("the file in "+to, func() { d.write("store/"+to+"/tls/one.pem", "changed in "+to) })
		}
	}
}

func TestFileThatBecomesReadableHasChanged(t *testing.T) {
	if os.Geteuid() == 0 {
		return
	}
	set(t, &interval, time.Millisecond)
	d := newDir(t, "one.pem")
	d.check(os.Chmod(d.in("one.pem"), 0))
	d.watch(Options{Dirs: []string{}, Include: []string{d.in("one.pem")}})
	d.check(os.Chmod(d.in("one.pem"), 0o600))
	got := d.next()
	checktest.Equalf(t, filepath.Base(got), "one.pem changed", "told %q", got)
}
