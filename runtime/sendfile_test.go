package runtime

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/exchange"
)

func TestSendRoots(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "a/b", "real"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var r sendRoots
	if err := r.open(&Config{
		SendfileRoots: []string{dir + "/a", dir + "/a/b", dir + "/link"},
		AccelRoots:    []AccelRoot{{"/x/", dir + "/a"}, {"/x/b", dir + "/a/b"}, {"/", dir + "/real"}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		value string
		accel bool
		root  int // -1: none
		name  string
	}{
		{"f", false, 0, "f"},
		{"./x/../f", false, 0, "f"},
		{"../f", false, 0, "../f"}, // os.Root refuses
		{dir + "/a/f", false, 0, "f"},
		{dir + "/a/b/f", false, 1, "f"},
		{dir + "/a/bc", false, 0, "bc"},
		{dir + "/a//b/./f", false, 1, "f"},
		{dir + "/link/f", false, 2, "f"},
		{dir + "/real/f", false, 2, "f"},
		{dir + "/a", false, 0, "."},
		{dir + "/ab", false, -1, ""},
		{dir + "/a/../real2", false, -1, ""},
		{"/", false, -1, ""},
		{"/x/f", true, 0, "f"},
		{"/x/b/f?q=%", true, 1, "f"},
		{"/x/bc", true, 0, "bc"},
		{"/x/b/../f", true, 0, "f"},
		{"/x/../f", true, 2, "f"},
		{"/x/../../f", true, -1, ""},
		{"/x//../f", true, -1, ""},
		{"/x/%2e%2e/%2fx/f", true, 0, "f"},
		{"/x%2Ff%3F", true, 0, "f?"},
		{"//x//f", true, 0, "f"},
		{"/y", true, 2, "y"},
		{"f", true, -1, ""},
		{"", true, -1, ""},
		{"/x/%", true, -1, ""},
		{"/x/a%00", true, -1, ""},
		{"http://evil.example/x", true, -1, ""},
	} {
		files, name, err := r.find(&sentFile{value: c.value, accel: c.accel})
		roots := r.named
		if c.accel {
			roots = r.mapped
		}
		if c.root < 0 {
			if err == nil {
				t.Errorf("%q: %q", c.value, name)
			}
		} else if err != nil || files != roots[c.root].files || name != c.name {
			t.Errorf("%q: %q, %v", c.value, name, err)
		}
	}
	if err := new(sendRoots).open(&Config{AccelRoots: []AccelRoot{{"/x", dir + "/none"}}}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Files take their turn among other responses, and a client that leaves in
// the middle of one leaves nothing behind.
func TestHandlersSendFiles(t *testing.T) {
	dir := t.TempDir()
	big := string(pattern(8 << 20))
	if err := os.WriteFile(dir+"/big", []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, func(c *call) {
			if c.Path == "/end" {
				c.reply(200, "end")
				return
			}
			c.part(exchange.Part{Last: true, File: -1, Head: exchange.Head{Status: 200, Length: -1, SendFile: []byte(" " + dir + c.Path),
				Request: []byte("GET " + c.Path + " HTTP/1.1\r\nHost: x\r\n\r\n")}})
		})
		s := serve(t, Config{SendfileRoots: []string{dir}}, a)
		got := bodies(t, s.talk(t, "GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\nGET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		if got != "200:"+big+" 404:Not Found\n 200:end" {
			t.Errorf("%d bytes, ending with %q", len(got), got[max(0, len(got)-60):])
		}
		if !strings.Contains(s.log.String(), `: X-Sendfile: "`+dir+`/none" cannot be sent: no such file or directory`) {
			t.Error(s.log)
		}
		var clients []net.Conn
		for range 8 {
			c := slowly(t, s)
			c.Write([]byte("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"))
			c.Read(make([]byte, 100))
			clients = append(clients, c)
		}
		for _, c := range clients {
			c.Close()
		}
		eventually(t, "every exchange ends", a.idle)
		eventually(t, "every connection ends", func() bool { return s.loop.live.Load() == 0 })
	})
}
