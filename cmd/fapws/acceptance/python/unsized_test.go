package python_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Files of /proc and /sys report a wrong size, which the application may use as Content-Length. Sparse files, and empty
// files without blocks, have the right size.
func TestFilesWithAWrongSizeAreSentCompletely(t *testing.T) {
	t.Parallel()
	const sys, proc = "/sys/devices/system/cpu/online", "/proc/sys/kernel/ostype"
	online := fapwstest.Read(t, sys)
	dir := t.TempDir()
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	fapwstest.Must(t, err)
	fapwstest.Must(t, sparse.Truncate(100_000))
	fapwstest.Must(t, sparse.Close())
	fapwstest.Write(t, filepath.Join(dir, "empty"), "")
	wants := map[string]string{sys: online, proc: "Linux\n", dir + "/sparse": string(make([]byte, 100_000)),
		dir + "/empty": ""}
	for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks} {
		t.Run(m.Name, func(t *testing.T) {
			s := fapwstest.Serve(t, m, "unsized.py")
			for name, want := range wants {
				for _, path := range []string{"/file?", "/stat?", "/wrapped?"} {
					s.Get(path+name, 200).Is(t, want)
				}
			}
		})
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "unsized.py:application", "--static", "/sys=/sys/devices/system/cpu",
		"--static", "/proc=/proc/sys/kernel", "--static", "/here="+dir)
	for name, want := range wants {
		s.Get("/send?"+name, 200).Is(t, want)
	}
	for range 2 {
		s.Get("/sys/online", 200).Is(t, online).Field(t, "ETag", "")
		s.Get("/proc/ostype", 200).Is(t, "Linux\n").Field(t, "Last-Modified", "")
		s.Get("/here/empty", 200).Is(t, "")
		if a := s.Get("/here/sparse", 200).Is(t, wants[dir+"/sparse"]); a.Header.Get("ETag") == "" {
			t.Error("a sparse file has no ETag")
		}
	}
	w := s.Dial()
	w.Send(fapwstest.Request("HEAD", "/sys/online", ""))
	w.AnswerTo("HEAD").Want(t, 200).Field(t, "Content-Length", strconv.Itoa(len(online)))
}
