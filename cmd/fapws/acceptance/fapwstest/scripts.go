package fapwstest

import "testing"

// ServeSlow starts slow.py with a new directory, in which the script and
// the test leave files for each other.
func ServeSlow(t *testing.T, m Mode, flags ...string) (s *Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return Command{Script: "slow.py", Args: []string{folder}, Flags: flags}.Serve(t, m), folder
}

// ServeProxy starts a server that passes everything on to target, with more lines in its
// route and more flags.
func ServeProxy(t *testing.T, target, lines string, flags ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	file := Write(t, dir+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \""+target+"\"\n"+lines)
	return Command{Flags: append(flags, "-c", file), Dir: dir}.Serve(t, Mode{})
}

// Supervised starts a copy of workers.py, which a test may change, with two
// workers.
func Supervised(t *testing.T, flags ...string) (s *Server, script string) {
	t.Helper()
	script = Copied(t, "workers.py")
	return Command{Script: script, Flags: flags}.Serve(t, Workers), script
}
