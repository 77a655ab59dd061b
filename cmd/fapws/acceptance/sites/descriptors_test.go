package sites_test

import (
	"fmt"
	"net"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The server limits how many file descriptors the requests of one client use, so that other clients still get
// responses.
func TestRequestsThatWaitForAnUpstreamLeaveDescriptorsToOthers(t *testing.T) {
	for name, route := range map[string]string{
		"proxy":   `proxy = "http://%s"`,
		"cache":   "cache = true\nproxy = \"http://%s\"",
		"fastcgi": `fastcgi = { address = "%s", connections = 500 }`,
	} {
		for _, clients := range []int{100, 200} {
			t.Run(fmt.Sprint(name, ", ", clients, " clients"), func(t *testing.T) {
				t.Parallel()
				silent, err := net.Listen("tcp", "127.0.0.1:0") // never accepts; the kernel connects clients
				fapwstest.Must(t, err)
				defer silent.Close()
				dir := t.TempDir()
				upstream := fapwstest.Command{Script: fapwstest.Write(t, dir+"/app.py",
					`PATHS = [("/page", lambda environ, start_response: "page")]`)}.Serve(t, fapwstest.Threads)
				config := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(
					"[[host]]\n[[host.route]]\nprefix = \"/silent/\"\n"+route+
						"\n[[host.route]]\nprefix = \"/\"\nproxy = %q\n", silent.Addr(), upstream.URL))
				s := fapwstest.Command{Dir: dir, Shell: "ulimit -n 256", Flags: []string{"-c", config}, Complains: true}.
					Serve(t, fapwstest.Mode{})
				s.Get("/page", 200)
				before := len(s.Descriptors())
				var all []*fapwstest.Client
				for i := range clients {
					c := s.Dial()
					c.Send(fapwstest.Get(fmt.Sprint("/silent/", i)))
					all = append(all, c)
				}
				fapwstest.Eventually(t, "they hold descriptors", func() bool { return len(s.Descriptors()) > before+80 })
				other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
				for range 20 {
					c, err := other.Dial("tcp", s.Address)
					fapwstest.Must(t, err)
					w := fapwstest.NewClient(t, c)
					w.Fetch("/page").Want(t, 200, "page")
					w.Close()
				}
				for _, c := range all {
					c.Close()
				}
				fapwstest.Eventually(t, "all give their descriptors back",
					func() bool { return len(s.Descriptors()) < before+10 })
				s.Get("/page", 200)
			})
		}
	}
}

// A trusted proxy that does not forward client addresses has many clients. The server therefore does not limit its
// requests to the share of one client.
func TestTrustedProxyThatForwardsNoAddressHasNoShareOfDescriptors(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	fapwstest.Must(t, err)
	defer silent.Close()
	dir := t.TempDir()
	config := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(
		"[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \"http://%s\"\n", silent.Addr()))
	s := fapwstest.Command{Dir: dir, Shell: "ulimit -n 256",
		Flags: []string{"-c", config, "--forwarded-allow-ips", "127.0.0.1"}}.Serve(t, fapwstest.Mode{})
	before, clients := len(s.Descriptors()), 85 // the share of one client is 64 descriptors
	for range clients {
		c := s.Dial()
		defer c.Close()
		c.Send(fapwstest.Get("/"))
	}
	fapwstest.Eventually(t, "all requests reach the upstream",
		func() bool { return len(s.Descriptors()) >= before+2*clients })
}
