package worker

import (
	"strings"
	"testing"
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
		if got := strings.Join(passedSockets(tt.pid, tt.fds, tt.names, 42), " "); got != tt.want {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s LISTEN_FDNAMES=%s: %q, want %q", tt.pid, tt.fds, tt.names, got,
				tt.want)
		}
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
		if err != nil || strings.Join(got, " ") != tt.want || strings.Join(a.unused(got), " ") != tt.unused {
			t.Errorf("%q passed, %s: %v, %v, unused %v", tt.passed, tt.bind, got, err, a.unused(got))
		}
	}
	if _, err := Passed(nil).addresses([]string{"systemd"}, true); err == nil ||
		!strings.Contains(err.Error(), "no sockets were passed") {
		t.Errorf("systemd without sockets: %v", err)
	}
}
