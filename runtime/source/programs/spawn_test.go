package programs_test

import (
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"fapws/runtime/source/programs"
)

func run(t *testing.T, dir string, argv, env []string) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := programs.StartProcess(argv[0], argv, env, dir, [3]*os.File{null, w, w})
	w.Close()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil || !state.Success() {
		t.Errorf("%v: %v, %v", argv, state, err)
	}
	return string(text), nil
}

func TestStart(t *testing.T) {
	// what a library may have left open, and what this process ignores
	leak, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leak)
	signal.Ignore(syscall.SIGPIPE, syscall.SIGTTIN)
	defer signal.Reset(syscall.SIGPIPE, syscall.SIGTTIN)
	text, err := run(t, "/usr", []string{"/bin/sh", "-c", `pwd; echo "$A,$1,$2"; grep Sig.*: /proc/self/status; ls -l /proc/self/fd; cut -d' ' -f1,6 /proc/$$/stat; echo $$`, "sh", "x y", ""}, []string{"A=1 2", "PATH=/usr/bin:/bin"})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	if lines[0] != "/usr" || lines[1] != "1 2,x y," || !strings.Contains(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000") {
		t.Errorf("%s", text)
	}
	if strings.Contains(text, "/dev/zero") || strings.Count(text, " -> ") != 4 { // the fourth is what ls reads
		t.Errorf("descriptors: %s", text)
	}
	pid := lines[len(lines)-2]
	if !strings.Contains(text, "\n"+pid+" "+pid+"\n") {
		t.Errorf("it leads no session: %s", text)
	}
	for _, c := range []struct {
		path, dir string
		want      error
	}{{"/no/such", "", syscall.ENOENT}, {"/etc/passwd", "", syscall.EACCES}, {"/bin/true", "/no/such", syscall.ENOENT}, {"/bin/tr\x00ue", "", syscall.EINVAL}} {
		_, err := run(t, c.dir, []string{c.path}, nil)
		if pe, ok := err.(*os.PathError); !ok || pe.Err != c.want {
			t.Errorf("%q in %q: %v", c.path, c.dir, err)
		}
	}
}
