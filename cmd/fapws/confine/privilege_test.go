package confine

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestUserAndGroupAreLookedUp(t *testing.T) {
	daemon := checktest.Try(user.Lookup("daemon")).Must(t)
	uid, _ := strconv.Atoi(daemon.Uid)
	gid, _ := strconv.Atoi(daemon.Gid)
	for _, tt := range []struct {
		user, group string
		by          int
		want        *Identity
		fails       string
	}{
		{"daemon", "", 0, &Identity{uid, gid, []int{gid}, "daemon", daemon.HomeDir}, ""},
		{daemon.Uid, "", 0, &Identity{uid, gid, []int{gid}, "daemon", daemon.HomeDir}, ""},
		{"54321", "", 0, &Identity{54321, 65534, []int{65534}, "", "/"}, ""},
		{"54321", "54322", 0, &Identity{54321, 54322, []int{54322}, "", "/"}, ""},
		{"", "54322", 0, &Identity{0, 54322, []int{54322}, "root", "/root"}, ""},
		{"no-such-user", "", 0, nil, `unknown user "no-such-user"`},
		{"daemon", "no-such-group", 0, nil, `unknown group "no-such-group"`},
		{"-1", "", 0, nil, `unknown user "-1"`},
		{"4294967295", "", 0, nil, "unknown user"},
		{"99999999999", "", 0, nil, "unknown user"},
		{"54321", "", 54321, nil, "only root can"},
		{"54321", "54321", 54321, &Identity{54321, 54321, []int{54321}, "", "/"}, ""},
		{"root", "", 54321, nil, "cannot become root:root: only root can, and fapws was started as user 54321"},
		{"", "0", 54321, nil, "only root can"},
	} {
		id, err := lookup(tt.user, tt.group, tt.by, tt.by)
		if tt.fails != "" {
			checktest.Truef(t, err != nil && strings.Contains(err.Error(), tt.fails) && !strings.Contains(err.Error(), "\n"),
				"%s:%s by %d: error %v, want %q in it", tt.user, tt.group, tt.by, err, tt.fails)
			continue
		}
		checktest.Truef(t, err == nil && fmt.Sprint(*id) == fmt.Sprint(*tt.want),
			"%s:%s by %d: %+v, %v, want %+v", tt.user, tt.group, tt.by, id, err, tt.want)
	}
}

func TestOwnerIsParsed(t *testing.T) {
	daemon := checktest.Try(user.Lookup("daemon")).Must(t)
	uid, _ := strconv.Atoi(daemon.Uid)
	gid, _ := strconv.Atoi(daemon.Gid)
	for text, want := range map[string][2]int{
		"daemon": {uid, -1}, "daemon:": {uid, -1}, "daemon:daemon": {uid, gid}, ":daemon": {-1, gid},
		"54321": {54321, -1}, "54321:54322": {54321, 54322}, ":54322": {-1, 54322},
	} {
		u, g, err := Owner(text)
		checktest.Truef(t, err == nil && u == want[0] && g == want[1], "%s: %d, %d, %v, want %v", text, u, g, err, want)
	}
	for _, text := range []string{"no-such-user", ":no-such-group", "daemon:no-such-group", "a:b:c"} {
		_, _, err := Owner(text)
		checktest.Truef(t, err != nil, "%s: no error", text)
	}
}
