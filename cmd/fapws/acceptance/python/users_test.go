package python_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestScriptChangesUsers(t *testing.T) {
	fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
		file := filepath.Join(t.TempDir(), "users")
		s := fapwstest.Command{Script: "users.py", Args: []string{file}}.Serve(t, m)
		path := "/call"
		if m.Name == fapwstest.Threads.Name {
			path = "/later"
		}
		for _, c := range [][2]string{
			{"list", fmt.Sprintf("FileNotFoundError: [Errno 2] No such file or directory: '%s'", file)},
			{"check&ann&correct%20horse", fmt.Sprintf("FileNotFoundError: [Errno 2] No such file or directory: '%s'", file)},
			{"set&ann&short", "ValueError: the password needs at least 8 characters"},
			{"set&a:b&correct%20horse", `ValueError: "a:b" cannot be the name of a user`},
			{"set&ann&correct%20horse", "None"},
			{"set&Zo%C3%AB&b%C3%A4tteries%20staple", "None"},
			{"list", "['ann', 'Zoë']"},
			{"check&ann&correct%20horse", "True"},
			{"check&ann&Correct%20horse", "False"},
			{"check&nobody&correct%20horse", "False"},
			{"check&Zo%C3%AB&b%C3%A4tteries%20staple", "True"},
			{"set&ann&another%20horse", "None"},
			{"check&ann&correct%20horse", "False"},
			{"remove&ann", "None"},
			{"remove&ann", "ValueError: there is no user ann"},
			{"remove&a%00b", "ValueError: embedded null character"},
			{"list", "['Zoë']"},
		} {
			fapwstest.Equalf(t, s.Get(path+"?"+c[0], 200).Text, c[1], "%s?%s", path, c[0])
		}
		text := fapwstest.Read(t, file)
		fapwstest.Truef(t, strings.HasPrefix(text, "Zoë:$2y$10$"), "the file has %q", text)
		command := exec.Command(fapwstest.Binary(t), "user", "check", "-f", file, "Zoë")
		command.Stdin = strings.NewReader("bätteries staple\n")
		out, err := command.CombinedOutput()
		fapwstest.Truef(t, err == nil, "fapws user check: %v, %s", err, out)
		fapwstest.Write(t, file, "no user\n")
		got := s.Get(path+"?list", 200).Text
		fapwstest.Truef(t, strings.HasPrefix(got, "ValueError: "+file+":1: "), "a damaged file: %s", got)
	})
}

func TestUsersSetAtTheSameTimeAreAllKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users")
	s := fapwstest.Command{Script: "users.py", Args: []string{file}}.Serve(t, fapwstest.Workers)
	added := make(chan error)
	go func() {
		command := exec.Command(fapwstest.Binary(t), "user", "add", "-f", file, "ann")
		command.Stdin = strings.NewReader("correct horse\n")
		added <- command.Run()
	}()
	s.Get("/crowd", 200)
	fapwstest.Must(t, <-added)
	text := fapwstest.Read(t, file)
	for _, name := range []string{"ann", "user0", "user1", "user2", "user3", "user4", "user5", "user6", "user7"} {
		fapwstest.Equalf(t, strings.Count("\n"+text, "\n"+name+":$2y$"), 1, "%s is not in %s", name, text)
	}
}

func TestUsersOutsideOfTheServerIsAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users")
	for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks} {
		s := fapwstest.Command{Script: "users.py", Args: []string{file, m.Name}}.Serve(t, m)
		path := "/child?list"
		if m.Forks() {
			path = "/call?list"
		}
		got, want := s.Get(path, 200).Text, "RuntimeError: users: not available in a child process of the server"
		fapwstest.Equalf(t, got, want, "%s", m.Name)
	}
	out, err := exec.Command("python3", "-c",
		`import sys; sys.path.insert(0, "../../../../contrib"); from fapws import users; users.list("users")`).
		CombinedOutput()
	fapwstest.Truef(t, err != nil && strings.Contains(string(out), "RuntimeError: users.list: works under fapws only"),
		"in plain Python: %v, %s", err, out)
}
