package static

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"fapws/runtime/checktest"
)

func TestExpiresSelectsCacheControlByPattern(t *testing.T) {
	f := serve(t, Options{
		Root: tree(t, map[string]string{"a.css": "x", "img/b.png": "x", "img/in/c.png": "x", "d.html": "x",
			"e.js": "x", "f.txt": "x", "n.json": "x", "build/x.css": "x", "a.css.gz": "x", "xcss": "x"}),
		MaxAge: 7,
		Expires: []string{"/build/*=immutable", "*.css=30d", "/img/*=1h", "*.html=off", "e.??=2w immutable",
			"*.json=no-store", "q.css=5"},
	})
	for target, want := range map[string]string{
		"/a.css":        "max-age=2592000",
		"/img/b.png":    "max-age=3600",
		"/img/in/c.png": "max-age=3600",
		"/d.html":       "",
		"/e.js":         "max-age=1209600, immutable",
		"/f.txt":        "max-age=7",
		"/a.css.gz":     "max-age=7",
		"/xcss":         "max-age=7",
		"/n.json":       "no-store",
		"/build/x.css":  "max-age=31536000, immutable",
	} {
		checktest.Equalf(t, get(t, f, request(t, "", "GET", target)).get("Cache-Control"), want, "%s", target)
	}
}

func TestInvalidOptionsAreRejected(t *testing.T) {
	root := tree(t, map[string]string{"bad.types": "text/plain txt\n\nplain txt\n"})
	for want, o := range map[string]Options{
		"index: \"a/b\"":                  {Index: []string{"a/b"}},
		"spa: \"../x\"":                   {SPA: "../x"},
		"spa: \"d/\"":                     {SPA: "d/"},
		"bad.types:3: \"plain\"":          {MimeTypes: root + "/bad.types"},
		"no such file":                    {MimeTypes: root + "/none.types"},
		"\"a b\" for \"x\"":               {Types: map[string]string{"x": "a b"}},
		"\"a/b\\r\\nX: y\"":               {Types: map[string]string{"x": "a/b\r\nX: y"}},
		"\".\" is not an extension":       {Types: map[string]string{".": "a/b"}},
		"name of a charset":               {Charset: "a b"},
		"symlinks: must be inside, owner": {Symlinks: "yes"},
		"expires: \"*.css\"":              {Expires: []string{"*.css"}},
		"\"soon\" is not a time":          {Expires: []string{"*=soon"}},
		"\"1d forever\" is not a time":    {Expires: []string{"*=1d forever"}},
		"the value of X has a control":    {Headers: map[string]string{"X": "a\nb"}},
		"\"X Y\" is not the name":         {Headers: map[string]string{"X Y": "a"}},
	} {
		o.Root = root
		f, err := New(o)
		if err == nil {
			f.Close()
		}
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "\n"),
			"%s: %v", want, err)
	}
}

func TestErrorNamesEveryInvalidOption(t *testing.T) {
	f, wrong := NewChecked(Options{Root: t.TempDir() + "/none", Index: []string{"/"}, SPA: "..", Expires: []string{"x"},
		Charset:   "?",
		MimeTypes: "/none", Types: map[string]string{"x": "y"}, Headers: map[string]string{"": ""}, Symlinks: "?"})
	var names []string
	for _, one := range wrong {
		names = append(names, one.Option)
	}
	got := strings.Join(names, " ")
	checktest.Truef(t, f == nil && got == "index spa expires charset mime_types types headers symlinks root",
		"%v: %s", wrong, got)
}

func TestLinksAreFollowedByPolicy(t *testing.T) {
	dir := t.TempDir()
	root := dir + "/real"
	write(t, root+"/a.txt", "a")
	write(t, root+"/d/b.txt", "b")
	write(t, root+"/loose/c.txt", "c")
	write(t, dir+"/secret.txt", secret)
	symlink(t, "real", dir+"/root")
	symlink(t, "a.txt", root+"/in")
	symlink(t, root+"/d", root+"/absolute")
	symlink(t, dir+"/root/d/b.txt", root+"/by-name")
	symlink(t, root, root+"/d/top")
	symlink(t, root+"x", root+"/beside")
	symlink(t, "/", root+"/slash")
	symlink(t, "../../secret.txt", root+"/d/out")
	symlink(t, dir+"/secret.txt", root+"/out-absolute")
	symlink(t, root+"/../secret.txt", root+"/out-by-way")
	symlink(t, root+"/loop", root+"/loop")
	symlink(t, "loose/c.txt", root+"/foreign")
	foreign := os.Geteuid() == 0
	if foreign {
		checktest.Must(t, os.Lchown(root+"/foreign", 65534, -1))
	}
	for policy, answers := range map[string]map[string]string{
		"inside": {"/a.txt": "a", "/in": "a", "/absolute/b.txt": "b", "/by-name": "b", "/d/top/a.txt": "a",
			"/d/top/d/top/absolute/b.txt": "b", "/foreign": "c"},
		"owner": {"/a.txt": "a", "/in": "a", "/absolute/b.txt": "b", "/by-name": "b", "/d/top/a.txt": "a", "/foreign": ""},
		"no": {"/a.txt": "a", "/d/b.txt": "b", "/in": "", "/absolute/b.txt": "", "/by-name": "", "/d/top/a.txt": "",
			"/foreign": ""},
	} {
		for _, path := range []string{root, dir + "/root"} {
			f := serve(t, Options{Root: path, Symlinks: policy, Listing: true})
			for _, target := range []string{"/beside", "/slash" + dir + "/secret.txt", "/d/out", "/out-absolute",
				"/out-by-way", "/loop", "/d/top/../secret.txt"} {
				answers[target] = ""
			}
			for target, want := range answers {
				if target == "/by-name" && path == root || target == "/foreign" && !foreign {
					continue
				}
				a := get(t, f, request(t, "", "GET", target))
				checktest.Truef(t, (want != "" || a.status == 404) && (want == "" || a.body == want) &&
					!strings.Contains(a.body, secret), "%s of %s %s: %+v", target, path, policy, a)
			}
			page := get(t, f, request(t, "", "GET", "/")).body
			if strings.Contains(page, "out-") || strings.Contains(page, "loop") ||
				strings.Contains(page, "./in\"") != (policy != "no") ||
				foreign && strings.Contains(page, "foreign") != (policy == "inside") || !strings.Contains(page, "./a.txt") {
				t.Errorf("%s: %s", policy, page)
			}
		}
	}
}

func TestLargerFileStaysOpenWhileItIsRequested(t *testing.T) {
	root := tree(t, map[string]string{"big": strings.Repeat("x", 200000), "huge": strings.Repeat("y", 2<<20)})
	f := serve(t, Options{Root: root})
	for _, c := range []struct {
		target string
		warm   bool
	}{{"/big", true}, {"/huge", false}} {
		req := request(t, "", "GET", c.target)
		open(t, f, req)
		var one, two FileResponse
		checktest.Needf(t, f.Hit(f.clock(), req, &one) && f.Hit(f.clock(), req, &two) && one.file != nil &&
			one.file == two.file &&
			one.Segments[0].Warm > 0 == c.warm, "%s: files %v and %v, %+v", c.target, one.file, two.file, one.Segments)
		two.Close()
		f.cache.sweep()
		f.cache.sweep()
		mustMiss(t, f, req)
		var stat syscall.Stat_t
		err := syscall.Fstat(one.file.fd, &stat)
		checktest.Truef(t, err == nil && stat.Size == one.Head.Length, "%s: a response lost its file: %v", c.target, err)
		fd := one.file.fd
		one.Close()
		checktest.Eventually(t, c.target+" is closed", func() bool {
			// The number of the closed descriptor may have been reused for another file.
			var now syscall.Stat_t
			return syscall.Fstat(fd, &now) != nil || now.Ino != stat.Ino
		})
	}
	size, ok := f.cache.audit()
	checktest.Truef(t, ok && size == 0, "%d bytes, %v", size, ok)
}

func TestOpenFilesAreBounded(t *testing.T) {
	files := map[string]string{}
	names := strings.Split("abcdefghijklmnop", "")
	for _, name := range names {
		files[name] = strings.Repeat(name, 65<<10)
	}
	f := serve(t, Options{Root: tree(t, files), CacheBytes: 5 * openCost})
	kept := map[int]bool{}
	for _, name := range names {
		open(t, f, request(t, "", "GET", "/"+name))
	}
	for _, name := range names {
		var out FileResponse
		if f.Hit(f.clock(), request(t, "", "GET", "/"+name), &out) {
			kept[out.file.fd] = true
			out.Close()
		}
	}
	checktest.Truef(t, len(kept) > 0 && len(kept) <= 5, "%d files are kept open", len(kept))
}
