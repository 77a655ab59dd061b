package sites_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Each host has a directory, and the process may have half as many open files as there are hosts.
func TestMoreHostsThanOpenFilesAreServed(t *testing.T) {
	t.Parallel()
	const hosts = 2000
	files := map[string]string{}
	var config strings.Builder
	for i := range hosts {
		files[fmt.Sprintf("%d/page", i)] = fmt.Sprintf("page %d", i)
		fmt.Fprintf(&config, "[[host]]\nname = \"host%d.example\"\nroot = \"%d\"\n", i, i)
	}
	folder := fapwstest.Files(t, files)
	file := fapwstest.Write(t, folder+"/fapws.toml", config.String())
	s := fapwstest.Command{Flags: []string{"-c", file}, Dir: folder, Shell: "ulimit -n 1024"}.Serve(t, fapwstest.Threads)
	open := func() int {
		return len(fapwstest.Try(os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Cmd.Process.Pid))).Must(t))
	}
	fapwstest.Truef(t, open() < 200, "%d open files after the start", open())
	client := s.Dial()
	for range 2 {
		for i := range hosts {
			client.Ask(fmt.Sprintf("GET /page HTTP/1.1\r\nHost: host%d.example\r\n\r\n", i)).Want(t, 200).Is(t, fmt.Sprintf("page %d", i))
		}
	}
	// An open directory is not closed for others while its path is missing.
	fapwstest.Must(t, os.Rename(folder+"/7", folder+"/seven"))
	client.Ask("GET /other HTTP/1.1\r\nHost: host7.example\r\n\r\n").Want(t, 404)
	fapwstest.Must(t, os.Rename(folder+"/seven", folder+"/7"))
	client.Ask("GET /page?again HTTP/1.1\r\nHost: host7.example\r\n\r\n").Want(t, 200).Is(t, "page 7")
}
