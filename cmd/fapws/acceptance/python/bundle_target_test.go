package python_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// writeWheel writes a wheel of version 1 with one file to dir.
func writeWheel(t *testing.T, dir, name, tag, file, content string) {
	t.Helper()
	var wheel bytes.Buffer
	w := zip.NewWriter(&wheel)
	info := name + "-1.dist-info/"
	for _, one := range [][2]string{
		{file, content},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1\nLicense: MIT\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: " + tag + "\n"},
		{info + "RECORD", fmt.Sprintf("%s,,\n%sMETADATA,,\n%[2]sWHEEL,,\n%[2]sRECORD,,\n", file, info)},
	} {
		_, err := fapwstest.Try(w.Create(one[0])).Must(t).Write([]byte(one[1]))
		fapwstest.Must(t, err)
	}
	fapwstest.Must(t, w.Close())
	fapwstest.Write(t, filepath.Join(dir, name+"-1-"+tag+".whl"), wheel.String())
}

// Fields of elf(5): the processor is at the offset 18.
const arm64, amd64 = "\xb7\x00", "\x3e\x00"

// forProcessor writes a copy of a program or library with the ELF header of another processor.
func forProcessor(t *testing.T, from, to, machine string) {
	t.Helper()
	text := fapwstest.Try(os.ReadFile(from)).Must(t)
	copy(text[18:], machine)
	fapwstest.Must(t, os.WriteFile(to, text, 0o755))
}

// foreignLibrary writes a standard library that is that of this machine, with extension modules for another processor.
func foreignLibrary(t *testing.T, machine string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	own := strings.TrimSpace(string(fapwstest.Try(exec.Command(fapwstest.Python, "-c",
		"import sysconfig; print(sysconfig.get_path('stdlib'))").Output()).Must(t)))
	for _, one := range fapwstest.Try(os.ReadDir(own)).Must(t) {
		if one.Name() != "lib-dynload" {
			fapwstest.Must(t, os.Symlink(filepath.Join(own, one.Name()), filepath.Join(dir, one.Name())))
		}
	}
	fapwstest.Must(t, os.Mkdir(dir+"/lib-dynload", 0o755))
	for _, name := range fapwstest.Try(filepath.Glob(own + "/lib-dynload/*.so")).Must(t) {
		forProcessor(t, name, filepath.Join(dir, "lib-dynload", filepath.Base(name)), machine)
	}
	return dir
}

func TestBundleTakesPackagesOfRequirements(t *testing.T) {
	t.Parallel()
	if fapwstest.IsWheel(t) {
		t.Skip("a wheel writes no bundle")
	}
	machine, arch, processor, wrong := arm64, "arm64", "aarch64", "x86_64"
	if runtime.GOARCH == "arm64" {
		machine, arch, processor, wrong = amd64, "amd64", "x86_64", "aarch64"
	}
	venv, dir := fapwstest.Today(t), t.TempDir()
	version := strings.TrimSpace(string(fapwstest.Try(exec.Command(fapwstest.Python, "-c",
		"import sys; print('cp%d%d' % sys.version_info[:2])").Output()).Must(t)))
	native := func(processor string) string { return version + "-" + version + "-manylinux_2_17_" + processor }
	writeWheel(t, dir, "greeting", "py3-none-any", "greeting.py", "WORD = 'hello'\n")
	writeWheel(t, dir, "quick", native(processor), "quick/_quick.abi3.so", "\x7fELF\x02\x01"+strings.Repeat("\x00", 12)+machine)
	writeWheel(t, dir, "only", native(wrong), "only.py", "")
	requirements := func(names ...string) string {
		file := filepath.Join(t.TempDir(), "requirements.txt")
		fapwstest.Write(t, file, "--no-index\n--find-links "+dir+"\n"+strings.Join(names, "\n")+"\n")
		return file
	}
	app := filepath.Join(t.TempDir(), "app.py")
	bundle := func(flags ...string) fapwstest.Command {
		return fapwstest.Command{Flags: append([]string{"--venv", venv, "bundle", app, "-o", dir + "/shop"}, flags...)}
	}
	list := func() string {
		return fapwstest.Command{Flags: []string{"bundle", "--list", dir + "/shop"}}.Succeeds(t)
	}

	fapwstest.Write(t, app, "import greeting, click\nPATHS = [('/', lambda environ, start_response: greeting.WORD)]\n")
	out := bundle("--requirements", requirements("greeting")).Succeeds(t)
	fapwstest.Truef(t, strings.Contains(out, "left out: click ("), "%s", out)
	out = list()
	fapwstest.Truef(t, strings.Contains(out, "\ngreeting 1  MIT\n") && !strings.Contains(out, "RECORD"), "%s", out)
	ofBundle(t, dir+"/shop", "python", "-c", "import greeting").Succeeds(t)
	file := requirements("greeting", "missing==3")
	bundle("--requirements", file).Fails(t, 2, "bundle: --requirements "+file+": No matching distribution found for missing==3")

	foreign := dir + "/foreign"
	forProcessor(t, fapwstest.Binary(t), foreign, machine)
	fapwstest.Write(t, app, "PATHS = [('/', print)]\n")
	bundle("--executable", "/bin/sh").Fails(t, 2, "/bin/sh is not an executable of this version of fapws")
	bundle("--executable", foreign).Fails(t, 2, foreign+" (linux/"+arch+", glibc 2.")
	library := foreignLibrary(t, machine)
	file = requirements("only")
	bundle("--executable", foreign, "--library", library, "--requirements", file).Fails(t, 2,
		"No matching distribution found for only as a wheel for linux/"+arch+", glibc 2.")
	bundle("--executable", foreign, "--library", library, "--requirements", requirements("greeting", "quick")).Succeeds(t)
	out = list()
	for _, text := range []string{", linux/" + arch + ", ", "\nquick 1  MIT\n", "lib/quick/_quick.abi3.so\n", "lib/_ctypes."} {
		fapwstest.Truef(t, strings.Contains(out, text), "no %s in %s", text, out)
	}
}
