package worker

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestPassedSocketsAreReadFromTheEnvironment(t *testing.T) {
	for _, tt := range []struct{ pid, fds, names, want string }{
		{"42", "1", "", "fd://3"},
		{"42", "3", "", "fd://3 fd://4 fd://5"},
		{"42", "3", "web:https:x", "fd://3 https+fd://4 fd://5"},
		{"42", "2", "https", "https+fd://3 fd://4"},
		{"42", "0", "https", ""},
		{"42", "-1", "", ""},
		{"42", "x", "", ""},
		{"42", "", "", ""},
		{"41", "1", "", ""},
		{"", "1", "", ""},
		{"042", "1", "", ""},
	} {
		checktest.Equalf(t, strings.Join(passedSockets(tt.pid, tt.fds, tt.names, 42), " "), tt.want,
			"LISTEN_PID=%s LISTEN_FDS=%s LISTEN_FDNAMES=%s", tt.pid, tt.fds, tt.names)
	}
}

func TestPassedSocketsReplaceAddresses(t *testing.T) {
	for _, tt := range []struct {
		passed, bind string
		given        bool
		want, unused string
	}{
		{"", ":8888", false, ":8888", ""},
		{"fd://3 fd://4", ":8888", false, "fd://3 fd://4", ""},
		{"fd://3 fd://4", ":80", true, ":80", "fd://3 fd://4"},
		{"fd://3 fd://4", "systemd", true, "fd://3 fd://4", ""},
		{"fd://3 fd://4", ":80 systemd unix:x", true, ":80 fd://3 fd://4 unix:x", ""},
		{"fd://3 fd://4", "fd://4", true, "fd://4", "fd://3"},
		{"fd://3 fd://4", "https+fd://4", true, "https+fd://4", "fd://3"},
		{"fd://3 fd://4", "https://0.0.0.0:8888", false, "https+fd://3 https+fd://4", ""},
		{"fd://3 https+fd://4", "https://0.0.0.0:8888", false, "fd://3 https+fd://4", ""},
		{"fd://3 https+fd://4", "https+systemd", true, "fd://3 https+fd://4", ""},
		{"fd://3 https+fd://4", "systemd", true, "fd://3 https+fd://4", ""},
		{"fd://3 fd://4", ":80 https+systemd", true, ":80 https+fd://3 https+fd://4", ""},
	} {
		a := Passed(strings.Fields(tt.passed))
		got, err := a.addresses(strings.Fields(tt.bind), tt.given)
		checktest.Truef(t, err == nil && strings.Join(got, " ") == tt.want && strings.Join(a.unused(got), " ") == tt.unused,
			"%q passed, %s: %v, %v, unused %v", tt.passed, tt.bind, got, err, a.unused(got))
	}
	_, err := Passed(nil).addresses([]string{"systemd"}, true)
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "no sockets were passed"),
		"systemd without sockets: %v", err)
}
