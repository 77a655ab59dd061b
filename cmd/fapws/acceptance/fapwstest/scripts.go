package fapwstest

import "testing"

// ServeSlow serves slow.py, which exchanges files with the test in folder, a new directory.
func ServeSlow(t *testing.T, m Mode, flags ...string) (s *Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return Command{Script: "slow.py", Args: []string{folder}, Flags: flags}.Serve(t, m), folder
}

func ServeProxy(t *testing.T, target, lines string, flags ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	file := Write(t, dir+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \""+target+"\"\n"+lines)
	return Command{Flags: append(flags, "-c", file), Dir: dir}.Serve(t, Mode{})
}

func Supervised(t *testing.T, flags ...string) (s *Server, script string) {
	t.Helper()
	script = Copied(t, "workers.py")
	return Command{Script: script, Flags: flags}.Serve(t, Workers), script
}
